/** The events of `GET /api/events`: their names, and the JSON of each. */
import type { NodeJson } from "../registry/NodeJson.js"

/** The first event. */
export interface Hello {
  /** Of the orchestrator. */
  readonly version: string
  /** The port of its gRPC services. */
  readonly grpc_port: number
  /** Only programs on its own machine can reach it. */
  readonly loopback: boolean
  /** An address of its machine that others may reach it by; absent when it listens on loopback, or has none. */
  readonly reachable_host?: string
  readonly heartbeat_timeout_ms: number
  readonly drop_after_ms: number
  /** Its clock: milliseconds since 1970. */
  readonly now_ms: number
}

/** The id of a node, and when it was last seen: seconds since 1970. */
export type Seen = readonly [id: string, lastSeenUnix: number]

export interface ServerEvents {
  readonly hello: Hello
  /** All nodes follow, this many of them in `nodes` events, then `ready`; whatever is not among them is gone. */
  readonly reset: { readonly nodes: number }
  readonly ready: Record<string, never>
  /** Nodes that are new or changed, whole. */
  readonly nodes: ReadonlyArray<NodeJson>
  /** Ids of nodes that were dropped. */
  readonly removed: ReadonlyArray<string>
  /** Nodes that sent a sign of life and are otherwise unchanged. */
  readonly seen: ReadonlyArray<Seen>
  /** Nothing happened for a while; the orchestrator's clock, in milliseconds since 1970. */
  readonly idle: { readonly now_ms: number }
}
