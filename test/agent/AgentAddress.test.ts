import * as os from "node:os"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as AgentAddress from "../../src/agent/AgentAddress.js"

const towards = (host: string) =>
  AgentAddress.find({ advertised: Option.none(), orchestrator: { host, port: 50_051 }, port: 50_052 })

/** What the agent says when it cannot find out. */
const fallback = () => {
  const found = Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => !internal && family === "IPv4")
  return `${found?.address ?? os.hostname()}:50052`
}

describe("the address that an agent is reached at", () => {
  it.effect("is the one that is advertised, with the service's port unless another is given", () =>
    Effect.gen(function*() {
      const find = (host: string, port: Option.Option<number>) =>
        AgentAddress.find({
          advertised: Option.some({ host, port }),
          orchestrator: { host: "localhost", port: 50_051 },
          port: 50_052
        })
      assert.strictEqual(yield* find("node7.lan", Option.none()), "node7.lan:50052")
      assert.strictEqual(yield* find("10.0.0.7", Option.some(6_000)), "10.0.0.7:6000")
      assert.strictEqual(yield* find("fd00::7", Option.none()), "[fd00::7]:50052")
    }))

  it.live("is this machine's own for an orchestrator that runs on it", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* towards("127.0.0.1"), "127.0.0.1:50052")
      assert.match(yield* towards("localhost"), /^(127\.0\.0\.1|\[::1\]):50052$/)
    }))

  it.live("is one that others may know when there is no way to the orchestrator", () =>
    Effect.gen(function*() {
      // No socket may be connected to the broadcast address.
      assert.strictEqual(yield* towards("255.255.255.255"), fallback())
    }))

  it.live("is one that others may know when the orchestrator's name does not resolve", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* towards("orchestrator.invalid"), fallback())
    }))
})
