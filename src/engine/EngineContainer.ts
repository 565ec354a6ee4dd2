/** The container of an engine: its name, and the labels by which later runs of the agent find it. */
import { createHash } from "node:crypto"
import type { EngineName } from "./Engine.js"

/** The node that the engine belongs to, and the engine. */
export interface EngineIdentity {
  readonly nodeId: string
  readonly engine: EngineName
}

/** The labels of engines' containers. */
export const Label = {
  /** Always {@link owner}. */
  owner: "io.orchion.owner",
  nodeId: "io.orchion.node-id",
  engine: "io.orchion.engine"
} as const

/** The value of the owner's label. */
export const owner = "node-agent"

/** Fixed for a node's engine, so that there is at most one container. */
export const name = ({ engine, nodeId }: EngineIdentity): string =>
  // Orchion's own agent removes what `docker ps` finds by the names orchion-vllm and orchion-ollama: these must not match.
  // The id may have characters that are not allowed in names, hence its hash.
  `orchion-node-${engine}-${createHash("sha256").update(nodeId).digest("hex").slice(0, 12)}`

/** The labels by which a node's containers, or those of one of its engines, are found. */
export const selector = (
  { engine, nodeId }: { readonly nodeId: string; readonly engine?: EngineName }
): Readonly<Record<string, string>> => ({
  [Label.owner]: owner,
  [Label.nodeId]: nodeId,
  ...(engine === undefined ? {} : { [Label.engine]: engine })
})
