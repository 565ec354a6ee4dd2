/** Tells the orchestrator what changed on this node. Nothing here can delay a heartbeat: it runs on a fiber of its own. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { AgentStatus } from "./AgentStatus.js"
import { withFigures } from "./EngineCare.js"
import { Registration } from "./Registration.js"
import * as ReportChange from "./ReportChange.js"

/** The orchestrator hears of this node's hardware at least this often. */
const mostSilence = Duration.minutes(1)

/** Engines that change their state are told of at once, so that requests find them; but not more often than this. */
const engineReportSpacing = Duration.seconds(1)

/**
 * Looks every `interval`, and reports what a person would notice ({@link ReportChange.isNoticeable}). What could not be
 * reported is compared again, and so reported, at the next look; why it could not is for the heartbeat to find out
 * and say.
 */
export const run = (interval: Duration.Duration) =>
  Effect.gen(function*() {
    const registration = yield* Registration
    const status = yield* AgentStatus
    const refused = yield* Ref.make(Option.none<string>())

    const look = Effect.gen(function*() {
      const { connection } = yield* status.get
      const before = yield* registration.reported
      if (connection._tag !== "Registered" || Option.isNone(before)) return
      const now = yield* registration.latest
      if (now.report.engines.length > 0) {
        yield* status.update((state) => ({ ...state, engines: withFigures(state.engines, now.report.engines) }))
      }
      if (now.agentAddress !== before.value.agentAddress) {
        yield* registration.register
        yield* Effect.logInfo(`This node is now reached at ${now.agentAddress}: registered again`)
        return
      }
      // By the next look it would be too late.
      const silenceByThen = (yield* Clock.currentTimeMillis) - before.value.at + Duration.toMillis(interval)
      if (
        silenceByThen > Duration.toMillis(mostSilence) || ReportChange.isNoticeable(before.value.report, now.report)
      ) {
        yield* registration.update(now.report)
        yield* Ref.set(refused, Option.none())
      }
    }).pipe(
      Effect.catchTags({
        OrchestratorUnreachable: (error) => Effect.logDebug(`No report of this node's hardware now: ${error.message}`),
        UnknownNode: (error) => Effect.logDebug(`No report of this node's hardware now: ${error.message}`),
        OrchestratorUnimplemented: (error) => once(`${error.message}: doing without`),
        OrchestratorRejected: (error) => once(error.message)
      })
    )
    const once = (line: string) =>
      Effect.flatMap(
        Ref.getAndSet(refused, Option.some(line)),
        (before) => Option.contains(before, line) ? Effect.void : Effect.logWarning(line)
      )

    // One look at a time, whatever asks for it.
    const oneAtATime = (yield* Effect.makeSemaphore(1)).withPermits(1)
    const onEngineChange = status.changes.pipe(
      Stream.map(({ engines }) =>
        engines.map(({ models, name, state }) => [name, state, ...models].join(" ")).join("\n")
      ),
      Stream.changes,
      Stream.drop(1),
      Stream.buffer({ capacity: 1, strategy: "sliding" }),
      Stream.runForEach(() => Effect.zipRight(oneAtATime(look), Effect.sleep(engineReportSpacing)))
    )
    // One fiber fails with the other.
    return yield* Effect.all([onEngineChange, Effect.repeat(oneAtATime(look), Schedule.spaced(interval))], {
      concurrency: 2,
      discard: true
    }).pipe(Effect.zipRight(Effect.never))
  })
