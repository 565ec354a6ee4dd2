/** What the agent is doing now: the one value that status lines, pages, health checks and logs read. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { EngineReport } from "../node/Node.js"

/** How the agent stands with its orchestrator. Times are milliseconds since 1970. */
export type Connection = Data.TaggedEnum<{
  /** Before the first try. */
  Starting: {}
  /** Not registered yet since the agent started. */
  Connecting: Trying
  Registered: { readonly since: number }
  /** Was registered, and lost touch. */
  Disconnected: Trying
  Stopping: {}
}>

interface Trying {
  /** When the first try failed. */
  readonly since: number
  /** How many tries have failed. */
  readonly attempts: number
  readonly lastError: string
  readonly nextTryAt: number
}

export const Connection = Data.taggedEnum<Connection>()

export interface AgentState {
  readonly connection: Connection
  /** When the orchestrator last took a registration or a heartbeat: milliseconds since 1970. */
  readonly lastContactAt: number | undefined
  readonly engines: ReadonlyArray<EngineReport>
}

export class AgentStatus extends Context.Tag("@orchion/node-agent/AgentStatus")<
  AgentStatus,
  {
    readonly get: Effect.Effect<AgentState>
    /** The state now, then each change of it. */
    readonly changes: Stream.Stream<AgentState>
    readonly update: (change: (state: AgentState) => AgentState) => Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<AgentStatus> = Layer.effect(
    AgentStatus,
    Effect.map(
      SubscriptionRef.make<AgentState>({
        connection: Connection.Starting(),
        lastContactAt: undefined,
        engines: []
      }),
      (ref) => ({
        get: SubscriptionRef.get(ref),
        changes: ref.changes,
        update: (change) => SubscriptionRef.update(ref, change)
      })
    )
  )
}
