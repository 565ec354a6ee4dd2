/** When to try again after the orchestrator could not be reached. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"

/** How patiently an agent tries again. Every wait is jittered by a fifth either way, so that a fleet never returns in step. */
export interface ReconnectPolicyOptions {
  /** Before the first retry; each further wait is twice the one before. */
  readonly base: Duration.DurationInput
  /** The longest wait. */
  readonly cap: Duration.DurationInput
  /** The wait after the orchestrator said no, which repeating alone does not change. */
  readonly afterRejection: Duration.DurationInput
  /** How long the connection must have been good for the waits to start from `base` again. */
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

/** The waits between tries: exponential, capped, jittered, without end. */
export const schedule = ({ base, cap }: ReconnectPolicyOptions): Schedule.Schedule<Duration.Duration> =>
  Schedule.exponential(base).pipe(
    Schedule.union(Schedule.spaced(cap)),
    Schedule.jittered,
    Schedule.delays
  )

/** A failed try. */
export interface Failure<E> {
  readonly error: E
  readonly wait: Duration.Duration
}

/** Retries that remember, from one outage to the next, how flaky the connection has been. */
export interface Reconnect {
  /**
   * Repeats an effect until it succeeds. `isRejection` tells which errors are answered with the long wait;
   * `onFailure` runs before each wait.
   */
  readonly retry: <A, E, R>(effect: Effect.Effect<A, E, R>, options: {
    readonly isRejection: (error: E) => boolean
    readonly onFailure: (failure: Failure<E>) => Effect.Effect<void>
  }) => Effect.Effect<A, never, R>
}

export const make: Effect.Effect<Reconnect> = Effect.gen(function*() {
  const policy = yield* ReconnectPolicy
  /** Since when each try has succeeded; `undefined` while tries fail. */
  const goodSince = yield* Ref.make<number | undefined>(undefined)
  /** The wait that a schedule's driver is about to make: it is told before the driver sleeps. */
  const driverOf = (waits: Schedule.Schedule<Duration.Duration>) =>
    Effect.gen(function*() {
      const tell = yield* Ref.make((_wait: Duration.Duration): Effect.Effect<void> => Effect.void)
      const driver = yield* Schedule.driver(
        Schedule.tapOutput(waits, (wait) => Effect.flatMap(Ref.get(tell), (told) => told(wait)))
      )
      return {
        wait: (told: (wait: Duration.Duration) => Effect.Effect<void>) =>
          Effect.zipRight(Ref.set(tell, told), Effect.orDie(driver.next(undefined))),
        reset: driver.reset
      }
    })
  const outage = yield* driverOf(schedule(policy))
  const rejection = yield* driverOf(Schedule.delays(Schedule.jittered(Schedule.spaced(policy.afterRejection))))

  const succeeded = Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.update(goodSince, (since) => since ?? now))

  const failed = Effect.gen(function*() {
    const since = yield* Ref.getAndSet(goodSince, undefined)
    const now = yield* Clock.currentTimeMillis
    if (since !== undefined && now - since >= Duration.toMillis(policy.resetAfter)) yield* outage.reset
  })

  return {
    retry: <A, E, R>(effect: Effect.Effect<A, E, R>, { isRejection, onFailure }: {
      readonly isRejection: (error: E) => boolean
      readonly onFailure: (failure: Failure<E>) => Effect.Effect<void>
    }) => {
      const attempt: Effect.Effect<A, never, R> = Effect.matchEffect(effect, {
        onSuccess: (value) => Effect.as(succeeded, value),
        onFailure: (error) =>
          failed.pipe(
            Effect.zipRight((isRejection(error) ? rejection : outage).wait((wait) => onFailure({ error, wait }))),
            Effect.zipRight(Effect.suspend(() => attempt))
          )
      })
      return attempt
    }
  }
})
