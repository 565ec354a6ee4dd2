import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as GrpcServer from "../../src/grpc/GrpcServer.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as GrpcOrchestrator from "../../src/orchestrator/grpc/GrpcOrchestrator.js"
import { NodeAgentService } from "../../src/proto/OrchionV1.js"
import * as Inference from "../support/Inference.js"
import * as LogLines from "../support/LogLines.js"
import * as Machines from "../support/Machines.js"
import * as GoOrchestrator from "../support/peers/GoOrchestrator.js"

const registration = (agentAddress: string) => ({
  id: "tester",
  hostname: "127.0.0.1",
  agentAddress,
  report: Machines.report()
})

describe("Orchion's own orchestrator", () => {
  it.scopedLive("takes our node, and gets errors that fit between the quotes of its JSON", () =>
    Effect.gen(function*() {
      const peer = yield* GoOrchestrator.make
      const node = yield* Inference.node([])
      const orchestrator = yield* GrpcOrchestrator.make({ address: { host: "127.0.0.1", port: peer.port } })
      yield* orchestrator.register(registration(`127.0.0.1:${node.port}`))
      yield* orchestrator.heartbeat("tester")
      yield* orchestrator.updateNode("tester", Machines.report())
      const body = yield* peer.chat("tester", {
        model: "C:\\models\\\"llama\"\n",
        messages: [{ role: "user", content: "Hi" }],
        stream: true
      })
      assert.doesNotThrow(() => JSON.parse(body))
      assert.match(body, /C:\/models\/'llama'/)
    }))

  it.scopedLive("goes on to dial the first address that a node gave", () =>
    Effect.gen(function*() {
      const peer = yield* GoOrchestrator.make
      const orchestrator = yield* GrpcOrchestrator.make({ address: { host: "127.0.0.1", port: peer.port } })
      yield* orchestrator.register(registration("127.0.0.1:1"))
      yield* orchestrator.register(registration("127.0.0.1:2"))
      assert.strictEqual(peer.dialled.get("tester"), "127.0.0.1:1")
    }))

  it.scopedLive("does not hold a node's places with chats that it abandons", () => {
    const logs = LogLines.make()
    return Effect.gen(function*() {
      const peer = yield* GoOrchestrator.make
      let inFlight = 0
      let begun = 0
      const piece = {
        object: "chat.completion.chunk",
        choices: [{ index: 0, message: { role: "assistant", content: "x".repeat(10_000) }, finish_reason: "" }]
      }
      const { port } = yield* GrpcServer.make({ host: "127.0.0.1", port: 0, readerPatience: "300 millis" }, [
        GrpcServer.serve(NodeAgentService)({
          ChatCompletion: {
            relay: (_, { write }) =>
              Effect.async<void>(() => {
                inFlight += 1
                begun += 1
                const next = () => write(piece, next)
                next()
              }).pipe(Effect.onInterrupt(() => Effect.sync(() => inFlight--)))
          },
          Embeddings: () => Effect.fail(GrpcError.fail(GrpcError.Status.UNIMPLEMENTED, ""))
        })
      ])
      const orchestrator = yield* GrpcOrchestrator.make({ address: { host: "127.0.0.1", port: peer.port } })
      yield* orchestrator.register(registration(`127.0.0.1:${port}`))
      const request = { model: "m", messages: [{ role: "user", content: "Hi" }], stream: true }
      for (let count = 0; count < 10; count++) yield* peer.abandon("tester", request)
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => begun === 10 })
      yield* Effect.repeat(Effect.sleep("20 millis"), { until: () => inFlight === 0 })
      assert.isNotEmpty(logs.matching(/has read nothing for 300ms/))
    }).pipe(Effect.provide(logs.layer))
  })
})
