import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Shutdown from "../../src/agent/Shutdown.js"
import * as RunMain from "../../src/cli/RunMain.js"
import { Engines, type RunningEngine } from "../../src/engine/Engine.js"
import * as LogLines from "../support/LogLines.js"

const vllm: RunningEngine = {
  name: "vllm",
  title: "vLLM",
  state: "ready",
  baseUrl: "http://127.0.0.1:8000",
  model: "m",
  models: ["m"],
  detail: "",
  activity: { inFlight: 0, lastProgressAt: 0 }
}

interface Options {
  /** Answers with the containers that are left. */
  readonly stop: Effect.Effect<ReadonlyArray<string>>
  readonly keepEngines?: boolean
}

const stop = (options: Options) => {
  const logs = LogLines.make()
  return Effect.map(
    Effect.fork(
      Effect.either(Shutdown.stopEngines({
        keepEngines: options.keepEngines ?? false,
        stop: options.stop
      })).pipe(
        Effect.provide([
          Shutdown.StopBudget.layer(Duration.seconds(30)),
          Layer.succeed(Engines, { current: () => [vllm], reports: () => [], changes: Stream.never }),
          logs.layer
        ])
      )
    ),
    (fiber) => ({ fiber, logs })
  )
}

describe("the stop of an agent's engines", () => {
  it.effect("says what it waits for and for how long, and is complete when nothing is left", () =>
    Effect.gen(function*() {
      const { fiber, logs } = yield* stop({ stop: Effect.delay(Effect.succeed([]), "20 seconds") })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Right")
      assert.deepStrictEqual(logs.all.map(({ text }) => text), ["Stopping vLLM, within 1m45s"])
    }))

  it.effect("is cut off within the service unit's 120 s when Docker freezes, and names what is left", () =>
    Effect.gen(function*() {
      const { fiber } = yield* stop({ stop: Effect.never })
      yield* TestClock.adjust("119 seconds")
      const outcome = yield* Fiber.join(fiber)
      assert.strictEqual(outcome._tag, "Left")
      assert.strictEqual(
        outcome._tag === "Left" ? outcome.left.message : "",
        "stopped, but the containers of vLLM may be left: Docker did not remove them within 1m45s; the next start removes "
          + "what is left"
      )
    }))

  it.effect("names the containers that are still there", () =>
    Effect.gen(function*() {
      const { fiber } = yield* stop({ stop: Effect.succeed(["orchion-vllm"]) })
      const outcome = yield* Fiber.join(fiber)
      assert.match(
        outcome._tag === "Left" ? outcome.left.message : "",
        /^stopped, but the container orchion-vllm could not be removed; /
      )
    }))

  it.effect("leaves them where they are to be kept, and says so", () =>
    Effect.gen(function*() {
      const { fiber, logs } = yield* stop({ stop: Effect.succeed([]), keepEngines: true })
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "Right")
      assert.deepStrictEqual(logs.all.map(({ text }) => text), ["Leaving vLLM running (--keep-engines)"])
    }))

  it("ends the command with code 1 and its message when something is left", () => {
    const problem = new Shutdown.StopIncomplete({ problem: "the container orchion-vllm could not be removed" })
    const outcome = RunMain.outcome(Exit.failCause(Cause.parallel(Cause.interrupt(FiberId.none), Cause.die(problem))))
    assert.deepStrictEqual(outcome, { code: 1, line: problem.message })
  })

  it("has time for engines within the unit's limit, and beyond it only for a longer grace period", () => {
    assert.strictEqual(Duration.toSeconds(Shutdown.budgetOf(Duration.seconds(30))), 110)
    assert.strictEqual(Duration.toSeconds(Shutdown.budgetOf(Duration.minutes(10))), 630)
  })
})

describe("a release that hangs", () => {
  it.effect("is left behind when the budget is over", () =>
    Effect.gen(function*() {
      class Hung extends Context.Tag("Hung")<Hung, true>() {}
      const layer = Layer.scoped(Hung, Effect.as(Effect.addFinalizer(() => Effect.never), true as const))
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(
        Shutdown.boundedRelease(layer).pipe(Layer.provide(Shutdown.StopBudget.layer(Duration.zero))),
        scope
      )
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("100 seconds")
      assert.strictEqual((yield* Fiber.poll(closing))._tag, "None")
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.poll(closing))._tag, "Some")
    }))
})
