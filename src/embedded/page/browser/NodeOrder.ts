/** In which order nodes are listed, and which of them. */
import type { NodeJson } from "../../registry/NodeJson.js"
import * as Problems from "./Problems.js"

export const orders = ["problems", "name", "seen", "free"] as const
export type OrderName = typeof orders[number]

export const choices = ["all", "live", "stale", "problems"] as const
export type Choice = typeof choices[number]

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" })

const byName = (a: NodeJson, b: NodeJson): number =>
  collator.compare(a.hostname || a.id, b.hostname || b.id) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

const freeGpuBytes = ({ capabilities }: NodeJson): number =>
  (capabilities?.gpus ?? []).reduce((sum, gpu) => sum + (gpu.memory_free_bytes ?? 0), 0)

/** Compares two nodes; what is equal is in the order of names. */
export const compare = (order: OrderName) => (a: NodeJson, b: NodeJson): number => {
  switch (order) {
    case "problems":
      return Problems.rank(b) - Problems.rank(a) || byName(a, b)
    case "name":
      return byName(a, b)
    case "seen":
      return a.last_seen_unix - b.last_seen_unix || byName(a, b)
    case "free":
      return freeGpuBytes(b) - freeGpuBytes(a) || byName(a, b)
  }
}

export const isChosen = (choice: Choice, node: NodeJson): boolean => {
  switch (choice) {
    case "all":
      return true
    case "live":
      return !node.stale
    case "stale":
      return node.stale
    case "problems":
      return Problems.rank(node) > 0
  }
}
