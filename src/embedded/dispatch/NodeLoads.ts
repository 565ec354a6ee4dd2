/** The requests of this orchestrator by node and model, and the models that nodes without reports have answered for. */
import * as Effect from "effect/Effect"
import * as Rate from "../../text/Rate.js"

/** Counted since the node and the model are known. */
export interface LoadStats {
  readonly inFlight: number
  readonly requests: number
  readonly errors: number
  readonly tokensPerSecond: number
}

/** One request to one node. */
export interface LoadedRequest {
  /** Pieces of text that came. */
  readonly heard: (pieces: number, nowMillis: number) => void
  readonly failed: () => void
  /** `isServed` is whether the node is known to have the model: then its counters are kept. */
  readonly ended: (isServed: boolean) => void
}

export interface NodeLoads {
  readonly begin: (nodeId: string, model: string) => LoadedRequest
  readonly inFlight: (nodeId: string) => number
  /** A number that grows with each pick; 0 for never. */
  readonly pickedAt: (nodeId: string) => number
  readonly stats: (nodeId: string, model: string, nowMillis: number) => LoadStats
  /** Remembers that a node answered for a model, and since when in seconds since 1970; `false` forgets it. */
  readonly learn: (nodeId: string, model: string, since: number | false) => void
  /** The models that a node has answered for, and since when. */
  readonly learnt: (nodeId: string) => ReadonlyMap<string, number>
  /** Forgets nodes that are gone, and models that they no longer have. */
  readonly sweep: (isKept: (nodeId: string, model: string) => boolean) => void
}

/** The limit of models remembered per node without reports. Callers choose their names, so they are bounded. */
const maxLearnt = 64

interface Counters {
  inFlight: number
  requests: number
  errors: number
  readonly tokens: Rate.Rate
}

interface Entry {
  inFlight: number
  pickedAt: number
  readonly models: Map<string, Counters>
  readonly learnt: Map<string, number>
}

const nothing: ReadonlyMap<string, number> = new Map()

export const make: Effect.Effect<NodeLoads> = Effect.sync(() => {
  const entries = new Map<string, Entry>()
  let picks = 0

  const entryOf = (nodeId: string): Entry => {
    const known = entries.get(nodeId)
    if (known !== undefined) return known
    const entry: Entry = { inFlight: 0, pickedAt: 0, models: new Map(), learnt: new Map() }
    entries.set(nodeId, entry)
    return entry
  }

  const countersOf = (entry: Entry, model: string): Counters => {
    const known = entry.models.get(model)
    if (known !== undefined) return known
    const counters: Counters = { inFlight: 0, requests: 0, errors: 0, tokens: Rate.make() }
    entry.models.set(model, counters)
    return counters
  }

  return {
    begin: (nodeId, model) => {
      const entry = entryOf(nodeId)
      const counters = countersOf(entry, model)
      entry.inFlight += 1
      entry.pickedAt = ++picks
      counters.inFlight += 1
      counters.requests += 1
      return {
        heard: (pieces, nowMillis) => counters.tokens.add(pieces, nowMillis),
        failed: () => {
          counters.errors += 1
        },
        ended: (isServed) => {
          entry.inFlight -= 1
          counters.inFlight -= 1
          // Names that the node does not have are whatever a caller thought of: they are not to pile up.
          if (counters.inFlight === 0 && !isServed && !entry.learnt.has(model)) entry.models.delete(model)
        }
      }
    },
    inFlight: (nodeId) => entries.get(nodeId)?.inFlight ?? 0,
    pickedAt: (nodeId) => entries.get(nodeId)?.pickedAt ?? 0,
    stats: (nodeId, model, nowMillis) => {
      const counters = entries.get(nodeId)?.models.get(model)
      return {
        inFlight: counters?.inFlight ?? 0,
        requests: counters?.requests ?? 0,
        errors: counters?.errors ?? 0,
        tokensPerSecond: Math.round((counters?.tokens.perSecond(nowMillis) ?? 0) * 10) / 10
      }
    },
    learn: (nodeId, model, since) => {
      const entry = entryOf(nodeId)
      if (since === false) return void entry.learnt.delete(model)
      if (entry.learnt.has(model)) return
      const [oldest] = entry.learnt.keys()
      if (entry.learnt.size >= maxLearnt && oldest !== undefined) entry.learnt.delete(oldest)
      entry.learnt.set(model, since)
    },
    learnt: (nodeId) => entries.get(nodeId)?.learnt ?? nothing,
    sweep: (isKept) => {
      for (const [id, { inFlight, learnt, models }] of entries) {
        for (const model of learnt.keys()) if (!isKept(id, model)) learnt.delete(model)
        for (const [model, counters] of models) {
          if (counters.inFlight === 0 && !learnt.has(model) && !isKept(id, model)) models.delete(model)
        }
        if (inFlight === 0 && models.size === 0 && learnt.size === 0) entries.delete(id)
      }
    }
  }
})
