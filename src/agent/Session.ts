/**
 * One session with the orchestrator, from the first contact to the first failure; the reconnect schedule then opens the
 * next. Everything that an agent exchanges with its orchestrator belongs to its session and ends with it.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import * as Reconnect from "../orchestrator/Reconnect.js"
import { Connectivity } from "./Connectivity.js"
import * as Heartbeat from "./Heartbeat.js"
import { Reporter } from "./Reporter.js"

export interface SessionOptions {
  readonly heartbeatInterval: Duration.Duration
  /** Time between polls of what changed on this node. */
  readonly capabilityInterval: Duration.Duration
}

const isRejection = (error: OrchestratorError) => error._tag !== "OrchestratorUnreachable"

/**
 * Registers, then sends a heartbeat every interval, the first time at a random moment within it so that a fleet that
 * starts together spreads out, and reports what changes. Failures are retried within the interval; nothing that the
 * orchestrator does ends the loop.
 */
export const run = Effect.fn("Session.run")(function*(options: SessionOptions) {
  const { address } = yield* Orchestrator
  const connectivity = yield* Connectivity
  const reporter = yield* Reporter
  const heartbeat = yield* Heartbeat.make(options.heartbeatInterval)
  const reconnect = yield* Reconnect.make({ isRejection, onFailure: connectivity.failed })
  const isFirst = yield* Ref.make(true)

  const contact = Effect.gen(function*() {
    yield* heartbeat.send
    yield* reconnect.succeeded
    yield* connectivity.succeeded(yield* reporter.description)
    yield* heartbeat.sent
  })
  const heartbeatAfter = (wait: Duration.Duration) =>
    Effect.sleep(wait).pipe(Effect.zipRight(heartbeat.noticeSleep(wait)), Effect.zipRight(contact))
  const heartbeats = Effect.gen(function*() {
    if (yield* Ref.getAndSet(isFirst, false)) {
      yield* heartbeatAfter(Duration.times(options.heartbeatInterval, yield* Random.next))
    }
    return yield* Effect.repeat(heartbeatAfter(options.heartbeatInterval), Schedule.forever)
  })
  const session = Effect.gen(function*() {
    const openedAt = yield* Clock.currentTimeMillis
    yield* contact
    yield* Effect.logDebug(`Session opened in ${(yield* Clock.currentTimeMillis) - openedAt} ms`)
    return yield* Effect.all([heartbeats, reporter.run(options.capabilityInterval)], { concurrency: "unbounded" }).pipe(
      Effect.zipRight(Effect.never)
    )
  })
  return yield* Effect.annotateLogs(reconnect.keep(session), "orchestrator", address)
})
