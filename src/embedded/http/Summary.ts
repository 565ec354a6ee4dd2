/** Totals and problems of the cluster: `GET /api/summary`. */
import { enginesOf } from "../dispatch/NodeModels.js"
import type { NodeJson } from "../registry/NodeJson.js"

/** Something wrong with a node. */
export interface Problem {
  readonly node_id: string
  readonly hostname: string
  readonly severity: "error" | "warning"
  /** A finding's code, or `node.stale`, `node.address`, `node.duplicate`, `engine.failed`, `engine.unhealthy`. */
  readonly code: string
  readonly message: string
}

export interface SummaryJson {
  readonly nodes: { readonly total: number; readonly live: number; readonly stale: number; readonly stopped: number }
  /** Nodes by the version of their agent; the empty name is that of agents that do not say. */
  readonly versions: Readonly<Record<string, number>>
  readonly cpu_cores: number
  readonly memory_bytes: number
  readonly gpus: {
    readonly total: number
    readonly healthy: number
    readonly memory_total_bytes: number
    readonly memory_used_bytes: number
  }
  /** Engines by their state. */
  readonly engines: Readonly<Record<string, number>>
  /** Errors first; the first of many. */
  readonly problems: ReadonlyArray<Problem>
  readonly problems_total: number
}

/** Problems that are listed. */
const maxProblems = 200

/** Different names that are counted: a node may send any. */
const maxNames = 100

const count = (counts: Map<string, number>, name: string) => {
  const key = name.slice(0, 64)
  if (counts.has(key) || counts.size < maxNames) counts.set(key, (counts.get(key) ?? 0) + 1)
}

const problemsOf = (node: NodeJson): ReadonlyArray<Problem> => {
  const problem = (severity: Problem["severity"], code: string, message: string): Problem => ({
    node_id: node.id,
    hostname: node.hostname,
    severity,
    code,
    message
  })
  if (node.stale) return node.stopped === true ? [] : [problem("error", "node.stale", "No heartbeat.")]
  return [
    ...(node.address_problem === undefined
      ? []
      : [problem("error", "node.address", `${node.agent_address} is not dialled: ${node.address_problem}.`)]),
    ...(node.also_registered_from === undefined
      ? []
      : [problem("warning", "node.duplicate", `Another agent on ${node.also_registered_from} uses its id.`)]),
    ...enginesOf(node).filter(({ state }) => state === "failed" || state === "unhealthy").map((
      { detail, name, state }
    ) =>
      problem(
        state === "failed" ? "error" : "warning",
        `engine.${state}`,
        `${name} is ${state}${detail && `: ${detail}`}`
      )
    ),
    ...(node.capabilities?.findings ?? []).flatMap(({ code, message, severity }) =>
      severity === "error" || severity === "warning" ? [problem(severity, code, message)] : []
    )
  ]
}

export const make = (nodes: ReadonlyArray<NodeJson>): SummaryJson => {
  const versions = new Map<string, number>()
  const engines = new Map<string, number>()
  const problems: Array<Problem> = []
  const gpus = { total: 0, healthy: 0, memory_total_bytes: 0, memory_used_bytes: 0 }
  let stale = 0
  let stopped = 0
  let cores = 0
  let memory = 0
  for (const node of nodes) {
    problems.push(...problemsOf(node))
    if (node.stopped === true) stopped += 1
    else if (node.stale) stale += 1
    count(versions, node.capabilities?.agent_version ?? "")
    if (node.stale) continue
    cores += node.capabilities?.cpu_info?.logical_cores ?? 0
    memory += node.capabilities?.memory_info?.total_bytes ?? 0
    for (const gpu of node.capabilities?.gpus ?? []) {
      gpus.total += 1
      if (gpu.healthy) gpus.healthy += 1
      gpus.memory_total_bytes += gpu.memory_total_bytes ?? 0
      gpus.memory_used_bytes += gpu.memory_used_bytes ?? 0
    }
    for (const { state } of enginesOf(node)) count(engines, state)
  }
  problems.sort((a, b) => Number(b.severity === "error") - Number(a.severity === "error"))
  return {
    nodes: { total: nodes.length, live: nodes.length - stale - stopped, stale, stopped },
    versions: Object.fromEntries(versions),
    cpu_cores: cores,
    memory_bytes: memory,
    gpus,
    engines: Object.fromEntries(engines),
    problems: problems.slice(0, maxProblems),
    problems_total: problems.length
  }
}
