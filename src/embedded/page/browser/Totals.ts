/** The cluster in one line. */
import type { NodeJson } from "../../registry/NodeJson.js"
import * as Format from "./Format.js"
import * as Problems from "./Problems.js"

export interface Totals {
  readonly live: number
  readonly stale: number
  readonly problems: number
  readonly gpus: number
  readonly gpuBytes: number
  readonly gpuUsedBytes: number
  /** Agents by their version, the most common first. */
  readonly versions: ReadonlyArray<readonly [version: string, agents: number]>
}

export const of = (nodes: ReadonlyArray<NodeJson>): Totals => {
  const versions = new Map<string, number>()
  let [stale, problems, gpus, gpuBytes, gpuUsedBytes] = [0, 0, 0, 0, 0]
  for (const node of nodes) {
    if (node.stale) stale++
    if (Problems.rank(node) > 0) problems++
    const version = node.capabilities?.agent_version || "unknown"
    versions.set(version, (versions.get(version) ?? 0) + 1)
    // A node that is silent has no capacity to offer.
    if (node.stale) continue
    for (const gpu of node.capabilities?.gpus ?? []) {
      gpus++
      gpuBytes += gpu.memory_total_bytes ?? 0
      gpuUsedBytes += gpu.memory_used_bytes ?? 0
    }
  }
  return {
    live: nodes.length - stale,
    stale,
    problems,
    gpus,
    gpuBytes,
    gpuUsedBytes,
    versions: [...versions].sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1))
  }
}

/** The parts of the line, each with what it is about. */
export const parts = ({ gpuBytes, gpuUsedBytes, gpus, live, stale, versions }: Totals): ReadonlyArray<string> => {
  const shown = versions.slice(0, 3).map(([version, agents]) =>
    versions.length === 1 ? version : `${version} (${agents})`
  )
  return [
    Format.count(live + stale, "node"),
    ...(gpus === 0 ? [] : [Format.count(gpus, "GPU")]),
    ...(gpuBytes === 0 ? [] : [`${Format.bytesOf(gpuUsedBytes, gpuBytes)} GPU memory in use`]),
    ...(versions.length === 0 ? [] : [
      `agent ${versions.length === 1 ? "version" : "versions"} ${shown.join(", ")}${
        versions.length > 3 ? ` and ${versions.length - 3} more` : ""
      }`
    ])
  ]
}
