/**
 * Detects jumps of the wall clock: the machine slept, was restored from a snapshot, or had its clock set.
 *
 * What was known before may no longer be true after a jump, and time measured across it means nothing.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

export interface ClockJump {
  /**
   * How far, in milliseconds, the wall clock moved beyond what should have passed since the last `check` or `mark`:
   * positive when it went forward, negative when it went back, 0 within the threshold. Marks.
   *
   * Without `expected` that is what passed on the monotonic clock, which stands still while a machine sleeps. With
   * `expected`, the wait that the caller meant to make, a suspended process is detected too.
   */
  readonly check: (expected?: Duration.DurationInput) => Effect.Effect<number>
  /** Starts measuring from now. */
  readonly mark: Effect.Effect<void>
}

/** Less than this is lag of the event loop, or a clock being adjusted. */
const defaultThreshold = Duration.seconds(10)

const now = Effect.clockWith((clock) =>
  Effect.sync(() => ({
    wall: clock.unsafeCurrentTimeMillis(),
    monotonic: Number(clock.unsafeCurrentTimeNanos() / 1_000_000n)
  }))
)

/** Marks at once. */
export const make = (threshold: Duration.DurationInput = defaultThreshold): Effect.Effect<ClockJump> =>
  Effect.map(now, (start) => {
    let last = start
    const minMillis = Duration.toMillis(threshold)
    return {
      mark: Effect.map(now, (at) => {
        last = at
      }),
      check: (expected) =>
        Effect.map(now, (at) => {
          const passed = expected === undefined ? at.monotonic - last.monotonic : Duration.toMillis(expected)
          const jump = at.wall - last.wall - passed
          // A wait may be cut short: only a clock that went back is a jump back.
          const back = expected === undefined ? jump : Math.min(0, at.wall - last.wall)
          last = at
          return jump >= minMillis || back <= -minMillis ? jump : 0
        })
    }
  })
