/** The nodes of the cluster by id, their liveness, and their changes. */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Daemon from "../../effect/Daemon.js"
import { UnknownNode } from "../../orchestrator/Orchestrator.js"
import * as Bytes from "../../text/Bytes.js"
import { oneLine } from "../../text/Printable.js"
import type { GpuHistoryJson } from "./GpuHistory.js"
import type { CapabilitiesJson, NodeJson } from "./NodeJson.js"
import { type Entry, type NodeDescription, NodeTable, type Now, type RegistryChanges } from "./NodeTable.js"

export type { NodeDescription, RegistryChanges }

/** The limit of nodes, or of their capabilities, is reached. */
export class RegistryFull extends Data.TaggedError("RegistryFull")<{
  readonly limit: { readonly nodes: number } | { readonly bytes: number }
}> {
  override get message(): string {
    const retry = "retry when a node has been dropped"
    return "nodes" in this.limit
      ? `this orchestrator holds no more than ${this.limit.nodes} nodes; ${retry}`
      : `the capabilities of all nodes take up the ${
        Bytes.format(this.limit.bytes)
      } that this orchestrator keeps of them; report fewer findings and labels, or ${retry}`
  }
}

/** Follows the registry. It holds a place in its history and no changes, however long it does not ask. */
export interface Subscription {
  /** Waits until something changed since the last time; the first time it answers with a reset, at once. */
  readonly next: Effect.Effect<RegistryChanges>
}

export interface NodeRegistryOptions {
  /** A node without a heartbeat for this long is stale. Default 30 s. */
  readonly heartbeatTimeout?: Duration.DurationInput
  /** A node is dropped when it has been stale for this long. Default 10 min. */
  readonly dropAfter?: Duration.DurationInput
  /** Default 20,000. */
  readonly maxNodes?: number
  /**
   * Of all nodes' capabilities as JSON, in characters. Nodes with more than 16 KiB are refused at three quarters of it,
   * so that a few that say much leave room for the others. Default 128 Mi.
   */
  readonly maxBytes?: number
}

export interface NodeRegistry {
  /** Adds a node, or replaces the one with its id. */
  readonly register: (node: NodeDescription) => Effect.Effect<void, RegistryFull>
  /** Records a heartbeat. */
  readonly heartbeat: (id: string) => Effect.Effect<void, UnknownNode>
  /** Replaces what is known of a node's hardware; a sign of life, too. `bytes` as in {@link NodeDescription}. */
  readonly update: (
    id: string,
    capabilities: CapabilitiesJson,
    bytes?: number
  ) => Effect.Effect<void, UnknownNode | RegistryFull>
  /** The node says goodbye: it is stopped and not lost, until it is heard again. */
  readonly leave: (id: string) => Effect.Effect<void, UnknownNode>
  readonly get: (id: string) => Effect.Effect<Option.Option<NodeJson>>
  /** The IP address that a node registered from; empty when that is not known. */
  readonly peer: (id: string) => Effect.Effect<string>
  /** Recent samples of a node's GPUs; they outlive registrations. */
  readonly gpuHistory: (id: string) => Effect.Effect<GpuHistoryJson, UnknownNode>
  /** Of all capabilities as JSON, in characters. */
  readonly bytes: Effect.Effect<number>
  /** In the order of their first registration. */
  readonly list: Effect.Effect<ReadonlyArray<NodeJson>>
  /** Begins to follow the changes. */
  readonly subscribe: Effect.Effect<Subscription>
  /** The changes, conflated: a slow consumer gets what it missed as one. */
  readonly changes: Stream.Stream<RegistryChanges>
}

/** Below this, capabilities may use the last quarter of the registry's bytes. */
const smallCapabilities = 16 * 1024

const now: Effect.Effect<Now> = Clock.clockWith((clock) =>
  Effect.sync(() => ({
    steady: Number(clock.unsafeCurrentTimeNanos() / 1000n) / 1000,
    unix: clock.unsafeCurrentTimeMillis()
  }))
)

/** Marks and drops nodes without heartbeats; returns in how many milliseconds the next one can be due. */
const sweep = (table: NodeTable, timeout: number, dropAfter: number): Effect.Effect<number> =>
  Effect.map(now, ({ steady }) => {
    // Whoever registers meanwhile cannot be stale before a whole timeout is over.
    let next = steady + timeout
    for (const entry of table.entries) {
      const staleAt = entry.seenAt + timeout
      const droppedAt = staleAt + dropAfter
      if (droppedAt <= steady) {
        table.remove(entry.node.id)
        continue
      }
      if (staleAt <= steady && !entry.node.stale) table.lose(entry, false)
      next = Math.min(next, entry.node.stale ? droppedAt : staleAt)
    }
    // Timers round to milliseconds: this is not to run again and again within the last one.
    return Math.max(next - steady, 5)
  })

const subscribe = (table: NodeTable): Effect.Effect<Subscription> =>
  Effect.sync(() => {
    let cursor = -1
    const changed = Effect.async<void>((resume) => {
      const forget = table.onChange(() => resume(Effect.void))
      return Effect.sync(forget)
    })
    const take = Effect.sync(() => {
      const changes = table.changesSince(cursor)
      cursor = table.revision
      return changes
    })
    return { next: Effect.suspend(() => cursor === table.revision ? Effect.zipRight(changed, take) : take) }
  })

const warnOfTwo = ({ agentAddress, id, peer }: NodeDescription, other: string) =>
  Effect.logWarning(
    `Node ${oneLine(id, 100)} was registered from ${peer} (${
      oneLine(agentAddress, 100)
    }) while its agent on ${other} is alive: `
      + "two agents use one id, and requests now go to the new one. Remove the copied state directory on one of them"
  ).pipe(Effect.annotateLogs("node.id", oneLine(id, 253)))

/** Its watch over silent nodes ends with the scope. */
export const make = (
  options: NodeRegistryOptions = {}
): Effect.Effect<NodeRegistry, never, Daemon.Daemons | Scope.Scope> =>
  Effect.gen(function*() {
    const timeout = Duration.toMillis(options.heartbeatTimeout ?? "30 seconds")
    const dropAfter = Duration.toMillis(options.dropAfter ?? "10 minutes")
    const maxNodes = options.maxNodes ?? 20_000
    const maxBytes = options.maxBytes ?? 128 * 1024 * 1024
    const table = new NodeTable()
    yield* Daemon.start(
      "node sweep",
      Effect.forever(Effect.flatMap(sweep(table, timeout, dropAfter), (millis) => Effect.sleep(millis)))
    )

    const fits = (bytes: number, before: number) =>
      bytes <= before || table.bytes + bytes - before <= (bytes <= smallCapabilities ? maxBytes : maxBytes * 0.75)

    const withEntry = <A, E>(id: string, use: (entry: Entry, now: Now) => Effect.Effect<A, E>) =>
      Effect.flatMap(now, (now): Effect.Effect<A, E | UnknownNode> => {
        const entry = table.get(id)
        return entry === undefined ? new UnknownNode({ nodeId: id }) : use(entry, now)
      })

    return {
      register: Effect.fn("NodeRegistry.register")(function*(node) {
        const before = table.get(node.id)
        if (before === undefined && table.size >= maxNodes) {
          return yield* new RegistryFull({ limit: { nodes: maxNodes } })
        }
        if (!fits(node.bytes ?? 0, before?.bytes ?? 0)) return yield* new RegistryFull({ limit: { bytes: maxBytes } })
        const other = table.put(node, yield* now)
        if (other !== undefined) yield* warnOfTwo(node, other)
      }),
      heartbeat: (id) => withEntry(id, (entry, now) => Effect.sync(() => table.seen(entry, now))),
      update: (id, capabilities, bytes = 0) =>
        withEntry(id, (entry, now) => {
          if (!fits(bytes, entry.bytes)) {
            table.seen(entry, now)
            return new RegistryFull({ limit: { bytes: maxBytes } })
          }
          return Effect.sync(() => table.update(entry, capabilities, bytes, now))
        }),
      leave: (id) => withEntry(id, (entry) => Effect.sync(() => table.lose(entry, true))),
      get: (id) => Effect.sync(() => Option.map(Option.fromNullable(table.get(id)), ({ node }) => node)),
      peer: (id) => Effect.sync(() => table.get(id)?.peer ?? ""),
      gpuHistory: (id) =>
        withEntry(
          id,
          ({ history }, { unix }) => Effect.succeed(history?.toJson(Math.floor(unix / 1000)) ?? { gpus: {} })
        ),
      bytes: Effect.sync(() => table.bytes),
      list: Effect.sync(() => table.entries.map(({ node }) => node)),
      subscribe: subscribe(table),
      changes: Stream.unwrap(Effect.map(subscribe(table), ({ next }) => Stream.repeatEffect(next)))
    }
  })
