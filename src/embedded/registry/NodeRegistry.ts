/** Who is in the cluster: the nodes by their id, which of them are silent, and what changes. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { UnknownNode } from "../../orchestrator/Orchestrator.js"
import { GpuHistory, type GpuHistoryJson } from "./GpuHistory.js"
import type { CapabilitiesJson, NodeJson } from "./NodeJson.js"

/** What a node says of itself. */
export interface NodeDescription {
  readonly id: string
  readonly hostname: string
  /** `host:port` of its `NodeAgent` service. */
  readonly agentAddress: string
  readonly capabilities?: CapabilitiesJson
}

/** There is no room for one more node. */
export class RegistryFull extends Data.TaggedError("RegistryFull")<{
  readonly maxNodes: number
}> {
  override get message(): string {
    return `this orchestrator holds no more than ${this.maxNodes} nodes; try again when one of them was dropped`
  }
}

/** What happened since a subscriber last asked, at most once per node. Removals come before all else. */
export interface RegistryChanges {
  /** `nodes` is everything there is: whatever else the subscriber knows of is gone. */
  readonly reset: boolean
  /** Ids of nodes that were dropped and have not come back. */
  readonly removed: ReadonlyArray<string>
  /** Nodes that are new, or described themselves anew, or became stale or came back. */
  readonly nodes: ReadonlyArray<NodeJson>
  /** Nodes of which nothing changed but when they were last seen. */
  readonly seen: ReadonlyArray<NodeJson>
}

/** One who follows the registry. It holds a place in its history and no changes, however long it does not ask. */
export interface Subscription {
  /** Waits until something changed since the last time; the first time it answers with a reset, at once. */
  readonly next: Effect.Effect<RegistryChanges>
}

export interface NodeRegistryOptions {
  /** A node is stale when nothing was heard of it for this long. Default 30 s. */
  readonly heartbeatTimeout?: Duration.DurationInput
  /** A node is dropped when it has been stale for this long. Default 10 min. */
  readonly dropAfter?: Duration.DurationInput
  /** Default 20,000. */
  readonly maxNodes?: number
}

/** Of the removals that are remembered for subscribers; one that is further behind gets a reset. */
const maxRemovals = 4096

interface Entry {
  node: NodeJson
  /** Of the GPUs; made when there is one. */
  history: GpuHistory | undefined
  /** Milliseconds on a clock that is never set: a machine that corrects its time must not lose its nodes. */
  seenAt: number
  /** The registry's revision when anything of it changed, its last sign of life included. */
  revision: number
  /** The registry's revision when anything else than its last sign of life changed. */
  changed: number
}

/** The moment, in milliseconds: on the clock that is never set, and since 1970. */
interface Now {
  readonly steady: number
  readonly unix: number
}

const now: Effect.Effect<Now> = Clock.clockWith((clock) =>
  Effect.sync(() => ({
    steady: Number(clock.unsafeCurrentTimeNanos() / 1000n) / 1000,
    unix: clock.unsafeCurrentTimeMillis()
  }))
)

export class NodeRegistry extends Context.Tag("@orchion/node-agent/NodeRegistry")<
  NodeRegistry,
  {
    /** Adds a node, or replaces the one with its id. */
    readonly register: (node: NodeDescription) => Effect.Effect<void, RegistryFull>
    /** Notes a sign of life. */
    readonly heartbeat: (id: string) => Effect.Effect<void, UnknownNode>
    /** Replaces what is known of a node's hardware; a sign of life too. */
    readonly update: (id: string, capabilities: CapabilitiesJson) => Effect.Effect<void, UnknownNode>
    readonly get: (id: string) => Effect.Effect<Option.Option<NodeJson>>
    /** How a node's GPUs did of late; as far back as it has been known, it includes registrations anew. */
    readonly gpuHistory: (id: string) => Effect.Effect<GpuHistoryJson, UnknownNode>
    /** In the order of their first registration. */
    readonly list: Effect.Effect<ReadonlyArray<NodeJson>>
    /** Begins to follow the changes. */
    readonly subscribe: Effect.Effect<Subscription>
    /** The changes for one who takes them as fast as he can: what a slow consumer missed arrives as one. */
    readonly changes: Stream.Stream<RegistryChanges>
  }
>() {
  /** Its watch over silent nodes ends with the scope. */
  static readonly make = (
    options: NodeRegistryOptions = {}
  ): Effect.Effect<NodeRegistry["Type"], never, Scope.Scope> =>
    Effect.gen(function*() {
      const timeout = Duration.toMillis(options.heartbeatTimeout ?? "30 seconds")
      const dropAfter = Duration.toMillis(options.dropAfter ?? "10 minutes")
      const maxNodes = options.maxNodes ?? 20_000

      const entries = new Map<string, Entry>()
      const removals: Array<{ readonly id: string; readonly revision: number }> = []
      /** Of the newest removal that is no longer remembered. */
      let forgotten = 0
      let revision = 0
      let waiting: Array<() => void> = []

      /** Makes a change, and wakes those who wait for one. */
      const change = (make: (revision: number) => void) => {
        revision += 1
        make(revision)
        const awakened = waiting
        waiting = []
        for (const wake of awakened) wake()
      }

      const recorded = (
        history: GpuHistory | undefined,
        capabilities: CapabilitiesJson | undefined,
        atUnix: number
      ) => {
        const gpus = capabilities?.gpus ?? []
        if (history === undefined && gpus.length === 0) return undefined
        const known = history ?? new GpuHistory()
        known.record(gpus, atUnix)
        return known
      }

      /** Notes a sign of life, which may have brought news. */
      const touch = (entry: Entry, { steady, unix }: Now, news: Partial<NodeJson> | undefined) =>
        change((revision) => {
          const returned = entry.node.stale
          const nowUnix = Math.floor(unix / 1000)
          entry.node = { ...entry.node, ...news, last_seen_unix: nowUnix, stale: false }
          if (news !== undefined) entry.history = recorded(entry.history, news.capabilities, nowUnix)
          entry.seenAt = steady
          entry.revision = revision
          if (returned || news !== undefined) entry.changed = revision
        })

      const known = (id: string, news: Partial<NodeJson> | undefined): Effect.Effect<void, UnknownNode> =>
        Effect.flatMap(now, (now) => {
          const entry = entries.get(id)
          if (entry === undefined) return new UnknownNode({ nodeId: id })
          touch(entry, now, news)
          return Effect.void
        })

      const register = (node: NodeDescription): Effect.Effect<void, RegistryFull> =>
        Effect.flatMap(now, ({ steady, unix }) => {
          const before = entries.get(node.id)
          if (before === undefined && entries.size >= maxNodes) return new RegistryFull({ maxNodes })
          const nowUnix = Math.floor(unix / 1000)
          change((revision) =>
            entries.set(node.id, {
              node: {
                id: node.id,
                hostname: node.hostname,
                ...(node.capabilities === undefined ? {} : { capabilities: node.capabilities }),
                last_seen_unix: nowUnix,
                agent_address: node.agentAddress,
                stale: false,
                registered_unix: nowUnix
              },
              history: recorded(before?.history, node.capabilities, nowUnix),
              seenAt: steady,
              revision,
              changed: revision
            })
          )
          return Effect.void
        })

      const remove = (id: string) =>
        change((revision) => {
          entries.delete(id)
          removals.push({ id, revision })
          if (removals.length > maxRemovals) forgotten = removals.shift()?.revision ?? forgotten
        })

      /** Marks and drops the silent; answers how many milliseconds may pass until there can be more of them. */
      const sweep = Effect.map(now, ({ steady }) => {
        // Whoever registers meanwhile cannot be stale before a whole timeout is over.
        let next = steady + timeout
        for (const [id, entry] of entries) {
          const staleAt = entry.seenAt + timeout
          const droppedAt = staleAt + dropAfter
          if (droppedAt <= steady) {
            remove(id)
            continue
          }
          if (staleAt <= steady && !entry.node.stale) {
            change((revision) => {
              entry.node = { ...entry.node, stale: true }
              entry.revision = revision
              entry.changed = revision
            })
          }
          next = Math.min(next, entry.node.stale ? droppedAt : staleAt)
        }
        // Timers round to milliseconds: this is not to run again and again within the last one.
        return Math.max(next - steady, 5)
      })
      yield* Effect.forkScoped(Effect.forever(Effect.flatMap(sweep, (millis) => Effect.sleep(millis))))

      const changesSince = (cursor: number): RegistryChanges => {
        const all = [...entries.values()]
        if (cursor < 0 || cursor < forgotten) {
          return { reset: true, removed: [], nodes: all.map(({ node }) => node), seen: [] }
        }
        const touched = all.filter((entry) => entry.revision > cursor)
        const removed = removals.filter(({ id, revision }) => revision > cursor && !entries.has(id))
        return {
          reset: false,
          removed: [...new Set(removed.map(({ id }) => id))],
          nodes: touched.filter(({ changed }) => changed > cursor).map(({ node }) => node),
          seen: touched.filter(({ changed }) => changed <= cursor).map(({ node }) => node)
        }
      }

      const changed = Effect.async<void>((resume) => {
        const wake = () => resume(Effect.void)
        waiting.push(wake)
        return Effect.sync(() => {
          waiting = waiting.filter((other) => other !== wake)
        })
      })

      const subscribe = Effect.sync((): Subscription => {
        let cursor = -1
        const take = Effect.sync(() => {
          const changes = changesSince(cursor)
          cursor = revision
          return changes
        })
        return { next: Effect.suspend(() => cursor === revision ? Effect.zipRight(changed, take) : take) }
      })

      return NodeRegistry.of({
        register,
        heartbeat: (id) => known(id, undefined),
        update: (id, capabilities) => known(id, { capabilities }),
        get: (id) => Effect.sync(() => Option.map(Option.fromNullable(entries.get(id)), ({ node }) => node)),
        gpuHistory: (id) =>
          Effect.flatMap(now, ({ unix }) => {
            const entry = entries.get(id)
            return entry === undefined
              ? new UnknownNode({ nodeId: id })
              : Effect.succeed(entry.history?.toJson(Math.floor(unix / 1000)) ?? { gpus: {} })
          }),
        list: Effect.sync(() => [...entries.values()].map(({ node }) => node)),
        subscribe,
        changes: Stream.unwrap(Effect.map(subscribe, ({ next }) => Stream.repeatEffect(next)))
      })
    })

  static readonly layer = (options?: NodeRegistryOptions): Layer.Layer<NodeRegistry> =>
    Layer.scoped(NodeRegistry, NodeRegistry.make(options))
}
