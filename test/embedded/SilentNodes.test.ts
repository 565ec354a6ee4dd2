import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Dispatcher from "../../src/embedded/dispatch/Dispatcher.js"
import * as NodeRegistry from "../../src/embedded/registry/NodeRegistry.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as GrpcServer from "../../src/grpc/GrpcServer.js"
import { NodeAgentService } from "../../src/proto/OrchionV1.js"
import * as Inference from "../support/Inference.js"
import * as Peers from "../support/Peers.js"
import { watched } from "./Watched.js"

const { Status } = GrpcError

/** A node with a model that it may or may not answer with. */
const described = (id: string, port: number) => ({
  id,
  hostname: "",
  agentAddress: `127.0.0.1:${port}`,
  capabilities: { agent_version: "0.1.0", engines: [{ name: "vllm", state: "ready", models: ["test/model"] }] } as never
})

const asked = { ...Inference.request("Hi"), model: "test/model" }

const piece = {
  id: "x",
  model: "test/model",
  object: "chat.completion.chunk",
  pieces: 1,
  choices: [{ index: 0, message: { role: "assistant", content: "Hi" }, finish_reason: "" }]
}

const last = { ...piece, pieces: 0, choices: [{ index: 0, finish_reason: "stop" }] }

const serve = (answers: { chat: "hang" | "begin" | "refuse" | "answer" }) =>
  Effect.map(
    Effect.orDie(GrpcServer.make({ host: "127.0.0.1", port: 0 }, [
      GrpcServer.serve(NodeAgentService)({
        ChatCompletion: {
          relay: (_, { write }) =>
            Effect.suspend(() => {
              if (answers.chat === "refuse") return Effect.fail(GrpcError.fail(Status.INVALID_ARGUMENT, "no"))
              if (answers.chat !== "hang") write(piece, () => {})
              if (answers.chat === "answer") {
                return Effect.async<void>((resume) => write(last, () => resume(Effect.void)))
              }
              return Effect.never
            })
        },
        Embeddings: () => Effect.never
      })
    ])),
    ({ port }) => port
  )

describe("a node that disappears silently", () => {
  it.scopedLive("is given up, before its first word and behind it", () =>
    Effect.gen(function*() {
      const registry = yield* watched(NodeRegistry.make({ heartbeatTimeout: "300 millis" }))
      const dispatcher = yield* watched(Dispatcher.make(registry, { silence: "100 millis" }))
      for (const chat of ["hang", "begin"] as const) {
        yield* registry.register(described("a", yield* serve({ chat })))
        let got = 0
        const error = yield* Effect.flip(dispatcher.chat(asked, () => () => void (got += 1))).pipe(
          Effect.timeout("5 seconds")
        )
        assert.deepInclude(error, { code: Status.UNAVAILABLE, details: "node a stopped responding" })
        assert.strictEqual(got, chat === "begin" ? 1 : 0)
      }
      yield* registry.register(described("a", yield* serve({ chat: "hang" })))
      const error = yield* Effect.flip(dispatcher.embeddings("test/model", ["a"])).pipe(Effect.timeout("5 seconds"))
      assert.deepInclude(error, { code: Status.UNAVAILABLE })
    }))

  it.scopedLive("is waited for as long as its heart beats", () =>
    Effect.gen(function*() {
      const registry = yield* watched(NodeRegistry.make({ heartbeatTimeout: "30 seconds" }))
      const dispatcher = yield* watched(Dispatcher.make(registry, { silence: "50 millis" }))
      yield* registry.register(described("a", yield* serve({ chat: "hang" })))
      const over = yield* Effect.timeoutOption(dispatcher.chat(asked, () => () => {}), "500 millis")
      assert.strictEqual(over._tag, "None")
    }))

  it.scopedLive(
    "that takes a connection and says nothing is no longer tried after some seconds",
    () =>
      Effect.gen(function*() {
        const registry = yield* watched(NodeRegistry.make())
        const dispatcher = yield* watched(Dispatcher.make(registry))
        yield* registry.register(described("a", yield* Peers.silent))
        const error = yield* Effect.flip(dispatcher.chat(asked, () => () => {})).pipe(Effect.timeout("10 seconds"))
        assert.include(error.message, "node a cannot be reached")
      }),
    15_000
  )
})

describe("what is counted of a node", () => {
  it.scopedLive("is neither the caller's mistake nor the end of an answer", () =>
    Effect.gen(function*() {
      const registry = yield* watched(NodeRegistry.make())
      const dispatcher = yield* watched(Dispatcher.make(registry))
      const answers: Parameters<typeof serve>[0] = { chat: "refuse" }
      yield* registry.register(described("a", yield* serve(answers)))
      yield* Effect.flip(dispatcher.chat(asked, () => () => {}))
      answers.chat = "answer"
      yield* dispatcher.chat(asked, () => () => {})
      const { served: [served] } = yield* dispatcher.served
      assert.deepInclude(served, { requests: 2, errors: 0, tokens_per_second: 0.2 })
    }))
})
