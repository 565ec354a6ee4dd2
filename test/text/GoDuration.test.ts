import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as GoDuration from "../../src/text/GoDuration.js"
import * as HostPort from "../../src/net/HostPort.js"

const millis = (text: string) => Option.getOrUndefined(Option.map(GoDuration.parse(text), Duration.toMillis))

describe("a duration as Go writes it", () => {
  it.each([
    ["0", 0],
    ["0s", 0],
    ["500ms", 500],
    ["5s", 5_000],
    ["1m30s", 90_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1.s", 1_000],
    ["1h2m3s4ms", 3_723_004],
    ["250us", 0.25],
    ["250µs", 0.25],
    ["250μs", 0.25],
    ["1000000ns", 1],
    ["30s1m", 90_000]
  ])("%s is %d ms", (text, expected) => assert.strictEqual(millis(text), expected))

  it.each(["", " ", "5", "s", "5 s", "5S", "-5s", "+5s", "5parsecs", "1..5s", ".s", "1e3s", "5s ", "0x5s", "∞", "٥s"])(
    "%j is none",
    (text) => assert.isUndefined(millis(text))
  )

  it("is written so that it is read as the same", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.integer({ min: 0, max: 10 ** 12 }), (ms) => {
        const text = GoDuration.format(Duration.millis(ms))
        assert.strictEqual(Math.round(millis(text) ?? Number.NaN), ms)
        assert.strictEqual(GoDuration.format(Option.getOrThrow(GoDuration.parse(text))), text)
      }),
      { numRuns: 2_000 }
    )
  })

  it("is any sum of numbers with units", () => {
    const unit = FastCheck.constantFrom<readonly [string, number]>(["ms", 1], ["s", 1_000], ["m", 60_000], [
      "h",
      3_600_000
    ])
    const parts = FastCheck.array(FastCheck.tuple(FastCheck.nat(9_999), unit), { minLength: 1, maxLength: 6 })
    FastCheck.assert(
      FastCheck.property(parts, (parts) => {
        const text = parts.map(([count, [name]]) => `${count}${name}`).join("")
        assert.strictEqual(millis(text), parts.reduce((sum, [count, [, size]]) => sum + count * size, 0))
      })
    )
  })

  it("never breaks on any text", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary" }), (text) => {
        const found = millis(text)
        assert.isTrue(found === undefined || found >= 0)
      })
    )
  })

  it.each([[0, "0s"], [1, "1ms"], [999, "999ms"], [1_000, "1s"], [1_500, "1.5s"], [60_000, "1m"], [3_600_000, "1h"], [
    3_723_004,
    "1h2m3.004s"
  ]])("is %d ms written %s", (ms, text) => assert.strictEqual(GoDuration.format(Duration.millis(ms)), text))
})

describe("an address with a port", () => {
  it("is written so that it is read as the same", () => {
    const host = FastCheck.oneof(
      FastCheck.ipV4(),
      FastCheck.ipV6(),
      FastCheck.domain().filter((domain) => domain.length <= 253)
    )
    FastCheck.assert(
      FastCheck.property(host, FastCheck.integer({ min: 1, max: 65_535 }), (host, port) => {
        assert.deepStrictEqual(HostPort.parse(HostPort.format({ host, port })), Option.some({ host, port }))
      }),
      { numRuns: 1_000 }
    )
  })

  it("is this machine's own by name and by address", () => {
    for (const host of ["localhost", "127.0.0.1", "127.1.2.3", "::1", "a.localhost"]) {
      assert.isTrue(HostPort.isLoopback(host))
    }
    for (const host of ["0.0.0.0", "10.0.0.7", "localhost.lan", "::", "127.0.0.1.lan"]) {
      assert.isFalse(HostPort.isLoopback(host))
    }
  })
})

describe("any text as a duration", () => {
  it("is read without a throw, as a finite time that is not negative or as nothing", () => {
    const unit = FastCheck.constantFrom("0", "9", ".", "-", "ns", "us", "µs", "ms", "s", "m", "h", "e", " ", "\ud83d")
    FastCheck.assert(
      FastCheck.property(FastCheck.oneof(FastCheck.string({ unit }), FastCheck.string({ unit: "binary" })), (text) => {
        const read = GoDuration.parse(text)
        if (Option.isSome(read)) {
          const millis = Duration.toMillis(read.value)
          assert.isTrue(Number.isFinite(millis) && millis >= 0)
        }
      }),
      { numRuns: 5_000 }
    )
  })

  it("is what was written, to the millisecond", () => {
    FastCheck.assert(FastCheck.property(FastCheck.nat(10 ** 9), (millis) => {
      const text = GoDuration.format(Duration.millis(millis))
      assert.strictEqual(Option.getOrUndefined(Option.map(GoDuration.parse(text), Duration.toMillis)), millis)
    }))
  })

  it("is read in linear time", () => {
    for (const part of ["1", "1.", ".", "1s", "9.9"]) {
      const startedAt = performance.now()
      GoDuration.parse(part.repeat(Math.ceil(1024 ** 2 / part.length)))
      assert.isBelow(performance.now() - startedAt, 2_000, part)
    }
  })
})
