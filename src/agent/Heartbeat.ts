/** Keeps the node alive in the orchestrator's eyes: a heartbeat, or a registration where that is what it takes. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Capabilities } from "../capabilities/Capabilities.js"
import * as ClockJump from "../effect/ClockJump.js"
import * as GoDuration from "../text/GoDuration.js"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import { Reporter } from "./Reporter.js"

/** Of the wall clock between two heartbeats: the machine slept, or its clock was set. */
const jump = Duration.seconds(15)

/** The least time between two lines about having been forgotten: an orchestrator may do so at each heartbeat. */
const forgottenReminder = Duration.minutes(1)

export interface Heartbeat {
  /** Registers where the orchestrator does not know this node, or may not; else sends a heartbeat. */
  readonly send: Effect.Effect<void, OrchestratorError>
  /** The orchestrator has taken it. */
  readonly sent: Effect.Effect<void>
  /**
   * After a sleep, or when the clock was set, the next {@link send} registers, on a new connection. `wait` is how long the
   * caller waited since {@link sent}.
   */
  readonly noticeSleep: (wait: Duration.Duration) => Effect.Effect<void>
}

const inSeconds = (millis: number) => GoDuration.format(Duration.seconds(Math.round(millis / 1000)))

export const make = (
  interval: Duration.Duration
): Effect.Effect<Heartbeat, never, Capabilities | Orchestrator | Reporter> =>
  Effect.gen(function*() {
    const orchestrator = yield* Orchestrator
    const reporter = yield* Reporter
    const capabilities = yield* Capabilities
    const mustRegister = yield* Ref.make(true)
    const isUnimplemented = yield* Ref.make(false)
    const forgottenAt = yield* Ref.make(Number.NEGATIVE_INFINITY)

    const logForgotten = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (Math.abs(now - (yield* Ref.get(forgottenAt))) < Duration.toMillis(forgottenReminder)) return
      yield* Ref.set(forgottenAt, now)
      yield* Effect.logInfo(
        `The orchestrator at ${orchestrator.address} did not know this node (it restarted, or dropped it): registered again`
      ).pipe(Effect.annotateLogs("event", "orchestrator.forgot"))
    })

    const heartbeat = orchestrator.heartbeat(reporter.nodeId, reporter.instanceId).pipe(
      Effect.catchTags({
        UnknownNode: () => Effect.zipRight(reporter.register, logForgotten),
        OrchestratorUnimplemented: (error) =>
          Effect.unlessEffect(
            Effect.logWarning(
              `${error.message}: doing without heartbeats, registering every ${GoDuration.format(interval)} instead`
            ),
            Ref.getAndSet(isUnimplemented, true)
          ).pipe(Effect.zipRight(reporter.register))
      })
    )

    const clockJump = yield* ClockJump.make(jump)
    const noticeSleep = Effect.fn("Heartbeat.noticeSleep")(function*(wait: Duration.Duration) {
      const millis = yield* clockJump.check(wait)
      if (millis === 0) return
      yield* Effect.logInfo(
        millis > 0
          ? `This machine slept, or its clock was set forward, by ${inSeconds(millis)}: registering again`
          : `This machine's clock was set back by ${inSeconds(-millis)}: registering again`
      ).pipe(Effect.annotateLogs("event", "clock.jumped"))
      yield* Ref.set(mustRegister, true)
      // What the other side made of the silence is unknown, and so is what changed here meanwhile.
      yield* orchestrator.reconnect
      yield* capabilities.forget
    })

    return {
      send: Effect.if(Ref.get(mustRegister), {
        onTrue: () => Effect.zipRight(reporter.register, Ref.set(mustRegister, false)),
        onFalse: () => heartbeat
      }),
      sent: clockJump.mark,
      noticeSleep
    }
  })
