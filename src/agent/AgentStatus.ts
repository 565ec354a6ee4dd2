/** What the agent is doing now: the one value that status lines, health checks and programs read. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { EngineReport } from "../node/Node.js"

/** The state of the connection to the orchestrator. Times are milliseconds since 1970. */
export type Connection = Data.TaggedEnum<{
  /** Before the first attempt. */
  Starting: {}
  /** Not registered yet since the agent started. */
  Connecting: Retrying
  Registered: { readonly since: number }
  /** Was registered, and lost contact. */
  Disconnected: Retrying
  Stopping: {}
}>

interface Retrying {
  /** When the first attempt failed. */
  readonly since: number
  /** The number of failed attempts. */
  readonly attempts: number
  readonly lastError: string
  readonly nextTryAt: number
}

export const Connection = Data.taggedEnum<Connection>()

/** The part of the state that concerns the orchestrator. */
export interface ConnectionState {
  readonly connection: Connection
  /** When the orchestrator last accepted a registration or a heartbeat: milliseconds since 1970. */
  readonly lastContactAt: number | undefined
}

export interface AgentState extends ConnectionState {
  /** With the stats of the requests that the agent relayed to them. */
  readonly engines: ReadonlyArray<EngineReport>
}

/** A view: its parts belong to those who write them, `Connectivity` and the engines' supervisor. */
export class AgentStatus extends Context.Tag("@orchion/node-agent/AgentStatus")<
  AgentStatus,
  {
    readonly get: Effect.Effect<AgentState>
    /**
     * The state now, then each change of the connection, a contact or an engine. Conflated: a slow reader sees the
     * latest.
     */
    readonly changes: Stream.Stream<AgentState>
  }
>() {}
