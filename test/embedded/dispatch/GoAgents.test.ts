import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import { Status } from "../../../src/grpc/GrpcError.js"
import { OrchestratorService, OrchionLLMService } from "../../../src/proto/OrchionV1.js"
import * as Cluster from "../../support/Cluster.js"
import * as Inference from "../../support/Inference.js"
import * as GoAgent from "../../support/peers/GoAgent.js"

const chat = ({ client }: Cluster.Cluster, model = "m") =>
  Effect.suspend(() => {
    let text = ""
    return Effect.map(
      client.receive(OrchionLLMService, "ChatCompletion", Inference.request("Hi", { model }), () => ({ choices }) => {
        text += choices[0]?.message?.content ?? ""
      }),
      () => text
    )
  })

const until = (condition: () => boolean) =>
  Effect.sync(condition).pipe(
    Effect.repeat({ until: (done: boolean) => done, schedule: Schedule.spaced("5 millis") }),
    Effect.timeout("20 seconds")
  )

describe("Orchion's own agents", () => {
  it.scopedLive("keep their address when they register again without it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const agent = yield* GoAgent.make("go")
      yield* cluster.register(agent.registration)
      yield* cluster.register({ ...agent.registration, agent_address: "" })
      assert.strictEqual(yield* chat(cluster), "1 2 ")
      // Of a node that was never known, it is its hostname and the port that they all use.
      yield* cluster.register({ id: "new", hostname: "box", agent_address: "" })
      const { nodes } = yield* cluster.client.unary(OrchestratorService, "ListNodes", {}, { deadline: "10 seconds" })
      assert.deepStrictEqual(nodes.map((node) => node.agent_address), [`127.0.0.1:${agent.port}`, "box:50052"])
    }))

  it.scopedLive("fail a request that they answer with an error in the stream, and another is asked", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const [bad, good] = yield* Effect.all([GoAgent.make("a"), GoAgent.make("b")])
      bad.answer = "error"
      yield* cluster.register(bad.registration)
      const error = yield* Effect.flip(chat(cluster))
      assert.deepStrictEqual([error.code, error.details], [
        Status.UNAVAILABLE,
        "the node failed to answer, and did not say why"
      ])
      yield* cluster.register(good.registration)
      for (let turn = 0; turn < 3; turn++) assert.strictEqual(yield* chat(cluster), "1 2 ")
    }))

  it.scopedLive("are read to the end when the caller has gone, and never cancelled", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const agent = yield* GoAgent.make("go", 100, 2)
      yield* cluster.register(agent.registration)
      const leaving = yield* Effect.fork(chat(cluster))
      yield* until(() => agent.asked.length === 1)
      yield* Fiber.interrupt(leaving)
      yield* until(() => agent.ended() === 1)
      assert.strictEqual(agent.spinning(), 0)
    }))

  it.scopedLive("are listed with the models that they have answered for, by any name that chats take", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const agent = yield* GoAgent.make("go")
      yield* cluster.register(agent.registration)
      yield* chat(cluster, "llama3.2:latest")
      const models = JSON.parse((yield* cluster.get("/v1/models")).body)
      assert.deepStrictEqual(models.data.map(({ id }: { readonly id: string }) => id), ["llama3.2:latest"])
      for (const name of ["llama3.2", "llama3.2:latest", "library%2Fllama3.2"]) {
        assert.strictEqual((yield* cluster.get(`/v1/models/${name}`)).status, 200, name)
      }
      assert.strictEqual((yield* cluster.get("/v1/models/llama3")).status, 404)
    }))
})
