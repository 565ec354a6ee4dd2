/** Waiting for what can be observed, in tests whose clock stands still. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Until a condition holds; the test's own time limit is the bound. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.zipRight(turn, eventually(condition))))

/** Until some fiber sleeps for so many milliseconds more, give or take a share. */
export const asleepFor = (millis: number, share = 0): Effect.Effect<void> =>
  Effect.gen(function*() {
    while (true) {
      const now = yield* Clock.currentTimeMillis
      const wakes = yield* TestClock.sleeps()
      for (const wake of wakes) {
        if (Math.abs(wake - now - millis) < 1 + share * millis) return
      }
      yield* turn
    }
  })

/** Lets the clock pass a wait that is jittered by a fifth, once some fiber sleeps for it. */
export const backOff = (millis: number): Effect.Effect<void> =>
  Effect.zipRight(asleepFor(millis, 0.2), TestClock.adjust(1.2 * millis + 1))

/** Lets the clock pass what a fiber sleeps for, once it does. */
export const sleepThrough = (millis: number): Effect.Effect<void> =>
  Effect.zipRight(asleepFor(millis), TestClock.adjust(millis))
