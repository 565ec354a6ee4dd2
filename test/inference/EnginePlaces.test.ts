import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as EngineError from "../../src/chat/EngineError.js"
import * as EnginePlaces from "../../src/inference/EnginePlaces.js"
import { engine } from "../support/Inference.js"

const start = EnginePlaces.make({
  maxRequests: 2,
  limits: { source: Duration.minutes(10), reader: Duration.minutes(2) }
})

const running = engine("vllm", "http://127.0.0.1:1")

describe("places at an engine", () => {
  it.effect("are as many as allowed, and free again however a request ends", () =>
    Effect.gen(function*() {
      const places = yield* start
      const vllm = { ...running, activity: { inFlight: 0, lastProgressAt: 0 } }
      const endings: ReadonlyArray<Effect.Effect<void, EngineError.EngineError>> = [
        Effect.void,
        Effect.fail(EngineError.make("failed", "x")),
        Effect.die("a defect")
      ]
      for (const ending of endings) {
        yield* Effect.exit(places.use(vllm, () => ending))
        assert.strictEqual(vllm.activity.inFlight, 0)
      }
      const two = yield* Effect.forEach([1, 2], () => Effect.fork(places.use(vllm, () => Effect.never)))
      yield* Effect.yieldNow()
      const refused = yield* Effect.flip(places.use(vllm, () => Effect.void))
      assert.strictEqual(refused._tag, "GrpcError")
      yield* Effect.forEach(two, Fiber.interrupt)
      assert.strictEqual(vllm.activity.inFlight, 0)
      assert.deepInclude(places.stats.of("vllm").report(0, 0), {
        requests: 5,
        errors: 3,
        errorsByKind: [{ kind: "failed", count: 1 }, { kind: "internal", count: 1 }, { kind: "not-admitted", count: 1 }]
      })
    }))

  it.effect("measure from the request to its first piece and to the engine's end, by the clock at hand", () =>
    Effect.gen(function*() {
      const places = yield* start
      const vllm = { ...running, activity: { inFlight: 0, lastProgressAt: 0 } }
      yield* places.use(vllm, (place) =>
        Effect.gen(function*() {
          yield* TestClock.adjust("250 millis")
          place.progressed(1)
          yield* TestClock.adjust("250 millis")
          place.progressed(9)
          place.ended({ usage: { promptTokens: 4, completionTokens: 10 } })
          // What the reader takes after that is not the engine's time, nor its place.
          assert.strictEqual(vllm.activity.inFlight, 0)
          yield* TestClock.adjust("1 minute")
        }))
      assert.strictEqual(vllm.activity.lastProgressAt, 500)
      assert.deepInclude(places.stats.of("vllm").report(0, 500), {
        firstTokenMs: 250,
        durationMs: 500,
        promptTokens: 4,
        completionTokens: 10,
        tokensPerSecond: 2
      })
    }))
})
