/** A node's reported engines and their models. */
import { mayPull } from "../../engine/drivers.js"
import { find, isServedBy } from "../../chat/ModelName.js"
import { oneLine } from "../../text/Printable.js"
import type { NodeJson } from "../registry/NodeJson.js"
import type { Serves } from "./NodePicker.js"

export const enginesOf = (node: NodeJson) => node.capabilities?.engines ?? []

/** Its display name. */
export const nameOf = ({ hostname, id }: NodeJson): string => oneLine(hostname || id, 100)

/** The engine that has the model, in any state; one that is ready is preferred. */
export const engineFor = (node: NodeJson, model: string) => {
  const engines = enginesOf(node).filter((engine) => isServedBy(engine, model))
  return engines.find(({ state }) => state === "ready") ?? engines[0]
}

/** The node's own name for the model. */
export const nameAt = (node: NodeJson, model: string): string => {
  if (enginesOf(node).some(({ models }) => models.includes(model))) return model
  for (const { models } of enginesOf(node)) {
    const served = find(models, model)
    if (served !== undefined) return served
  }
  return model
}

/** Agents that send neither a version nor engines, as Orchion's own do: whether they serve a model is learnt by asking. */
export const isSilent = (node: NodeJson): boolean =>
  (node.capabilities?.agent_version ?? "") === "" && enginesOf(node).length === 0

/**
 * Whether a call to it may be cancelled. Orchion's own agents, which send no version, loop for ever on a cancelled
 * stream: their answers are read to the end.
 */
export const mayCancel = (node: NodeJson): boolean => (node.capabilities?.agent_version ?? "") !== ""

/** The node's reported requests in flight, from all sources. */
export const reportedInFlight = (node: NodeJson): number =>
  enginesOf(node).reduce((sum, { figures }) => sum + (figures?.in_flight ?? 0), 0)

/** `hasAnswered` is whether it has answered for the model before, which says all that is known of a silent node. */
export const serves = (node: NodeJson, model: string, hasAnswered: boolean): Serves => {
  const engine = engineFor(node, model)
  if (engine !== undefined) return engine.state === "ready" ? "ready" : "unready"
  if (isSilent(node)) return hasAnswered ? "answered" : "unknown"
  // It may pull the model when it is asked for it.
  return enginesOf(node).some(({ name, state }) => mayPull(name) && state === "ready") ? "pullable" : "no"
}
