import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as ClockJump from "../../src/effect/ClockJump.js"

/** The clock at hand with its wall time set forward by what `ahead` says. */
const wallClock = (ahead: () => number) =>
  Effect.map(Effect.clock, (clock): Clock.Clock => ({
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    sleep: (duration) => clock.sleep(duration),
    currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + ahead()),
    currentTimeNanos: clock.currentTimeNanos,
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + ahead(),
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos()
  }))

describe("ClockJump", () => {
  it.effect("says by how much the wall clock left the monotonic one, once per jump", () =>
    Effect.gen(function*() {
      let ahead = 0
      const wall = yield* wallClock(() => ahead)
      const jump = yield* Effect.withClock(ClockJump.make(), wall)
      const seen: Array<number> = []
      for (const set of [0, 9_999, 3_600_000, 0, -3_600_000, -9_999]) {
        ahead += set
        yield* TestClock.adjust("1 minute")
        seen.push(yield* Effect.withClock(jump.check(), wall))
      }
      assert.deepStrictEqual(seen, [0, 0, 3_600_000, 0, -3_600_000, 0])
    }))

  it.effect("notices a wait that took too long, by the time that was meant to pass", () =>
    Effect.gen(function*() {
      const jump = yield* ClockJump.make(Duration.seconds(15))
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(yield* jump.check("5 seconds"), 0)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(yield* jump.check("5 seconds"), 3_595_000)
      // A wait that was cut short is no jump back.
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* jump.check("1 hour"), 0)
    }))
})
