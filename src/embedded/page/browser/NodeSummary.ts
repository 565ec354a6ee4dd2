/** The line that every node of the list has. */
import type { CapabilitiesJson, NodeJson } from "../../registry/NodeJson.js"
import { type Child, type Element, h } from "./Dom.js"
import * as Format from "./Format.js"
import { bar, data, described, dot, engineTone, gpuMemory, small, sum } from "./NodeParts.js"
import * as Problems from "./Problems.js"

const cell = (name: string, label: string, ...lines: ReadonlyArray<Child | undefined>): Element =>
  h("span", { class: `cell ${name}` }, h("span", { class: "label" }, label), ...lines)

const cpuCell = (capabilities: CapabilitiesJson): Element => {
  const cpu = capabilities.cpu_info
  return cell(
    "cpu",
    "CPU",
    data(cpu === undefined ? described(capabilities.cpu) ?? "unknown" : Format.count(cpu.logical_cores, "core")),
    cpu === undefined || cpu.model === "" ? small(data(capabilities.os)) : small(data(cpu.model))
  )
}

const memoryCell = (capabilities: CapabilitiesJson): Element => {
  const memory = capabilities.memory_info
  if (memory === undefined || memory.total_bytes === 0) {
    return cell("memory", "Memory", data(described(capabilities.memory) ?? "unknown"))
  }
  const used = memory.total_bytes - memory.available_bytes
  return cell(
    "memory",
    "Memory",
    h("span", {}, Format.bytesOf(used, memory.total_bytes)),
    bar(used / memory.total_bytes)
  )
}

const gpuCell = (capabilities: CapabilitiesJson): Element => {
  const { gpus } = capabilities
  if (gpus.length === 0) {
    const type = described(capabilities.gpu_type)
    const total = described(capabilities.gpu_vram_total)
    const used = described(capabilities.gpu_vram_used)
    return type === undefined || type === "No GPU detected"
      ? cell("gpu none", "GPU", "none")
      : cell(
        "gpu",
        "GPU",
        data(type),
        total === undefined ? undefined : small(used === undefined ? total : `${used} of ${total}`)
      )
  }
  const models = new Map<string, number>()
  for (const { model } of gpus) models.set(model, (models.get(model) ?? 0) + 1)
  const names = [...models].map(([model, count]) => count === 1 ? model : `${count} × ${model}`).join(", ")
  const total = sum(gpus.map((gpu) => gpuMemory(gpu).total))
  const used = sum(gpus.map((gpu) => gpuMemory(gpu).used))
  return cell(
    "gpu",
    "GPU",
    data(names),
    total === undefined || total === 0
      ? undefined
      : used === undefined
      ? small(Format.bytes(total))
      : bar(used / total)
  )
}

/** `stopped` is one that said goodbye, `stale` one that did not. */
export const stateOf = (node: NodeJson): "live" | "stale" | "stopped" =>
  node.stopped === true ? "stopped" : node.stale ? "stale" : "live"

export const of = (node: NodeJson, nowUnix: number): ReadonlyArray<Child> => {
  const capabilities = node.capabilities
  const problems = Problems.of(node)
  return [
    h("span", { class: "cell state" }, dot(), h("span", { class: "word" }, stateOf(node))),
    h(
      "span",
      { class: "cell name" },
      h("span", { class: "hostname" }, data(node.hostname === "" ? node.id : node.hostname)),
      h(
        "span",
        { class: "small" },
        h("span", { class: "id", title: node.id }, data(Format.shortId(node.id))),
        ...(capabilities?.engines ?? [])
          .filter(({ state }) => state !== "failed" && state !== "unhealthy")
          .map((engine) =>
            h("span", { class: `badge ${engineTone(engine.state)}` }, data(`${engine.name} ${engine.state}`))
          ),
        ...problems.map(({ severity, text }) => h("span", { class: `badge ${severity}` }, data(text)))
      )
    ),
    ...(capabilities === undefined
      ? [h("span", { class: "cell unknown" }, "has not described its hardware")]
      : [cpuCell(capabilities), memoryCell(capabilities), gpuCell(capabilities)]),
    h(
      "span",
      { class: "cell seen" },
      h("span", { class: "label" }, "Last seen"),
      h(
        "time",
        { datetime: new Date(node.last_seen_unix * 1000).toISOString(), title: Format.moment(node.last_seen_unix) },
        Format.ago(nowUnix - node.last_seen_unix)
      )
    ),
    h("span", { class: "twist", "aria-hidden": "true" })
  ]
}
