/** A slow detection: it runs in the background, never twice at once, and fails alone. */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import { finding } from "../node/Findings.js"
import type { Finding } from "../node/NodeCapabilities.js"
import * as Printable from "../text/Printable.js"

/** What one run of a probe found. */
export interface Reading<A> {
  readonly facts: A
  readonly findings: ReadonlyArray<Finding>
  /** How long these facts are good for: the next run is not before that. Absent: until the next look. */
  readonly goodFor?: Duration.DurationInput
}

export interface Probe<A> {
  readonly subject: string
  /** What the last run found; the probe's initial facts before the first one has ended. */
  readonly last: () => Reading<A>
  /** Whether a run has ended. */
  readonly hasRun: () => boolean
  /** Whether `start` would start a run at this time, in milliseconds since 1970. */
  readonly isDue: (now: number) => boolean
  readonly isRunning: () => boolean
  /** Starts a run, unless one is running or the facts are still good. Does not wait for it. */
  readonly start: Effect.Effect<void>
  /** Waits until no run is running. */
  readonly settled: Effect.Effect<void>
  /** `start`, then `settled`. */
  readonly run: Effect.Effect<void>
  /** Makes a run due now, whatever the facts are good for. */
  readonly forget: () => void
}

export interface ProbeOptions<A> {
  /** What the probe is about, for a person: `NVIDIA GPUs`. */
  readonly subject: string
  readonly initial: A
  /** Finds the facts, within its own deadline. */
  readonly detect: (previous: A) => Effect.Effect<Reading<A>>
}

/** A defect in a probe costs this probe's facts, and is reported. */
const failed = <A>({ initial, subject }: ProbeOptions<A>, cause: Cause.Cause<unknown>): Reading<A> => ({
  facts: initial,
  findings: [finding({
    code: "probe.failed",
    severity: "error",
    subject,
    message: `Detection of ${subject} failed unexpectedly: ${Printable.oneLine(String(Cause.squash(cause)), 200)}.`,
    remedy: "This is a bug in the agent: please report it together with the agent's log."
  })],
  goodFor: "1 minute"
})

/** A probe whose runs end with the scope. */
export const make = <A>(options: ProbeOptions<A>): Effect.Effect<Probe<A>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let reading: Reading<A> = { facts: options.initial, findings: [] }
    let running: Fiber.RuntimeFiber<void> | undefined
    let finishedAt: number | undefined
    let generation = 0
    let hasRun = false

    const isDue = (now: number): boolean => {
      if (running !== undefined) return false
      if (finishedAt === undefined) return true
      const age = now - finishedAt
      // A clock that was set back makes every age wrong.
      return age < 0 || age >= Duration.toMillis(reading.goodFor ?? 0)
    }

    const detect = Effect.suspend(() => {
      const own = generation
      return Effect.suspend(() => options.detect(reading.facts)).pipe(
        Effect.catchAllCause((cause) =>
          Cause.isInterruptedOnly(cause)
            ? Effect.failCause(cause)
            : Effect.as(Effect.logError(`Detection of ${options.subject} failed`, cause), failed(options, cause))
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
      if (!isDue(now)) return Effect.void
      return Effect.flatMap(Effect.forkIn(Effect.interruptible(detect), scope), (fiber) =>
        Effect.sync(() => {
          // It may have ended already.
          if (fiber.unsafePoll() === null) running = fiber
        }))
    }))

    const settled = Effect.suspend(() => running === undefined ? Effect.void : Fiber.await(running))

    return {
      subject: options.subject,
      last: () => reading,
      hasRun: () => hasRun,
      isDue,
      isRunning: () => running !== undefined,
      start,
      settled,
      run: Effect.zipRight(start, settled),
      forget: () => {
        generation++
        finishedAt = undefined
      }
    }
  })
