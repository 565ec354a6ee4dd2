/** Registers the node and keeps it alive in the orchestrator's eyes, for as long as the fiber runs. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import { Capabilities } from "../capabilities/Capabilities.js"
import * as GoDuration from "../text/GoDuration.js"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import * as Reconnect from "../orchestrator/Reconnect.js"
import { Connectivity } from "./Connectivity.js"
import { Registration } from "./Registration.js"

/** A beat that is this much too late, or too early, by the wall clock: the machine slept, or its clock was set. */
const jumpMillis = 15_000

/** The least time between two lines about having been forgotten: an orchestrator may do so at each beat. */
const forgottenReminderMillis = 60_000

const isRejection = (error: OrchestratorError) => error._tag !== "OrchestratorUnreachable"

/**
 * Registers, then beats every `interval`, the first time at a random moment within it so that a fleet that starts
 * together spreads out. Failures are retried inside the interval, by {@link Reconnect}'s schedule; nothing that the
 * orchestrator does ends the loop.
 */
export const run = (interval: Duration.Duration) =>
  Effect.gen(function*() {
    const orchestrator = yield* Orchestrator
    const registration = yield* Registration
    const connectivity = yield* Connectivity
    const capabilities = yield* Capabilities
    const reconnect = yield* Reconnect.make
    const beatsUnimplemented = yield* Ref.make(false)

    const toldForgottenAt = yield* Ref.make(Number.NEGATIVE_INFINITY)
    const tellForgotten = Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      if (Math.abs(now - (yield* Ref.get(toldForgottenAt))) < forgottenReminderMillis) return
      yield* Ref.set(toldForgottenAt, now)
      yield* Effect.logInfo(
        `The orchestrator at ${orchestrator.address} did not know this node (it restarted, or dropped it): registered again`
      )
    })

    const until = <A>(effect: Effect.Effect<A, OrchestratorError>) =>
      reconnect.retry(effect, { isRejection, onFailure: connectivity.failed })

    const heartbeat = orchestrator.heartbeat(registration.nodeId).pipe(
      Effect.catchTags({
        UnknownNode: () => Effect.zipRight(registration.register, tellForgotten),
        OrchestratorUnimplemented: (error) =>
          Effect.unlessEffect(
            Effect.logWarning(
              `${error.message}: doing without heartbeats, registering every ${GoDuration.format(interval)} instead`
            ),
            Ref.getAndSet(beatsUnimplemented, true)
          ).pipe(Effect.zipRight(registration.register))
      })
    )

    /** When the beat before ended, by the wall clock: the monotonic clock stands still while a machine sleeps. */
    const lastEnd = yield* Effect.flatMap(Clock.currentTimeMillis, Ref.make)
    const noticeSleep = Effect.gen(function*() {
      const passed = (yield* Clock.currentTimeMillis) - (yield* Ref.get(lastEnd))
      const late = passed - Duration.toMillis(interval)
      if (late < jumpMillis && passed > -jumpMillis) return false
      const inSeconds = (millis: number) => GoDuration.format(Duration.seconds(Math.round(millis / 1000)))
      yield* Effect.logInfo(
        late > 0
          ? `This machine slept, or its clock was set forward, by ${inSeconds(late)}: registering again`
          : `This machine's clock was set back by ${inSeconds(-late)}: registering again`
      )
      // What the other side made of the silence is unknown, and so is what changed here meanwhile.
      yield* orchestrator.reconnect
      yield* capabilities.forget
      return true
    })

    const beat = Effect.gen(function*() {
      const mustRegister = yield* Ref.make(yield* noticeSleep)
      yield* until(Effect.gen(function*() {
        if (yield* Ref.get(mustRegister)) {
          yield* registration.register
          yield* Ref.set(mustRegister, false)
        } else {
          yield* heartbeat
        }
      }))
      yield* connectivity.succeeded(yield* registration.description)
      yield* Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.set(lastEnd, now))
    })

    yield* until(registration.register)
    yield* connectivity.succeeded(yield* registration.description)
    yield* Effect.flatMap(Clock.currentTimeMillis, (now) => Ref.set(lastEnd, now))
    const offset = yield* Random.next
    yield* Effect.sleep(Duration.times(interval, offset))
    return yield* Effect.repeat(beat, Schedule.spaced(interval)).pipe(Effect.zipRight(Effect.never))
  })
