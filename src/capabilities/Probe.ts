/** A way to find facts that takes its time: it runs in the background, never twice at once, and fails alone. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { finding } from "../node/Findings.js"
import type { Finding } from "../node/NodeCapabilities.js"

/** What one run of a probe found. */
export interface Reading<A> {
  readonly facts: A
  readonly findings: ReadonlyArray<Finding>
  /** How long these facts are good for: the next run is not before that. Absent: until the next refresh. */
  readonly goodFor?: Duration.DurationInput
}

export interface Probe<A> {
  /** What the last run found; the probe's initial facts before the first one has ended. */
  readonly last: () => Reading<A>
  /** Whether a run has ended. */
  readonly hasRun: () => boolean
  /** Starts a run, unless one is under way or the facts are still good. Does not wait for it. */
  readonly start: Effect.Effect<void>
  /** Waits until no run is under way. */
  readonly settled: Effect.Effect<void>
  /** `start`, then `settled`. */
  readonly run: Effect.Effect<void>
  /** Makes a run due now, whatever the facts are good for. */
  readonly forget: Effect.Effect<void>
}

export interface ProbeOptions<A> {
  /** What the probe is about, for a person: `NVIDIA GPUs`. */
  readonly subject: string
  readonly initial: A
  /** Finds the facts, within its own deadline. */
  readonly detect: (previous: A) => Effect.Effect<Reading<A>>
}

/** A probe whose runs end with the scope. */
export const make = <A>(options: ProbeOptions<A>): Effect.Effect<Probe<A>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let reading: Reading<A> = { facts: options.initial, findings: [] }
    let running: Fiber.RuntimeFiber<void> | undefined
    let finishedAt: number | undefined
    let generation = 0
    let hasRun = false

    const isDue = (now: number): boolean => {
      if (finishedAt === undefined) return true
      const age = now - finishedAt
      // A clock that was set back makes every age wrong.
      return age < 0 || age >= Duration.toMillis(reading.goodFor ?? 0)
    }

    const detect = Effect.suspend(() => {
      const own = generation
      return Effect.suspend(() => options.detect(reading.facts)).pipe(
        // A mistake in a probe costs this probe's facts, and is told.
        Effect.catchAllCause((cause) =>
          Cause.isInterruptedOnly(cause)
            ? Effect.failCause(cause)
            : Effect.as(Effect.logError(`The detection of ${options.subject} failed.`, cause), {
              facts: options.initial,
              findings: [finding({
                code: "probe.failed",
                severity: "error",
                subject: options.subject,
                message: `The detection of ${options.subject} failed unexpectedly: ${
                  String(Cause.squash(cause)).slice(0, 200)
                }.`,
                remedy: "Please report this together with the agent's log."
              })],
              goodFor: "1 minute" as const
            })
        ),
        Effect.flatMap((found) =>
          Effect.map(Clock.currentTimeMillis, (now) => {
            reading = found
            hasRun = true
            finishedAt = own === generation ? now : undefined
          })
        ),
        Effect.ensuring(Effect.sync(() => running = undefined))
      )
    })

    const start = Effect.uninterruptible(Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (running !== undefined || !isDue(now)) return Effect.void
      return Effect.flatMap(Effect.forkIn(Effect.interruptible(detect), scope), (fiber) =>
        Effect.sync(() => {
          // It may have ended already.
          if (fiber.unsafePoll() === null) running = fiber
        }))
    }))

    const settled = Effect.suspend(() => running === undefined ? Effect.void : Fiber.await(running))

    return {
      last: () => reading,
      hasRun: () => hasRun,
      start,
      settled,
      run: Effect.zipRight(start, settled),
      forget: Effect.sync(() => {
        generation++
        finishedAt = undefined
      })
    }
  })
