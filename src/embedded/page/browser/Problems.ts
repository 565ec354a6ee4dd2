/** What is wrong with a node, as a person who looks after it would rank it. */
import type { NodeJson } from "../../registry/NodeJson.js"

export interface Problem {
  readonly severity: "error" | "warning"
  /** A few words: `2 GPUs unhealthy`. */
  readonly text: string
}

const plural = (count: number, one: string, more: string) => `${count} ${count === 1 ? one : more}`

/** The worst first. A node that was stopped on purpose has no problem. */
export const of = (node: NodeJson): ReadonlyArray<Problem> => {
  if (node.stopped === true) return []
  const { engines = [], findings = [], gpus = [] } = node.capabilities ?? {}
  const problems: Array<Problem> = []
  if (node.stale) problems.push({ severity: "error", text: "missed its heartbeats" })
  const unhealthy = gpus.filter(({ healthy }) => !healthy).length
  if (unhealthy > 0) problems.push({ severity: "error", text: plural(unhealthy, "GPU unhealthy", "GPUs unhealthy") })
  for (const { name, state } of engines) {
    if (state === "failed" || state === "unhealthy") problems.push({ severity: "error", text: `${name} ${state}` })
  }
  if (node.address_problem !== undefined) problems.push({ severity: "error", text: "address not usable" })
  if (node.also_registered_from !== undefined) problems.push({ severity: "error", text: "id used twice" })
  for (const severity of ["error", "warning"] as const) {
    const count = findings.filter((finding) => finding.severity === severity).length
    if (count > 0) problems.push({ severity, text: plural(count, severity, `${severity}s`) })
  }
  return problems
}

/** Greater for more urgent problems; 0 for a node without any. */
export const rank = (node: NodeJson): number =>
  of(node).reduce((sum, { severity }) => sum + (severity === "error" ? 100 : 1), 0)
