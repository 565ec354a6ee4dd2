/** Ends a stalled answer: its engine sends nothing, or its reader reads nothing. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"

/** The side that an answer waits for: the `source` of its pieces, or its `reader`. */
export type WaitsFor = "source" | "reader"

/** How long an answer may wait without progress. */
export type StallLimits = Readonly<Record<WaitsFor, Duration.Duration>>

/** An answer, as seen from outside. */
export interface Watched {
  /** Grows with each piece that comes and each message that the reader takes. */
  readonly progress: () => number
  readonly waitsFor: () => WaitsFor
}

export class Stalled extends Data.TaggedError("Stalled")<{
  readonly waitsFor: WaitsFor
  readonly after: Duration.Duration
}> {}

/** Looks at an answer this often at least, and this often while it waits. */
const maxTick = Duration.seconds(15)
const ticksPerLimit = 8

/**
 * Fails with {@link Stalled} once the answer has waited for one side for that side's limit; at most an eighth of the
 * shorter limit later. For `Effect.raceFirst`: nothing is left when the answer ends.
 *
 * Counts its own ticks instead of comparing times, so that an answer does not stall because the machine slept.
 */
export const watch = ({ progress, waitsFor }: Watched, limits: StallLimits): Effect.Effect<never, Stalled> => {
  const tick = Duration.min(maxTick, Duration.times(Duration.min(limits.source, limits.reader), 1 / ticksPerLimit))
  const tickMillis = Math.max(1, Duration.toMillis(tick))
  const look = (seen: number, waited: WaitsFor, idleMillis: number): Effect.Effect<never, Stalled> =>
    Effect.flatMap(Effect.sleep(tickMillis), () => {
      const now = progress()
      const side = waitsFor()
      const idle = now === seen && side === waited ? idleMillis + tickMillis : 0
      return idle >= Duration.toMillis(limits[side])
        ? Effect.fail(new Stalled({ waitsFor: side, after: limits[side] }))
        : look(now, side, idle)
    })
  return Effect.suspend(() => look(progress(), waitsFor(), 0))
}
