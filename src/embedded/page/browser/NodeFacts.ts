/** What is known of a node as lists of facts: machine, system, agent. */
import type { CapabilitiesJson, NodeJson } from "../../registry/NodeJson.js"
import { type Child, type Element, h } from "./Dom.js"
import * as Format from "./Format.js"
import { bar, data, described, known } from "./NodeParts.js"

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

export const stat = (value: number | undefined, show: (value: number) => string): string | undefined =>
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

export const machine = (capabilities: CapabilitiesJson): Element | undefined => {
  const { cpu_info: cpu, memory_info: memory } = capabilities
  return facts("Machine", [
    cpu === undefined
      ? fact("CPU", described(capabilities.cpu))
      : fact("CPU", cpu.model === "" ? cpu.vendor : cpu.model),
    cpu === undefined ? undefined : fact(
      "Cores",
      stat(cpu.physical_cores, (cores) => Format.count(cores, "core")),
      Format.count(cpu.logical_cores, "thread"),
      stat(cpu.sockets, (sockets) => sockets > 1 ? Format.count(sockets, "socket") : ""),
      stat(cpu.max_mhz, (mhz) => `up to ${(mhz / 1000).toFixed(1)}\u00a0GHz`)
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

export const system = (capabilities: CapabilitiesJson): Element | undefined => {
  const { container_runtime: runtime, network, os_info: os } = capabilities
  return facts("System", [
    os === undefined
      ? fact("OS", described(capabilities.os))
      : fact("OS", os.distribution ?? os.platform, capabilities.os),
    ...(os === undefined ? [] : [
      fact("Kernel", os.release),
      fact("Board", os.board),
      fact("Platform", os.virtualization === "none" ? "bare metal" : os.virtualization),
      os.uptime_seconds === 0 ? undefined : fact("Uptime", Format.duration(os.uptime_seconds))
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
      stat(network.link_mbps, (mbps) => mbps >= 1000 ? `${mbps / 1000} Gbit/s` : `${mbps} Mbit/s`)
    )
  ])
}

export const agent = (node: NodeJson): Element | undefined => {
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
