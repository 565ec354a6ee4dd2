/**
 * The nodes by id, their changes by revision, and the memory that they use. Synchronous, so that all are consistent.
 */
import { GpuHistory, type SeriesBudget } from "./GpuHistory.js"
import type { CapabilitiesJson, NodeJson } from "./NodeJson.js"

/** A node's own description, and where it registered from. */
export interface NodeDescription {
  readonly id: string
  readonly hostname: string
  /** `host:port` of its `NodeAgent` service. */
  readonly agentAddress: string
  readonly capabilities?: CapabilitiesJson
  /** Size of the capabilities as JSON, in characters: what the registry's bound counts. */
  readonly bytes?: number
  /** The IP address that it registered from. */
  readonly peer?: string
  /** Why its agent address is not dialled. */
  readonly addressProblem?: string
}

/** What happened since a subscriber last asked, at most once per node. Removals come before all else. */
export interface RegistryChanges {
  /** `nodes` is everything there is: whatever else the subscriber knows of is gone. */
  readonly reset: boolean
  /** Ids of nodes that were dropped and have not come back. */
  readonly removed: ReadonlyArray<string>
  /** Nodes that are new, or whose description changed, or that became stale or came back. */
  readonly nodes: ReadonlyArray<NodeJson>
  /** Nodes of which nothing changed but when they were last seen. */
  readonly seen: ReadonlyArray<NodeJson>
}

/** Removals that are remembered for subscribers; one that is further behind gets a reset. */
const maxRemovals = 4096

/** Series of GPU samples over all nodes, a kilobyte each. Beyond it, GPUs have no history. */
const maxSeries = 65_536

/** How long two agents with one id are shown as such. */
const conflictMillis = 10 * 60_000

/** The moment in milliseconds: on a clock that is never set, and since 1970. */
export interface Now {
  readonly steady: number
  readonly unix: number
}

export interface Entry {
  node: NodeJson
  /** Of the GPUs; made when there is one. */
  history: GpuHistory | undefined
  /** Where its registration came from. */
  peer: string | undefined
  /** Size of its capabilities as JSON, in characters. */
  bytes: number
  /** On the clock that is never set: a machine that corrects its time must not lose its nodes. */
  seenAt: number
  /** When a second agent with its id registered, on the same clock. */
  conflictAt: number | undefined
  /** The table's revision when anything of it changed, its last heartbeat included. */
  revision: number
  /** The table's revision when anything else than its last heartbeat changed. */
  changed: number
}

const unixSeconds = ({ unix }: Now) => Math.floor(unix / 1000)

export class NodeTable {
  readonly #entries = new Map<string, Entry>()
  readonly #removals: Array<{ readonly id: string; readonly revision: number }> = []
  readonly #series: SeriesBudget = { left: maxSeries }
  /** The revision of the newest removal that is no longer remembered. */
  #forgotten = 0
  #waiting = new Set<() => void>()
  revision = 0
  bytes = 0

  get size(): number {
    return this.#entries.size
  }

  get(id: string): Entry | undefined {
    return this.#entries.get(id)
  }

  get entries(): ReadonlyArray<Entry> {
    return [...this.#entries.values()]
  }

  /** Calls `wake` at the next change, once; the result takes that back. */
  onChange(wake: () => void): () => void {
    this.#waiting.add(wake)
    return () => this.#waiting.delete(wake)
  }

  /** Adds a node or replaces the one with its id. Answers where the other agent is when two share the id. */
  put(node: NodeDescription, now: Now): string | undefined {
    const before = this.#entries.get(node.id)
    const other = conflictOf(before, node)
    const conflictAt = other === undefined ? before?.conflictAt : now.steady
    const known = other ?? before?.node.also_registered_from
    const isShown = conflictAt !== undefined && now.steady - conflictAt < conflictMillis && known !== undefined
    this.#change((revision) => {
      this.bytes += (node.bytes ?? 0) - (before?.bytes ?? 0)
      this.#entries.set(node.id, {
        node: {
          id: node.id,
          hostname: node.hostname,
          ...(node.capabilities === undefined ? {} : { capabilities: node.capabilities }),
          last_seen_unix: unixSeconds(now),
          agent_address: node.agentAddress,
          stale: false,
          registered_unix: unixSeconds(now),
          ...(node.addressProblem === undefined ? {} : { address_problem: node.addressProblem }),
          ...(isShown ? { also_registered_from: known } : {})
        },
        history: this.#recorded(before?.history, node.capabilities, unixSeconds(now)),
        peer: node.peer,
        bytes: node.bytes ?? 0,
        seenAt: now.steady,
        conflictAt,
        revision,
        changed: revision
      })
    })
    return other
  }

  /** Records a heartbeat. */
  seen(entry: Entry, now: Now): void {
    const { also_registered_from: other, stopped: _, ...node } = entry.node
    const isConflicting = other !== undefined && now.steady - (entry.conflictAt ?? 0) < conflictMillis
    const isNews = entry.node.stale || entry.node.stopped !== undefined || (other !== undefined && !isConflicting)
    this.#change((revision) => {
      entry.node = {
        ...node,
        last_seen_unix: unixSeconds(now),
        stale: false,
        ...(isConflicting ? { also_registered_from: other } : {})
      }
      entry.seenAt = now.steady
      entry.revision = revision
      if (isNews) entry.changed = revision
    })
  }

  /** Replaces a node's capabilities; a sign of life, too. */
  update(entry: Entry, capabilities: CapabilitiesJson, bytes: number, now: Now): void {
    this.seen(entry, now)
    this.bytes += bytes - entry.bytes
    entry.bytes = bytes
    entry.node = { ...entry.node, capabilities }
    entry.history = this.#recorded(entry.history, capabilities, unixSeconds(now))
    entry.changed = entry.revision
  }

  /** The node misses its heartbeats, or said goodbye. */
  lose(entry: Entry, hasStopped: boolean): void {
    this.#change((revision) => {
      entry.node = { ...entry.node, stale: true, ...(hasStopped ? { stopped: true } : {}) }
      entry.revision = revision
      entry.changed = revision
    })
  }

  remove(id: string): void {
    this.#change((revision) => {
      const entry = this.#entries.get(id)
      this.bytes -= entry?.bytes ?? 0
      entry?.history?.clear()
      this.#entries.delete(id)
      this.#removals.push({ id, revision })
      if (this.#removals.length > maxRemovals) this.#forgotten = this.#removals.shift()?.revision ?? this.#forgotten
    })
  }

  /** What changed since a revision; everything when that is too long ago. */
  changesSince(cursor: number): RegistryChanges {
    const all = this.entries
    if (cursor < 0 || cursor < this.#forgotten) {
      return { reset: true, removed: [], nodes: all.map(({ node }) => node), seen: [] }
    }
    const touched = all.filter((entry) => entry.revision > cursor)
    const removed = this.#removals.filter(({ id, revision }) => revision > cursor && !this.#entries.has(id))
    return {
      reset: false,
      removed: [...new Set(removed.map(({ id }) => id))],
      nodes: touched.filter(({ changed }) => changed > cursor).map(({ node }) => node),
      seen: touched.filter(({ changed }) => changed <= cursor).map(({ node }) => node)
    }
  }

  #recorded(history: GpuHistory | undefined, capabilities: CapabilitiesJson | undefined, atUnix: number) {
    const gpus = capabilities?.gpus ?? []
    if (history === undefined && gpus.length === 0) return undefined
    const known = history ?? new GpuHistory(this.#series)
    known.record(gpus, atUnix)
    return known
  }

  /** Makes a change, and wakes those who wait for one. */
  #change(make: (revision: number) => void): void {
    this.revision += 1
    make(this.revision)
    const awakened = this.#waiting
    this.#waiting = new Set()
    for (const wake of awakened) wake()
  }
}

/** Where the other agent is, when a live node registers from another machine and under another address. */
const conflictOf = (before: Entry | undefined, node: NodeDescription): string | undefined =>
  before === undefined || before.node.stale || before.peer === undefined || node.peer === undefined
    || before.peer === node.peer || before.node.agent_address === node.agentAddress
    ? undefined
    : before.peer
