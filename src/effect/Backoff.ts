/** Exponential backoff with a limit and a fifth of jitter, used for every retry. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

export interface BackoffOptions {
  /** The first wait. */
  readonly base: Duration.DurationInput
  /** The longest wait, before jitter. */
  readonly cap: Duration.DurationInput
}

/** Recurs forever; its output is the next wait, jitter included. */
export const schedule = ({ base, cap }: BackoffOptions): Schedule.Schedule<Duration.Duration> =>
  Schedule.exponential(base).pipe(Schedule.union(Schedule.spaced(cap)), Schedule.jittered, Schedule.delays)

/** The wait before attempt `attempt` (1 is the first retry), without jitter. */
export const wait = ({ base, cap }: BackoffOptions, attempt: number): Duration.Duration =>
  Duration.min(Duration.times(base, 2 ** Math.min(Math.max(0, attempt - 1), 30)), cap)

/** A wait, jittered by a fifth. */
export const jittered = (wait: Duration.Duration): Effect.Effect<Duration.Duration> =>
  Effect.map(Random.nextRange(0.8, 1.2), (factor) => Duration.times(wait, factor))

/** Retries until it succeeds; `onFailure` gets the error and the next wait, before the wait. */
export const untilItSucceeds = <A, E, R, R2 = never>(
  effect: Effect.Effect<A, E, R>,
  options: BackoffOptions & {
    readonly onFailure: (error: E, wait: Duration.Duration) => Effect.Effect<void, never, R2>
  }
): Effect.Effect<A, never, R | R2> =>
  Effect.retry(
    effect,
    Schedule.identity<E>().pipe(
      Schedule.intersect(schedule(options)),
      Schedule.tapOutput(([error, wait]) => options.onFailure(error, wait))
    )
  ).pipe(Effect.orDie)
