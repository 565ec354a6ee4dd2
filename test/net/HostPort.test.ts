import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Option from "effect/Option"
import * as HostPort from "../../src/net/HostPort.js"
import * as CpuTime from "../support/CpuTime.js"

const target = (text: string) => Option.getOrUndefined(HostPort.parseTarget(text, 50_051))

describe("a gRPC target", () => {
  it.each(
    [
      ["10.0.0.7:50052", { host: "10.0.0.7", port: 50_052 }],
      ["orchestrator.lan", { host: "orchestrator.lan", port: 50_051 }],
      ["orchestrator.lan.", { host: "orchestrator.lan.", port: 50_051 }],
      [" localhost:1 \n", { host: "localhost", port: 1 }],
      [":50051", { host: "localhost", port: 50_051 }],
      ["dns:///host:50052", { host: "host", port: 50_052 }],
      ["dns:host:50052", { host: "host", port: 50_052 }],
      ["dns:///host", { host: "host", port: 50_051 }],
      ["passthrough:///10.0.0.7:50052", { host: "10.0.0.7", port: 50_052 }],
      ["ipv4:10.0.0.7:50052", { host: "10.0.0.7", port: 50_052 }],
      ["ipv6:[fd00::7]:50052", { host: "fd00::7", port: 50_052 }],
      ["[fd00::7]:50052", { host: "fd00::7", port: 50_052 }],
      ["[fd00::7]", { host: "fd00::7", port: 50_051 }],
      ["fd00::7", { host: "fd00::7", port: 50_051 }],
      ["::1", { host: "::1", port: 50_051 }],
      ["dns:///:50052", { host: "localhost", port: 50_052 }]
    ] as const
  )("%j is an address", (text, expected) => {
    assert.deepStrictEqual(target(text), expected)
  })

  it.each([
    "",
    ":",
    ":0",
    ":65536",
    "host:",
    "host:0",
    "host:port",
    "http://host:50051",
    "dns://8.8.8.8/host:50051",
    "unix:/run/x.sock",
    "a b:1",
    "fd00::7:99999:1:1:1:1:1:1",
    "[fd00::7",
    "x".repeat(400)
  ])("%j is none", (text) => {
    assert.isUndefined(target(text))
  })

  it("is read from any text without a throw or a long wait, and never as an impossible address", () => {
    const piece = FastCheck.constantFrom(
      "[",
      "]",
      ":",
      "::",
      "dns:",
      "///",
      "%",
      ".",
      "1",
      "a",
      "-",
      " ",
      "\u0000",
      "é"
    )
    const text = FastCheck.oneof(
      FastCheck.string({ unit: "binary", maxLength: 100 }),
      FastCheck.array(piece, { maxLength: 30 }).map((pieces) => pieces.join(""))
    )
    FastCheck.assert(
      FastCheck.property(text, (text) => {
        const found = target(text)
        if (found === undefined) return
        assert.match(found.host, /^[\w.:%-]+$/)
        assert.isTrue(Number.isInteger(found.port) && found.port > 0 && found.port < 65_536)
        assert.deepStrictEqual(Option.getOrUndefined(HostPort.parse(HostPort.format(found))), found)
      }),
      { numRuns: 2_000 }
    )
    for (const unit of ["a", "a.", "a-", "[:", ":", "dns:", " ", "::1%"]) {
      const text = Buffer.from(unit.repeat(1_048_576 / unit.length)).toString("latin1")
      assert.isBelow(CpuTime.millisOf(() => target(text)), 100)
    }
  })
})
