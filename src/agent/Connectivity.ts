/**
 * Keeps the agent's status true to how its tries go, and says so in the log: one line when the connection is lost, at
 * most one a minute while it stays lost, one when it is back.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as GoDuration from "../text/GoDuration.js"
import { Orchestrator, type OrchestratorError } from "../orchestrator/Orchestrator.js"
import type { Failure } from "../orchestrator/Reconnect.js"
import { AgentStatus, Connection } from "./AgentStatus.js"

/** The least time between two lines about the same outage. */
const reminderMillis = 60_000

/** What the log has said of the present outage. */
interface Told {
  /** The kind of error: another kind is news. */
  readonly kind: string
  readonly at: number
}

const capitalized = (sentence: string) => sentence.charAt(0).toUpperCase() + sentence.slice(1)

const elapsed = (from: number, to: number) => {
  const millis = Math.max(0, to - from)
  return GoDuration.format(
    Duration.millis(millis < 10_000 ? Math.round(millis / 100) * 100 : Math.round(millis / 1000) * 1000)
  )
}

export class Connectivity extends Context.Tag("@orchion/node-agent/Connectivity")<
  Connectivity,
  {
    /** A try failed, and the next comes after the wait. */
    readonly failed: (failure: Failure<OrchestratorError>) => Effect.Effect<void>
    /** The orchestrator answered; `detail` completes "Registered with the orchestrator at …" the first time. */
    readonly succeeded: (detail: string) => Effect.Effect<void>
    readonly stopping: Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<Connectivity, never, AgentStatus | Orchestrator> = Layer.effect(
    Connectivity,
    Effect.gen(function*() {
      const status = yield* AgentStatus
      const { address } = yield* Orchestrator
      const told = yield* Ref.make<Told | undefined>(undefined)

      return {
        failed: Effect.fn("Connectivity.failed")(function*({ error, wait }) {
          const now = yield* Clock.currentTimeMillis
          const { connection } = yield* status.get
          if (connection._tag === "Stopping") return
          const trying = connection._tag === "Connecting" || connection._tag === "Disconnected" ? connection : undefined
          const since = trying?.since ?? now
          const attempts = (trying?.attempts ?? 0) + 1
          const next = {
            since,
            attempts,
            lastError: error.message,
            nextTryAt: now + Duration.toMillis(wait)
          }
          yield* status.update((state) => ({
            ...state,
            connection: connection._tag === "Registered" || connection._tag === "Disconnected"
              ? Connection.Disconnected(next)
              : Connection.Connecting(next)
          }))

          const before = yield* Ref.get(told)
          const isNews = before === undefined || before.kind !== error._tag
          // In either direction: a clock that was set back must not silence an outage.
          if (!isNews && Math.abs(now - before.at) < reminderMillis) return
          yield* Ref.set(told, { kind: error._tag, at: now })
          const again = `trying again in ${GoDuration.format(wait)}`
          if (!isNews) {
            yield* Effect.logWarning(
              `Still without the orchestrator after ${elapsed(since, now)} and ${attempts} tries: ${error.message}`
            )
          } else if (error._tag === "OrchestratorUnreachable") {
            yield* Effect.logWarning(
              connection._tag === "Registered"
                ? `Lost the orchestrator at ${address}: ${error.reason}; ${again}, and until it answers`
                : `${capitalized(error.message)}; ${again}, and until it answers`
            )
          } else {
            yield* Effect.logError(`${capitalized(error.message)}; ${again}`)
          }
        }),
        succeeded: Effect.fn("Connectivity.succeeded")(function*(detail) {
          const now = yield* Clock.currentTimeMillis
          const { connection } = yield* status.get
          if (connection._tag === "Stopping") return
          yield* Ref.set(told, undefined)
          yield* status.update((state) => ({
            ...state,
            lastContactAt: now,
            connection: connection._tag === "Registered" ? connection : Connection.Registered({ since: now })
          }))
          switch (connection._tag) {
            case "Registered":
              return
            case "Disconnected":
              return yield* Effect.logInfo(
                `The orchestrator at ${address} is back after ${
                  elapsed(connection.since, now)
                } (${connection.attempts} failed tries)`
              )
            case "Connecting":
              return yield* Effect.logInfo(
                `Registered with the orchestrator at ${address} ${detail}, after ${
                  elapsed(connection.since, now)
                } (${connection.attempts} failed tries)`
              )
            case "Starting":
              return yield* Effect.logInfo(`Registered with the orchestrator at ${address} ${detail}`)
          }
        }),
        stopping: status.update((state) => ({ ...state, connection: Connection.Stopping() }))
      }
    })
  )
}
