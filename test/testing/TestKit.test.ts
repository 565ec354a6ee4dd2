/** The stand-ins that the package offers to tests of programs that use it. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { Capabilities } from "../../src/capabilities/Capabilities.js"
import { Engines } from "../../src/engine/Engine.js"
import { Orchestrator, OrchestratorUnreachable } from "../../src/orchestrator/Orchestrator.js"
import { TestEngine, TestMachine, TestOrchestrator } from "../../src/testing/index.js"

const post = (url: string, body: unknown) =>
  Effect.promise(async () => {
    const response = await fetch(`${url}/v1/chat/completions`, { method: "POST", body: JSON.stringify(body) })
    return { status: response.status, text: await response.text() }
  })

const messages = [{ role: "user", content: "hello" }]

describe("the test kit", () => {
  it.effect("has a machine that is what the test says, also later", () =>
    Effect.gen(function*() {
      const { forget, readAll } = yield* Capabilities
      const machine = yield* TestMachine.TestMachine
      assert.lengthOf((yield* readAll).gpus, 0)
      yield* machine.set(TestMachine.capabilities({ gpus: [TestMachine.gpu({ index: 3 })] }))
      assert.strictEqual((yield* readAll).gpus[0]?.index, 3)
      yield* forget
      assert.strictEqual(yield* machine.timesForgotten, 1)
    }).pipe(Effect.provide(TestMachine.layer())))

  it.effect("has an orchestrator that answers as configured, and remembers what it was asked", () =>
    Effect.gen(function*() {
      const orchestrator = yield* Orchestrator
      const script = yield* TestOrchestrator.TestOrchestrator
      yield* orchestrator.heartbeat("a")
      const refusal = new OrchestratorUnreachable({ address: "x:1", reason: "connection refused", timedOut: false })
      yield* script.answer({ heartbeat: Effect.fail(refusal) })
      assert.deepEqual(yield* Effect.either(orchestrator.heartbeat("b")), Either.left(refusal))
      assert.deepEqual((yield* script.calls).map((call) => call.method), ["heartbeat", "heartbeat"])
      assert.strictEqual((yield* script.waitFor(TestOrchestrator.isMethod("heartbeat"))).nodeId, "a")
    }).pipe(Effect.provide(TestOrchestrator.layer)))

  it.live("has an engine that answers chats whole and in pieces, remembers them, and fails when asked to", () =>
    Effect.gen(function*() {
      const engine = yield* TestEngine.TestEngine
      const whole = yield* post(engine.baseUrl, { model: "test-model", messages })
      assert.strictEqual(JSON.parse(whole.text).choices[0].message.content, "hello")
      yield* engine.setAnswer(() => ["one ", "two"])
      const pieces = yield* post(engine.baseUrl, { model: "test-model", messages, stream: true })
      assert.match(pieces.text, /"one ".*\n\n.*"two".*\n\n[^]*data: \[DONE\]\n\n$/)
      assert.lengthOf(yield* engine.requests, 2)
      assert.strictEqual((yield* post(engine.baseUrl, { model: "other", messages })).status, 404)
      assert.strictEqual((yield* post(engine.baseUrl, "nonsense")).status, 400)
      yield* engine.setHealthy(false)
      assert.strictEqual((yield* post(engine.baseUrl, { model: "test-model", messages })).status, 503)
    }).pipe(Effect.provide(TestEngine.layer())))

  it.live("offers its engine to what relays requests", () =>
    Effect.gen(function*() {
      const { baseUrl } = yield* TestEngine.TestEngine
      const { current, reports } = yield* Engines
      assert.deepInclude(current()[0], { baseUrl, models: ["test-model"], state: "ready" })
      assert.strictEqual(reports()[0]?.name, "test-engine")
    }).pipe(Effect.provide(TestEngine.layerEngines().pipe(Layer.provideMerge(TestEngine.layer())))))
})
