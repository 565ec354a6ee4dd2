/** Everything that is known of a node. */
import type { GpuHistory } from "../../registry/GpuHistory.js"
import { keyOf } from "../../registry/GpuHistory.js"
import type { NodeJson } from "../../registry/NodeJson.js"
import * as Curves from "./Curves.js"
import { type Child, type Element, h } from "./Dom.js"
import * as Format from "./Format.js"
import { agent, machine, stat, system } from "./NodeFacts.js"
import { bar, data, type Engine, engineTone, type Finding, type Gpu, gpuMemory, known, small } from "./NodeParts.js"

const gpuLine = (gpu: Gpu, position: number, curves: Element | undefined): Element => {
  const { total, used } = gpuMemory(gpu)
  const others = gpu.foreign_processes.map(({ memory_used_bytes, name, pid }) =>
    known([name === "" ? `process ${pid}` : name, stat(memory_used_bytes, Format.bytes)]).join(" ")
  )
  return h(
    "li",
    { class: "gpu", "data-state": gpu.healthy ? "healthy" : "unhealthy" },
    h("span", { class: "index" }, String(gpu.index ?? position)),
    h(
      "span",
      { class: "gpu-model" },
      data(gpu.model === "" ? gpu.vendor : gpu.model),
      small(data(
        known([
          stat(gpu.mig_instances.length || undefined, (count) => Format.count(count, "MIG slice")),
          gpu.driver_version === undefined ? undefined : `driver ${gpu.driver_version}`,
          gpu.compute_capability === undefined
            ? undefined
            : gpu.vendor === "nvidia"
            ? `compute ${gpu.compute_capability}`
            : gpu.compute_capability,
          gpu.unified_memory ? "unified memory" : undefined
        ]).join(" · ")
      ))
    ),
    h(
      "span",
      { class: "memory" },
      total === undefined || total === 0
        ? "memory unknown"
        : used === undefined
        ? Format.bytes(total)
        : Format.bytesOf(used, total),
      total === undefined || total === 0 || used === undefined ? undefined : bar(used / total)
    ),
    h(
      "span",
      { class: "gpu-stats" },
      // Each in its column, whatever the others know.
      ...[
        stat(gpu.utilization_percent, (percent) => `${Math.round(percent)} % busy`),
        stat(gpu.temperature_celsius, (celsius) => `${Math.round(celsius)} °C`),
        gpu.power_draw_watts === undefined
          ? stat(gpu.power_limit_watts, (watts) => `limit ${Math.round(watts)} W`)
          : known([
            String(Math.round(gpu.power_draw_watts)),
            stat(gpu.power_limit_watts, (watts) => `of ${Math.round(watts)}`),
            "W"
          ]).join(" ")
      ].map((text) => h("span", {}, text))
    ),
    curves,
    gpu.healthy ? undefined : h("span", { class: "problem" }, data(gpu.health_problem ?? "unhealthy")),
    others.length === 0 ? undefined : h("span", { class: "others" }, data(`also used by ${others.join(", ")}`))
  )
}

const engineLine = (engine: Engine): Element =>
  h(
    "li",
    { class: "engine" },
    h("span", { class: "engine-name" }, data(engine.name)),
    h("span", { class: `badge ${engineTone(engine.state)}` }, data(engine.state)),
    h("span", { class: "engine-models" }, data(engine.models.join(", "))),
    h(
      "span",
      { class: "small" },
      data(
        known([
          engine.detail,
          stat(engine.progress, (progress) => `${Math.round(progress * 100)} %`),
          engine.restarts === 0 ? undefined : Format.count(engine.restarts, "restart"),
          engine.image
        ]).join(" · ")
      )
    ),
    engine.progress === undefined
      ? undefined
      : h("span", { class: "bar", part: engine.progress, "aria-hidden": "true" }, h("span", {})),
    engine.recent_log.length === 0
      ? undefined
      : h("pre", { class: "log", tabindex: "0", "aria-label": "Last log lines" }, data(engine.recent_log.join("\n")))
  )

const findingLine = (finding: Finding): Element =>
  h(
    "li",
    { class: "finding" },
    h("span", {
      class: `badge ${finding.severity === "error" || finding.severity === "warning" ? finding.severity : "info"}`
    }, data(finding.severity)),
    h(
      "span",
      { class: "message" },
      h("span", {}, h("b", {}, data(finding.subject), ": "), data(finding.message)),
      finding.remedy === "" ? undefined : h("span", { class: "remedy" }, data(finding.remedy))
    )
  )

const listOf = <A>(
  title: string,
  items: ReadonlyArray<A>,
  line: (item: A, position: number) => Element
): Element | undefined =>
  items.length === 0 ? undefined : h("section", { class: "lines" }, h("h3", {}, title), h("ul", {}, ...items.map(line)))

/** The recent stats of a node's GPUs. */
export interface Past {
  readonly history: GpuHistory | undefined
  readonly untilUnix: number
}

const gpuList = (gpus: ReadonlyArray<Gpu>, { history, untilUnix }: Past): Element | undefined => {
  const samples = gpus.map((gpu, position) => history?.samples(keyOf(gpu, position), untilUnix) ?? [])
  const span = Curves.spanOf(samples, untilUnix)
  const curves = span === undefined
    ? []
    : gpus.map((gpu, position) => Curves.draw(samples[position] ?? [], gpuMemory(gpu).total, span))
  const title = span !== undefined && curves.some((curve) => curve !== undefined)
    ? `GPUs, now and over ${Curves.lastOf(span)}`
    : "GPUs"
  return listOf(title, gpus, (gpu, position) => gpuLine(gpu, position, curves[position]))
}

/** Everything that is known of a node. */
export const of = (node: NodeJson, past: Past): ReadonlyArray<Child> => {
  const { capabilities } = node
  const rank = ({ severity }: Finding) => severity === "error" ? 0 : severity === "warning" ? 1 : 2
  return [
    listOf("Findings", [...capabilities?.findings ?? []].sort((a, b) => rank(a) - rank(b)), findingLine),
    listOf("Engines", capabilities?.engines ?? [], engineLine),
    gpuList(capabilities?.gpus ?? [], past),
    h(
      "div",
      { class: "columns-of-facts" },
      ...(capabilities === undefined ? [] : [machine(capabilities), system(capabilities)]),
      agent(node)
    )
  ].filter((section) => section !== undefined)
}

/** What the filter looks in, in lower case. */
export const searchable = (node: NodeJson): string => {
  const { capabilities } = node
  return [
    node.hostname,
    node.id,
    node.agent_address,
    ...(capabilities === undefined ? [] : [
      capabilities.os,
      capabilities.gpu_type,
      capabilities.agent_version,
      capabilities.cpu_info?.model ?? capabilities.cpu,
      capabilities.os_info?.distribution ?? "",
      ...capabilities.gpus.map(({ model }) => model),
      ...capabilities.engines.flatMap(({ models, name, state }) => [name, state, ...models]),
      ...capabilities.findings.flatMap(({ code, severity, subject }) => [code, severity, subject]),
      ...Object.entries(capabilities.labels).map(([key, value]) => `${key}=${value}`)
    ])
  ].join("\n").toLowerCase()
}
