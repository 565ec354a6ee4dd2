/** What a node looks like. */
import { type GpuHistory, keyOf } from "../../registry/GpuHistory.js"
import type { CapabilitiesJson, NodeJson } from "../../registry/NodeJson.js"
import * as Curves from "./Curves.js"
import { type Child, type Element, h } from "./Dom.js"
import * as Format from "./Format.js"

type Gpu = CapabilitiesJson["gpus"][number]
type Engine = CapabilitiesJson["engines"][number]
type Finding = CapabilitiesJson["findings"][number]

/** Above this part of it, memory counts as nearly full. */
const nearlyFull = 0.9

/** Text of a peer's, which keeps its own direction to itself. */
const data = (text: string): Element => h("bdi", {}, text)

const bar = (part: number): Element =>
  h("span", { class: part >= nearlyFull ? "bar full" : "bar", part, "aria-hidden": "true" }, h("span", {}))

const dot = (): Element => h("span", { class: "dot", "aria-hidden": "true" })

const known = (texts: ReadonlyArray<string | undefined>): ReadonlyArray<string> =>
  texts.filter((text): text is string => text !== undefined && text !== "")

const sum = (figures: ReadonlyArray<number | undefined>): number | undefined =>
  figures.some((figure) => figure === undefined) ? undefined : figures.reduce<number>((a, b) => a + (b ?? 0), 0)

const cell = (name: string, label: string, ...lines: ReadonlyArray<Child | undefined>): Element =>
  h("span", { class: `cell ${name}` }, h("span", { class: "label" }, label), ...lines)

const small = (...children: ReadonlyArray<Child | undefined>): Element => h("span", { class: "small" }, ...children)

// What agents of other makes send are only descriptions, with `N/A` and the like where there is nothing to say.
const described = (text: string | undefined): string | undefined =>
  text === undefined || text === "" || text === "N/A" ? undefined : text

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

const gpuMemory = (gpu: Gpu) => ({
  total: gpu.memory_total_bytes,
  used: gpu.memory_used_bytes
    ?? (gpu.memory_total_bytes === undefined || gpu.memory_free_bytes === undefined
      ? undefined
      : gpu.memory_total_bytes - gpu.memory_free_bytes)
})

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
  const ill = gpus.filter((gpu) => !gpu.healthy).length
  return cell(
    "gpu",
    "GPU",
    data(names),
    total === undefined || total === 0
      ? undefined
      : used === undefined
      ? small(Format.bytes(total))
      : bar(used / total),
    ill === 0
      ? undefined
      : h("span", { class: "badge error" }, Format.count(ill, "GPU is", "GPUs are") + " not healthy")
  )
}

const worst = (findings: ReadonlyArray<Finding>): string =>
  ["error", "warning"].find((severity) => findings.some((finding) => finding.severity === severity)) ?? "info"

/** The engine's states, by how good they are. */
const engineTone = (state: string): string =>
  state === "ready"
    ? "good"
    : state === "failed" || state === "unhealthy"
    ? "error"
    : state === "stopped"
    ? "idle"
    : "warning"

/** The line that every node has. */
export const summary = (node: NodeJson, nowUnix: number): ReadonlyArray<Child> => {
  const capabilities = node.capabilities
  const state = node.stale ? "stale" : "live"
  return [
    h("span", { class: "cell state" }, dot(), h("span", { class: "word" }, state)),
    h(
      "span",
      { class: "cell name" },
      h("span", { class: "hostname" }, data(node.hostname === "" ? node.id : node.hostname)),
      h(
        "span",
        { class: "small" },
        h("span", { class: "id", title: node.id }, data(Format.shortId(node.id))),
        ...(capabilities?.engines ?? []).map((engine) =>
          h("span", { class: `badge ${engineTone(engine.state)}` }, data(`${engine.name} ${engine.state}`))
        ),
        capabilities === undefined || capabilities.findings.length === 0
          ? undefined
          : h(
            "span",
            { class: `badge ${worst(capabilities.findings)}` },
            Format.count(capabilities.findings.length, "finding")
          )
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

type Fact = readonly [name: string, ...value: ReadonlyArray<Child | undefined>]

const facts = (title: string, list: ReadonlyArray<Fact | undefined>): Element | undefined => {
  const present = list.filter((fact) => fact !== undefined)
  return present.length === 0 ? undefined : h(
    "section",
    { class: "facts" },
    h("h3", {}, title),
    h("dl", {}, ...present.flatMap(([name, ...value]) => [h("dt", {}, name), h("dd", {}, ...value)]))
  )
}

/** A fact that may be unknown, and is left out then. */
const fact = (name: string, ...texts: ReadonlyArray<string | undefined>): Fact | undefined => {
  const present = known(texts)
  return present.length === 0 ? undefined : [name, data(present.join(" · "))]
}

const figure = (value: number | undefined, show: (value: number) => string): string | undefined =>
  value === undefined ? undefined : show(value)

const usage = (name: string, used: number, total: number): Fact | undefined =>
  total <= 0
    ? undefined
    : [name, h("span", { class: "usage" }, h("span", {}, Format.bytesOf(used, total)), bar(used / total))]

const copyable = (text: string): Element =>
  h(
    "span",
    { class: "copyable" },
    h("code", {}, data(text)),
    h("button", { type: "button", class: "copy icon", "data-copy": text, "aria-label": "Copy" })
  )

const machine = (capabilities: CapabilitiesJson): Element | undefined => {
  const { cpu_info: cpu, memory_info: memory } = capabilities
  return facts("Machine", [
    cpu === undefined
      ? fact("CPU", described(capabilities.cpu))
      : fact("CPU", cpu.model === "" ? cpu.vendor : cpu.model),
    cpu === undefined ? undefined : fact(
      "Cores",
      figure(cpu.physical_cores, (cores) => Format.count(cores, "core")),
      Format.count(cpu.logical_cores, "thread"),
      figure(cpu.sockets, (sockets) => sockets > 1 ? Format.count(sockets, "socket") : ""),
      figure(cpu.max_mhz, (mhz) => `up to ${(mhz / 1000).toFixed(1)}\u00a0GHz`)
    ),
    cpu?.limit_cores === undefined
      ? undefined
      : fact("CPU limit", `${Format.count(Number(cpu.limit_cores.toFixed(2)), "core")} for the agent`),
    cpu === undefined ? undefined : fact("Instructions", cpu.features.join(", ")),
    memory === undefined
      ? fact("Memory", described(capabilities.memory))
      : usage("Memory", memory.total_bytes - memory.available_bytes, memory.total_bytes),
    memory?.limit_bytes === undefined
      ? undefined
      : memory.limit_used_bytes === undefined
      ? fact("Memory limit", `${Format.bytes(memory.limit_bytes)} for the agent`)
      : usage("Memory limit", memory.limit_used_bytes, memory.limit_bytes),
    memory?.swap_total_bytes === undefined || memory.swap_free_bytes === undefined
      ? undefined
      : usage("Swap", memory.swap_total_bytes - memory.swap_free_bytes, memory.swap_total_bytes),
    ...capabilities.disks.map((disk) =>
      usage(`Disk (${disk.purpose})`, disk.total_bytes - disk.free_bytes, disk.total_bytes)
    )
  ])
}

const system = (capabilities: CapabilitiesJson): Element | undefined => {
  const { container_runtime: runtime, network, os_info: os } = capabilities
  return facts("System", [
    os === undefined
      ? fact("OS", described(capabilities.os))
      : fact("OS", os.distribution ?? os.platform, capabilities.os),
    ...(os === undefined ? [] : [
      fact("Kernel", os.release),
      fact("Board", os.board),
      os.virtualization === "none" ? undefined : fact("Runs in", os.virtualization),
      os.uptime_seconds === 0 ? undefined : fact("Up for", Format.duration(os.uptime_seconds))
    ]),
    runtime === undefined ? undefined : fact(
      "Containers",
      known([runtime.kind, runtime.version]).join(" "),
      runtime.gpu_ready === undefined ? undefined : runtime.gpu_ready ? "GPUs ready" : "no GPUs"
    ),
    network === undefined ? undefined : fact(
      "Network",
      network.address,
      network.interface,
      figure(network.link_mbps, (mbps) => mbps >= 1000 ? `${mbps / 1000} Gbit/s` : `${mbps} Mbit/s`)
    )
  ])
}

const agent = (node: NodeJson): Element | undefined => {
  const labels = Object.entries(node.capabilities?.labels ?? {})
  return facts("Agent", [
    ["Id", copyable(node.id)],
    node.agent_address === "" ? undefined : ["Address", copyable(node.agent_address)],
    fact("Version", node.capabilities?.agent_version),
    fact("Registered", Format.moment(node.registered_unix)),
    labels.length === 0
      ? undefined
      : [
        "Labels",
        ...labels.map(([key, value]) => h("span", { class: "badge" }, data(value === "" ? key : `${key}=${value}`)))
      ]
  ])
}

const gpuLine = (gpu: Gpu, position: number, curves: Element | undefined): Element => {
  const { total, used } = gpuMemory(gpu)
  const others = gpu.foreign_processes.map(({ memory_used_bytes, name, pid }) =>
    known([name === "" ? `process ${pid}` : name, figure(memory_used_bytes, Format.bytes)]).join(" ")
  )
  return h(
    "li",
    { class: "gpu", "data-state": gpu.healthy ? "healthy" : "ill" },
    h("span", { class: "index" }, String(gpu.index ?? position)),
    h(
      "span",
      { class: "model" },
      data(gpu.model === "" ? gpu.vendor : gpu.model),
      small(data(
        known([
          figure(gpu.mig_instances.length || undefined, (count) => Format.count(count, "MIG slice")),
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
      { class: "figures" },
      // Each in its column, whatever the others know.
      ...[
        figure(gpu.utilization_percent, (percent) => `${Math.round(percent)} % busy`),
        figure(gpu.temperature_celsius, (celsius) => `${Math.round(celsius)} °C`),
        gpu.power_draw_watts === undefined
          ? figure(gpu.power_limit_watts, (watts) => `at most ${Math.round(watts)} W`)
          : known([
            String(Math.round(gpu.power_draw_watts)),
            figure(gpu.power_limit_watts, (watts) => `of ${Math.round(watts)}`),
            "W"
          ]).join(" ")
      ].map((text) => h("span", {}, text))
    ),
    curves,
    gpu.healthy ? undefined : h("span", { class: "problem" }, data(gpu.health_problem ?? "not healthy")),
    others.length === 0 ? undefined : h("span", { class: "others" }, data(`also used by ${others.join(", ")}`))
  )
}

const engineLine = (engine: Engine): Element =>
  h(
    "li",
    { class: "engine" },
    h("span", { class: "engine-name" }, data(engine.name)),
    h("span", { class: `badge ${engineTone(engine.state)}` }, data(engine.state)),
    h("span", { class: "models" }, data(engine.models.join(", "))),
    h(
      "span",
      { class: "small" },
      data(
        known([
          engine.detail,
          figure(engine.progress, (progress) => `${Math.round(progress * 100)} %`),
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
      : h("pre", { class: "log", tabindex: "0", "aria-label": "Its last lines" }, data(engine.recent_log.join("\n")))
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

/** How a node's GPUs did of late. */
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
    ? `GPUs, now and in ${Curves.lastOf(span)}`
    : "GPUs"
  return listOf(title, gpus, (gpu, position) => gpuLine(gpu, position, curves[position]))
}

/** Everything that is known of a node. */
export const details = (node: NodeJson, past: Past): ReadonlyArray<Child> => {
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
