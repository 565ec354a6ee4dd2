import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as StallWatch from "../../src/chat/StallWatch.js"

const limits = { source: Duration.minutes(10), reader: Duration.minutes(2) }

const start = (waitsFor: StallWatch.WaitsFor) =>
  Effect.gen(function*() {
    const state = { progress: 0, waitsFor }
    const watch = yield* Effect.fork(Effect.flip(
      StallWatch.watch({ progress: () => state.progress, waitsFor: () => state.waitsFor }, limits)
    ))
    const isOver = Effect.map(Fiber.poll(watch), ({ _tag }) => _tag === "Some")
    return { state, watch, isOver }
  })

describe("the watch over an answer", () => {
  it.effect("ends it when its reader takes nothing for the reader's limit", () =>
    Effect.gen(function*() {
      const { isOver, watch } = yield* start("reader")
      yield* TestClock.adjust("119 seconds")
      assert.isFalse(yield* isOver)
      yield* TestClock.adjust("16 seconds")
      assert.deepInclude(yield* Fiber.join(watch), { waitsFor: "reader" })
    }))

  it.effect("ends it when its source sends nothing for the source's limit, and not before", () =>
    Effect.gen(function*() {
      const { isOver, watch } = yield* start("source")
      yield* TestClock.adjust("599 seconds")
      assert.isFalse(yield* isOver)
      yield* TestClock.adjust("16 seconds")
      assert.deepInclude(yield* Fiber.join(watch), { waitsFor: "source" })
    }))

  it.effect("leaves one alone that moves, however slowly, and one that waits for each side in turn", () =>
    Effect.gen(function*() {
      const { isOver, state, watch } = yield* start("reader")
      for (let step = 0; step < 60; step++) {
        yield* TestClock.adjust("100 seconds")
        state.progress += 1
      }
      for (let step = 0; step < 60; step++) {
        yield* TestClock.adjust("100 seconds")
        state.waitsFor = state.waitsFor === "reader" ? "source" : "reader"
      }
      assert.isFalse(yield* isOver)
      yield* Fiber.interrupt(watch)
    }))
})
