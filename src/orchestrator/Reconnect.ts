/** When to retry after the orchestrator could not be reached. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../effect/Backoff.js"

/** Retry timings. Every wait is jittered by a fifth either way, so that a fleet does not reconnect in lockstep. */
export interface ReconnectPolicyOptions {
  /** Before the first retry; each further wait is twice the one before. */
  readonly base: Duration.DurationInput
  /** The longest wait. */
  readonly cap: Duration.DurationInput
  /** The wait after a rejection, which retrying alone does not change. */
  readonly afterRejection: Duration.DurationInput
  /** How long the connection must work before waits start from `base` again. */
  readonly resetAfter: Duration.DurationInput
}

export class ReconnectPolicy extends Context.Reference<ReconnectPolicy>()("@orchion/node-agent/ReconnectPolicy", {
  defaultValue: (): ReconnectPolicyOptions => ({
    base: "500 millis",
    cap: "30 seconds",
    afterRejection: "60 seconds",
    resetAfter: "10 seconds"
  })
}) {}

/** The waits between attempts: exponential, capped, jittered, forever. */
export const schedule = ({ base, cap }: ReconnectPolicyOptions): Schedule.Schedule<Duration.Duration> =>
  Backoff.schedule({ base, cap })

/** A failed attempt. */
export interface Failure<E> {
  readonly error: E
  readonly wait: Duration.Duration
}

/** Retries that remember, across outages, how flaky the connection has been. */
export interface Reconnect<E> {
  /** Records that the orchestrator answered. */
  readonly succeeded: Effect.Effect<void>
  /** Reports a failed attempt, and waits until the next one is due. */
  readonly failed: (error: E) => Effect.Effect<void>
  /** Opens a session, and the next one whenever it ends with an error. */
  readonly keep: <R>(session: Effect.Effect<never, E, R>) => Effect.Effect<never, never, R>
}

/**
 * `isRejection` selects the errors that get the long wait; `onFailure` runs before each wait.
 *
 * Not `Schedule.resetAfter`: it counts the time since the schedule's first step, so that in the middle of one long outage the
 * wait falls back to `base`.
 */
export const make = <E>(options: {
  readonly isRejection: (error: E) => boolean
  readonly onFailure: (failure: Failure<E>) => Effect.Effect<void>
}): Effect.Effect<Reconnect<E>> =>
  Effect.gen(function*() {
    const policy = yield* ReconnectPolicy
    const driverOf = (waits: Schedule.Schedule<Duration.Duration>) =>
      Schedule.driver(
        Schedule.identity<E>().pipe(
          Schedule.intersect(waits),
          // Before the driver sleeps.
          Schedule.tapOutput(([error, wait]) => options.onFailure({ error, wait }))
        )
      )
    const outage = yield* driverOf(schedule(policy))
    const rejection = yield* driverOf(Schedule.delays(Schedule.jittered(Schedule.spaced(policy.afterRejection))))
    /** Since when every attempt has succeeded; `undefined` while attempts fail. */
    const goodSince = yield* Ref.make<number | undefined>(undefined)

    const failed = Effect.fn("Reconnect.failed")(function*(error: E) {
      const since = yield* Ref.getAndSet(goodSince, undefined)
      const now = yield* Clock.currentTimeMillis
      if (since !== undefined && now - since >= Duration.toMillis(policy.resetAfter)) yield* outage.reset
      // Neither schedule ends.
      yield* Effect.orDie((options.isRejection(error) ? rejection : outage).next(error))
    })
    return {
      succeeded: Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.update(goodSince, (since) => since ?? now)),
      failed,
      keep: (session) => Effect.forever(Effect.catchAll(session, failed))
    }
  })
