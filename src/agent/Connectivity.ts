/**
 * The state of the connection to the orchestrator, and the log of it: one line when contact is lost, at most one a
 * minute during the outage, one when it is over.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as GoDuration from "../text/GoDuration.js"
import { capitalized } from "../text/Printable.js"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import type { Failure } from "../orchestrator/Reconnect.js"
import { Connection, type ConnectionState } from "./AgentStatus.js"

/** The minimum time between two lines about the same outage. */
const reminderMillis = 60_000

/** What was last logged about the current outage. */
interface Reminder {
  /** The kind of error: another kind is news. */
  readonly kind: string
  readonly at: number
}

const elapsed = (from: number, to: number) => {
  const millis = Math.max(0, to - from)
  return GoDuration.format(
    Duration.millis(millis < 10_000 ? Math.round(millis / 100) * 100 : Math.round(millis / 1000) * 1000)
  )
}

/** The state after another failed attempt. */
export const afterFailure = (
  { connection, lastContactAt }: ConnectionState,
  failure: Failure<OrchestratorError>,
  now: number
): ConnectionState => {
  if (connection._tag === "Stopping") return { connection, lastContactAt }
  const retrying = connection._tag === "Connecting" || connection._tag === "Disconnected" ? connection : undefined
  const next = {
    since: retrying?.since ?? now,
    attempts: (retrying?.attempts ?? 0) + 1,
    lastError: failure.error.message,
    nextTryAt: now + Duration.toMillis(failure.wait)
  }
  return {
    lastContactAt,
    connection: connection._tag === "Registered" || connection._tag === "Disconnected"
      ? Connection.Disconnected(next)
      : Connection.Connecting(next)
  }
}

/** The state after the orchestrator answered. */
export const afterSuccess = ({ connection, lastContactAt }: ConnectionState, now: number): ConnectionState =>
  connection._tag === "Stopping"
    ? { connection, lastContactAt }
    : {
      lastContactAt: now,
      connection: connection._tag === "Registered" ? connection : Connection.Registered({ since: now })
    }

/** What the log says of the connection: one line for what is news, a reminder now and then while an outage lasts. */
const makeLog = (address: string) =>
  Effect.gen(function*() {
    const reminder = yield* Ref.make<Reminder | undefined>(undefined)
    const logFailure = Effect.fn("Connectivity.logFailure")(
      function*(before: Connection, { connection }: ConnectionState, { error, wait }: Failure<OrchestratorError>) {
        if (connection._tag !== "Connecting" && connection._tag !== "Disconnected") return
        const { attempts, since } = connection
        const now = yield* Clock.currentTimeMillis
        const fields = { attempt: attempts, "error.kind": error._tag }
        const last = yield* Ref.get(reminder)
        const isNews = last?.kind !== error._tag
        // In either direction: a clock that was set back must not silence an outage.
        if (!isNews && Math.abs(now - last.at) < reminderMillis) {
          return yield* Effect.annotateLogs(
            Effect.logDebug(`Attempt ${attempts} failed: ${error.message}; retrying in ${GoDuration.format(wait)}`),
            { ...fields, event: "orchestrator.retry" }
          )
        }
        yield* Ref.set(reminder, { kind: error._tag, at: now })
        const retrying = `retrying in ${GoDuration.format(wait)}`
        if (!isNews) {
          yield* Effect.annotateLogs(
            Effect.logWarning(
              `Still not connected to the orchestrator after ${
                elapsed(since, now)
              } and ${attempts} attempts: ${error.message}`
            ),
            { ...fields, event: "orchestrator.still-unreachable" }
          )
        } else if (error._tag === "OrchestratorUnreachable") {
          yield* Effect.annotateLogs(
            Effect.logWarning(
              before._tag === "Registered"
                ? `Lost the orchestrator at ${address}: ${error.reason}; ${retrying}`
                : `${capitalized(error.message)}; ${retrying}`
            ),
            { ...fields, event: before._tag === "Registered" ? "orchestrator.lost" : "orchestrator.unreachable" }
          )
        } else {
          yield* Effect.annotateLogs(
            Effect.logError(`${capitalized(error.message)}; ${retrying}`),
            { ...fields, event: "orchestrator.refused" }
          )
        }
      }
    )

    const logSuccess = Effect.fn("Connectivity.logSuccess")(function*(before: Connection, detail: string) {
      if (before._tag === "Registered" || before._tag === "Stopping") return
      const outage = before._tag === "Starting"
        ? ""
        : `${elapsed(before.since, yield* Clock.currentTimeMillis)} (${before.attempts} failed attempts)`
      yield* (before._tag === "Disconnected"
        ? Effect.annotateLogs(
          Effect.logInfo(`Reconnected to the orchestrator at ${address} after ${outage}`),
          "event",
          "orchestrator.back"
        )
        : Effect.annotateLogs(
          Effect.logInfo(
            `Registered with the orchestrator at ${address} ${detail}${outage === "" ? "" : `, after ${outage}`}`
          ),
          "event",
          "orchestrator.registered"
        ))
    })
    return { logFailure, logSuccess, reset: Ref.set(reminder, undefined) }
  })

export class Connectivity extends Context.Tag("@orchion/node-agent/Connectivity")<
  Connectivity,
  {
    readonly state: Effect.Effect<ConnectionState>
    /** The state now, then each change of it. */
    readonly changes: Stream.Stream<ConnectionState>
    /** An attempt failed, and the next comes after the wait. */
    readonly failed: (failure: Failure<OrchestratorError>) => Effect.Effect<void>
    /** The orchestrator answered; `detail` completes "Registered with the orchestrator at …" the first time. */
    readonly succeeded: (detail: string) => Effect.Effect<void>
    readonly stopping: Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<Connectivity, never, Orchestrator> = Layer.effect(
    Connectivity,
    Effect.gen(function*() {
      const { address } = yield* Orchestrator
      const ref = yield* SubscriptionRef.make<ConnectionState>({
        connection: Connection.Starting(),
        lastContactAt: undefined
      })
      const { logFailure, logSuccess, reset } = yield* makeLog(address)
      return {
        state: SubscriptionRef.get(ref),
        changes: ref.changes,
        failed: Effect.fn("Connectivity.failed")(function*(failure) {
          const now = yield* Clock.currentTimeMillis
          const before = yield* SubscriptionRef.get(ref)
          const after = yield* SubscriptionRef.updateAndGet(ref, (state) => afterFailure(state, failure, now))
          yield* logFailure(before.connection, after, failure)
        }),
        succeeded: Effect.fn("Connectivity.succeeded")(function*(detail) {
          const now = yield* Clock.currentTimeMillis
          const { connection } = yield* SubscriptionRef.get(ref)
          if (connection._tag !== "Stopping") yield* reset
          yield* SubscriptionRef.update(ref, (state) => afterSuccess(state, now))
          yield* logSuccess(connection, detail)
        }),
        stopping: SubscriptionRef.update(ref, (state) => ({ ...state, connection: Connection.Stopping() }))
      }
    })
  )
}
