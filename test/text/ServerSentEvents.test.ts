import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as ServerSentEvents from "../../src/text/ServerSentEvents.js"

interface Read {
  readonly data: Array<string>
  isTooLarge: boolean
}

const read = (parts: Iterable<Uint8Array>, maxLength = 1 << 20): Read => {
  const heard: Read = { data: [], isTooLarge: false }
  const events = ServerSentEvents.make({
    maxLength,
    onData: (data) => {
      if (heard.isTooLarge) assert.fail("nothing comes after the bound")
      heard.data.push(data)
    },
    onTooLarge: () => {
      assert.isFalse(heard.isTooLarge, "the bound is reported once")
      heard.isTooLarge = true
    }
  })
  for (const part of parts) events.push(Buffer.from(part))
  return heard
}

function* split(bytes: Uint8Array, at: ReadonlyArray<number>): Iterable<Uint8Array> {
  let from = 0
  for (const to of [...at].map((part) => part % (bytes.length + 1)).sort((a, b) => a - b)) {
    yield bytes.subarray(from, to)
    from = to
  }
  yield bytes.subarray(from)
}

/** As the specification says it, on the whole text at once. */
const specified = (text: string): Array<string> => {
  const events: Array<string> = []
  let data: Array<string> = []
  for (const line of text.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/).slice(0, -1)) {
    if (line === "") {
      if (data.length > 0) events.push(data.join("\n"))
      data = []
    } else if (line === "data" || line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""))
  }
  return events
}

describe("server-sent events", () => {
  it("are read as the specification says, wherever the bytes are cut", () => {
    const pieces = fc.constantFrom(
      "data: a",
      "data:b",
      "data",
      "data:",
      "data: ",
      "database: x",
      "dat",
      ": comment",
      "id: 1",
      "event: x",
      "é🙂",
      "\n",
      "\r",
      "\r\n",
      "\n\n",
      "\r\r",
      "\uFEFF"
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 40 }), fc.array(fc.nat(), { maxLength: 20 }), (parts, cuts) => {
        const text = parts.join("")
        assert.deepStrictEqual(read(split(Buffer.from(text), cuts)).data, specified(text))
      }),
      { numRuns: 500 }
    )
  })

  it("end with the bound, whether it is one line or many that are too large", () => {
    assert.isTrue(read([Buffer.from(`data: ${"x".repeat(200)}`)], 100).isTooLarge)
    assert.isTrue(read([Buffer.from(`data: ${"x".repeat(60)}\n`.repeat(2))], 100).isTooLarge)
    assert.isTrue(read([Buffer.from("data\n".repeat(70_000))]).isTooLarge)
    assert.isTrue(read([Buffer.from(`: ${"x".repeat(200)}`)], 100).isTooLarge)
    assert.deepStrictEqual(read([Buffer.from(`data: ${"x".repeat(60)}\n\n`.repeat(3))], 100), {
      data: ["x".repeat(60), "x".repeat(60), "x".repeat(60)],
      isTooLarge: false
    })
  })

  it("take time in proportion to their bytes", () => {
    const size = 1 << 20
    const floods = [
      "\r",
      "\n",
      "\r\n",
      "\n\r",
      "data\n",
      "data:\r",
      ":\r",
      "data: x\r\r",
      "x",
      "\uFEFF",
      "data: {}\n\n",
      "\u2028"
    ]
    for (const flood of floods) {
      const bytes = Buffer.from(flood.repeat(Math.ceil(size / Buffer.byteLength(flood))))
      for (const step of [bytes.length, 65_536, 997]) {
        const parts: Array<Buffer> = []
        for (let at = 0; at < bytes.length; at += step) parts.push(bytes.subarray(at, at + step))
        // The best of three: other threads of the process count, too.
        const times = [1, 2, 3].map(() => {
          const from = process.cpuUsage()
          read(parts, 8 << 20)
          const { system, user } = process.cpuUsage(from)
          return (system + user) / 1000
        })
        assert.isBelow(Math.min(...times), 200, `${JSON.stringify(flood)} in steps of ${step}`)
      }
    }
  })

  it("keep no more than an event in memory, also when it comes byte by byte", () => {
    const byte = Buffer.from("x")
    const before = process.memoryUsage().heapUsed
    read(
      (function*() {
        yield Buffer.from("data: ")
        for (let sent = 0; sent < 1 << 20; sent++) yield byte
      })(),
      2 << 20
    )
    assert.isBelow(process.memoryUsage().heapUsed - before, 256 << 20)
  })
})
