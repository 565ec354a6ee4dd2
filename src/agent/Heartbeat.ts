/** Keeps the node alive at the orchestrator: sends a heartbeat, or registers where the orchestrator needs that. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import { Capabilities } from "../capabilities/Capabilities.js"
import * as ClockJump from "../effect/ClockJump.js"
import * as GoDuration from "../text/GoDuration.js"
import { capitalized } from "../text/Printable.js"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import { Reporter } from "./Reporter.js"

/** A jump of the wall clock between two heartbeats beyond which the machine slept, or its clock was set. */
const jump = Duration.seconds(15)

/** The minimum time between two lines about a forgotten node: an orchestrator may forget it at each heartbeat. */
const forgottenReminder = Duration.minutes(1)

export interface Heartbeat {
  /** Registers if the orchestrator does not, or may not, know this node; otherwise sends a heartbeat. */
  readonly send: Effect.Effect<void, OrchestratorError>
  /** Records that the orchestrator accepted it. */
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
        `The orchestrator at ${orchestrator.address} no longer knew this node (it restarted, or dropped it); registered again`
      ).pipe(Effect.annotateLogs("event", "orchestrator.forgot"))
    })

    const heartbeat = orchestrator.heartbeat(reporter.nodeId, reporter.instanceId).pipe(
      Effect.catchTags({
        UnknownNode: () => Effect.zipRight(reporter.register, logForgotten),
        OrchestratorUnimplemented: (error) =>
          Effect.unlessEffect(
            Effect.logWarning(
              `${capitalized(error.message)}; registering every ${
                GoDuration.format(interval)
              } instead of sending heartbeats`
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
          ? `This machine slept, or its clock was set forward, by ${inSeconds(millis)}; registering again`
          : `This machine's clock was set back by ${inSeconds(-millis)}; registering again`
      ).pipe(Effect.annotateLogs("event", "clock.jumped"))
      yield* Ref.set(mustRegister, true)
      // Neither the orchestrator's view of this node nor what changed on this machine meanwhile is known.
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
