/** Which node gets a request. Pure: from the nodes and their load to one of them. */
import * as Array from "effect/Array"
import * as Order from "effect/Order"

/**
 * What is known of a node and a model: an engine has it and is `ready` or not (`unready`); the node says nothing of its
 * engines and has `answered` for this model before, or is `unknown`; it could pull the model (`pullable`); or `no`.
 */
export type Serves = "ready" | "unready" | "answered" | "unknown" | "pullable" | "no"

export interface Candidate {
  readonly id: string
  /** It can be reached and was not asked yet. Nodes that are not available count for what is known of the model. */
  readonly isAvailable: boolean
  readonly serves: Serves
  /** Requests that this orchestrator sent it and that are not answered yet. */
  readonly inFlight: number
  /** The node's reported requests in flight, from all senders. */
  readonly reported: number
  /** When it was last picked, as a number that grows; 0 for never. */
  readonly pickedAt: number
}

const leastBusy: Order.Order<Candidate> = Order.combineAll([
  Order.mapInput(Order.number, ({ inFlight }: Candidate) => inFlight),
  Order.mapInput(Order.number, ({ reported }: Candidate) => reported),
  Order.mapInput(Order.number, ({ pickedAt }: Candidate) => pickedAt)
])

/**
 * The least busy node of the best kind: those that serve the model; where no node is known to have it, those that have
 * answered for it, then those that say nothing, then those that could pull it. While a node has the model but is not
 * ready, no other is asked: its reason is more useful than their "not found".
 */
export const pick = <C extends Candidate>(candidates: ReadonlyArray<C>): C | undefined => {
  const isKnown = candidates.some(({ serves }) => serves === "ready" || serves === "unready")
  const kinds: ReadonlyArray<Serves> = isKnown ? ["ready"] : ["answered", "unknown", "pullable"]
  const eligible = kinds
    .map((kind) => candidates.filter(({ isAvailable, serves }) => isAvailable && serves === kind))
    .find(Array.isNonEmptyArray)
  return eligible === undefined ? undefined : Array.min(eligible, leastBusy)
}
