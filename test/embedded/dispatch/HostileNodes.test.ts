import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as CancelBudget from "../../../src/embedded/dispatch/CancelBudget.js"
import * as Dispatcher from "../../../src/embedded/dispatch/Dispatcher.js"
import * as NodeRegistry from "../../../src/embedded/registry/NodeRegistry.js"
import * as GrpcError from "../../../src/grpc/GrpcError.js"
import * as GrpcServer from "../../../src/grpc/GrpcServer.js"
import type { ChatCompletionResponse } from "../../../src/proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingResponse } from "../../../src/proto/generated/orchion/v1/EmbeddingResponse.js"
import { NodeAgentService, OrchionLLMService } from "../../../src/proto/OrchionV1.js"
import * as Cluster from "../../support/Cluster.js"
import * as Inference from "../../support/Inference.js"
import * as Peers from "../../support/Peers.js"
import { watched } from "../Watched.js"

const { Status } = GrpcError

const chunk = (content: string, more: Partial<ChatCompletionResponse> = {}): ChatCompletionResponse => ({
  id: "x",
  model: "test/model",
  object: "chat.completion.chunk",
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason: "" }],
  ...more
})

type Relay = GrpcServer.Outlet<ChatCompletionResponse>["write"]

/** A node that answers so. */
const node = (
  chat: (write: Relay, peer: string) => Effect.Effect<void, GrpcError.GrpcError>,
  embeddings: EmbeddingResponse = {}
) =>
  Effect.map(
    Effect.orDie(GrpcServer.make({ host: "127.0.0.1", port: 0 }, [
      GrpcServer.serve(NodeAgentService)({
        ChatCompletion: { relay: (_, { write }, { peer }) => chat(write, peer) },
        Embeddings: () => Effect.succeed(embeddings)
      })
    ])),
    ({ port }) => port
  )

const cluster = (ports: ReadonlyArray<number>) =>
  Effect.gen(function*() {
    const made = yield* Cluster.make([], { heartbeatTimeout: "1 hour" })
    for (const [index, port] of ports.entries()) {
      yield* made.register(Cluster.described(`node-${index}`, port, [Inference.engine("vllm", "")]))
    }
    return made
  })

const chat = ({ client }: Cluster.Cluster, stream = true) =>
  Effect.suspend(() => {
    let text = ""
    return Effect.map(
      client.receive(OrchionLLMService, "ChatCompletion", Inference.request("Hi", { stream }), () => ({ choices }) => {
        text += choices[0]?.message?.content ?? ""
      }),
      () => text
    )
  })

const send = (write: Relay, message: ChatCompletionResponse) =>
  Effect.async<void>((resume) => write(message, () => resume(Effect.void)))

const embed = ({ client }: Cluster.Cluster) =>
  client.unary(OrchionLLMService, "Embeddings", { model: "test/model", input: ["a", "b"] }, { deadline: "10 seconds" })

describe("a node that answers what cannot be passed on", () => {
  it.scopedLive(
    "in 1 MB pieces without end is given up when the answer would be kept whole",
    () =>
      Effect.gen(function*() {
        let sent = 0
        const port = yield* node((write) =>
          Effect.forever(Effect.suspend(() => {
            sent += 1
            return send(write, chunk("x".repeat(1024 * 1024)))
          }))
        )
        const error = yield* Effect.flip(chat(yield* cluster([port]), false))
        assert.strictEqual(error.code, Status.RESOURCE_EXHAUSTED)
        assert.match(error.details, /^the node's answer is too large: /)
        assert.isBelow(sent, 40)
      }),
    60_000
  )

  it.scopedLive("in one message beyond all bounds is named, and the message is not taken", () =>
    Effect.gen(function*() {
      const port = yield* node((write) => send(write, chunk("x".repeat(17 * 1024 * 1024))))
      const error = yield* Effect.flip(chat(yield* cluster([port])))
      assert.match(
        error.details,
        /^node host-of-node-0 sent a message of 17\.0 MiB, more than the 16\.0 MiB that are taken$/
      )
    }))

  const invalid: ReadonlyArray<readonly [what: string, answer: EmbeddingResponse]> = [
    ["too few embeddings", { data: [{ embedding: [1], index: 0 }] }],
    ["one index twice", { data: [{ embedding: [1], index: 0 }, { embedding: [1], index: 0 }] }],
    ["an index beyond the inputs", { data: [{ embedding: [1], index: 0 }, { embedding: [1], index: 2 }] }],
    ["a negative index", { data: [{ embedding: [1], index: 0 }, { embedding: [1], index: -1 }] }],
    ["NaN", { data: [{ embedding: [1], index: 0 }, { embedding: [Number.NaN], index: 1 }] }],
    ["an empty vector", { data: [{ embedding: [1], index: 0 }, { embedding: [], index: 1 }] }]
  ]
  for (const [what, answer] of invalid) {
    it.scopedLive(`with ${what} is passed over for one that answers`, () =>
      Effect.gen(function*() {
        const bad = yield* node(() => Effect.never, answer)
        const alone = yield* cluster([bad])
        const error = yield* Effect.flip(embed(alone))
        assert.strictEqual(error.code, Status.INTERNAL)
        assert.match(error.details, /^the node's answer is not valid: /)
        const good = yield* node(() => Effect.never, {
          data: [{ embedding: [2], index: 1 }, { embedding: [1], index: 0 }]
        })
        const { data } = yield* embed(yield* cluster([bad, good]))
        assert.deepStrictEqual(data.map(({ embedding, index }) => [index, ...embedding]), [[0, 1], [1, 2]])
      }))
  }

  it.scopedLive("with a choice of an impossible index is an error", () =>
    Effect.gen(function*() {
      for (const index of [-1, 128, 2 ** 31 - 1]) {
        const port = yield* node((write) =>
          send(write, chunk("", { choices: [{ index, message: { role: "", content: "Hi" }, finish_reason: "stop" }] }))
        )
        assert.match((yield* Effect.flip(chat(yield* cluster([port])))).details, /more than 128 choices$/)
      }
    }))

  it.scopedLive("without gRPC looks the same as one that is unreachable", () =>
    Effect.gen(function*() {
      for (const peer of [Peers.garbage, Peers.closing]) {
        const error = yield* Effect.flip(chat(yield* cluster([yield* peer])))
        assert.match(
          error.details,
          /^node host-of-node-0 cannot be reached at 127\.0\.0\.1:\d+, where it says it answers$/
        )
      }
    }))
})

describe("callers that leave", () => {
  it.scopedLive("by the thousand do not break the answers of others", () =>
    Effect.gen(function*() {
      let isOpen = true
      const cancelled = new Map<string, number>()
      const port = yield* node((write, peer) =>
        send(write, chunk("a")).pipe(
          Effect.zipRight(Effect.suspend(() => isOpen ? Effect.sleep("50 millis") : Effect.void)),
          Effect.repeat({ while: () => isOpen }),
          Effect.zipRight(send(write, chunk("", { choices: [{ index: 0, finish_reason: "stop" }] }))),
          Effect.onInterrupt(() => Effect.sync(() => cancelled.set(peer, (cancelled.get(peer) ?? 0) + 1))),
          Effect.asVoid
        )
      )
      const registry = yield* watched(NodeRegistry.make({ heartbeatTimeout: "1 hour" }))
      const dispatcher = yield* watched(Dispatcher.make(registry))
      const engines = [{ name: "vllm", state: "ready", models: ["test/model"] }]
      yield* registry.register({
        id: "a",
        hostname: "a",
        agentAddress: `127.0.0.1:${port}`,
        peer: "127.0.0.1",
        capabilities: { agent_version: "0.1.0", engines } as never
      })
      const asked = { ...Inference.request("Hi"), model: "test/model" }
      const staying = yield* Effect.forkAll(
        Effect.replicate(dispatcher.chat(asked, () => () => {}), 8).map((one) => Effect.either(one))
      )
      // Node ends a connection after 1,000 at once, or more than 33 a second for long.
      const from = Date.now()
      yield* Effect.forEach(Array.from({ length: 2000 }), () =>
        Effect.gen(function*() {
          const began = yield* Deferred.make<void>()
          const leaving = yield* Effect.fork(
            dispatcher.chat(asked, () => () => Deferred.unsafeDone(began, Effect.void))
          )
          yield* Deferred.await(began).pipe(Effect.raceFirst(Fiber.await(leaving)))
          yield* Fiber.interrupt(leaving)
        }), { concurrency: 100, discard: true })
      const allowed = CancelBudget.burst + CancelBudget.perSecond * (Date.now() - from) / 1000 + 10
      for (const count of cancelled.values()) assert.isBelow(count, allowed)
      isOpen = false
      const answers = yield* Fiber.join(staying)
      for (const answer of answers) assert.strictEqual(answer._tag, "Right")
    }), 120_000)
})
