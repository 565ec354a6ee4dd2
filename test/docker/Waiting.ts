/** Waiting for what can be observed, in tests whose clock stands still. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"

const turn = Effect.promise(() => new Promise<void>((resolve) => setImmediate(resolve)))

/** Until a condition holds; the test's own time limit is the bound. */
export const eventually = (condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => (condition() ? Effect.void : Effect.zipRight(turn, eventually(condition))))

/** Waits until some fiber sleeps for a time that is accepted, and tells for how many milliseconds. */
const asleep = (accepts: (millis: number) => boolean): Effect.Effect<number> =>
  Effect.gen(function*() {
    while (true) {
      const now = yield* Clock.currentTimeMillis
      for (const wake of yield* TestClock.sleeps()) if (accepts(wake - now)) return wake - now
      yield* turn
    }
  })

/** Until some fiber sleeps for so many milliseconds more. */
export const asleepFor = (millis: number): Effect.Effect<void> =>
  Effect.asVoid(asleep((left) => Math.abs(left - millis) < 1))

/** Lets the clock pass a wait that is jittered by a fifth, once some fiber sleeps for it. */
export const backOff = (millis: number): Effect.Effect<void> =>
  Effect.flatMap(
    // A jittered wait is hardly ever one of whole milliseconds; the deadline of a request in flight is.
    asleep((left) => Math.abs(left - Math.round(left)) > 1e-6 && Math.abs(left - millis) <= 0.2 * millis),
    (left) => TestClock.adjust(left)
  )

/** Lets the clock pass what a fiber sleeps for, once it does. */
export const sleepThrough = (millis: number): Effect.Effect<void> =>
  Effect.zipRight(asleepFor(millis), TestClock.adjust(millis))
