/** What the views of a node are made of. */
import type { CapabilitiesJson } from "../../registry/NodeJson.js"
import { type Child, type Element, h } from "./Dom.js"

export type Gpu = CapabilitiesJson["gpus"][number]
export type Engine = CapabilitiesJson["engines"][number]
export type Finding = CapabilitiesJson["findings"][number]

/** Above this part of it, memory counts as nearly full. */
const nearlyFull = 0.9

/** Text of a peer's, which keeps its own direction to itself. */
export const data = (text: string): Element => h("bdi", {}, text)

export const bar = (part: number): Element =>
  h("span", { class: part >= nearlyFull ? "bar full" : "bar", part, "aria-hidden": "true" }, h("span", {}))

export const dot = (): Element => h("span", { class: "dot", "aria-hidden": "true" })

export const known = (texts: ReadonlyArray<string | undefined>): ReadonlyArray<string> =>
  texts.filter((text): text is string => text !== undefined && text !== "")

export const sum = (figures: ReadonlyArray<number | undefined>): number | undefined =>
  figures.some((figure) => figure === undefined) ? undefined : figures.reduce<number>((a, b) => a + (b ?? 0), 0)

export const small = (...children: ReadonlyArray<Child | undefined>): Element =>
  h("span", { class: "small" }, ...children)

// Other agents send descriptions only, with placeholders such as `N/A`.
export const described = (text: string | undefined): string | undefined =>
  text === undefined || text === "" || text === "N/A" ? undefined : text

export const gpuMemory = (gpu: Gpu) => ({
  total: gpu.memory_total_bytes,
  used: gpu.memory_used_bytes
    ?? (gpu.memory_total_bytes === undefined || gpu.memory_free_bytes === undefined
      ? undefined
      : gpu.memory_total_bytes - gpu.memory_free_bytes)
})

/** The engine's states, by how good they are. */
export const engineTone = (state: string): string =>
  state === "ready"
    ? "good"
    : state === "failed" || state === "unhealthy"
    ? "error"
    : state === "stopped"
    ? "idle"
    : "warning"
