/** What is known of a machine, as a table for a terminal. */
import { gpusAreKnown } from "../node/Findings.js"
import type { Finding, NodeCapabilities } from "../node/NodeCapabilities.js"
import * as Bytes from "../text/Bytes.js"
import { printable } from "../text/Printable.js"
import * as GpuRows from "./GpuRows.js"
import { wrap } from "./Help.js"

export interface TableOptions {
  readonly color: boolean
  /** Columns of the terminal. */
  readonly width: number
}

/** As wide as the widest label. */
const labelWidth = "Containers".length

/** Below this width lines are left to the terminal to break. */
const leastWidth = 40

const uptime = (seconds: number): string => {
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor((seconds % 86_400) / 3_600)
  const minutes = Math.floor((seconds % 3_600) / 60)
  return days > 0 ? `${days}d ${hours}h` : hours > 0 ? `${hours}h ${minutes}m` : `${minutes}m`
}

const joined = (parts: ReadonlyArray<string | undefined>): string =>
  parts.filter((part) => part !== undefined && part !== "").join(", ")

/** A label, and lines beside it; the lines of a text are broken to the width, those of a table are not. */
interface Row {
  readonly label: string
  readonly text: string | ReadonlyArray<string>
}

const hostRows = ({ cpu, os }: NodeCapabilities): ReadonlyArray<Row> => [
  { label: "Host", text: joined([os.hostname, os.distribution ?? os.platform, os.release, os.board]) },
  { label: "Platform", text: os.virtualization === "none" ? "bare metal" : os.virtualization ?? "" },
  { label: "Uptime", text: uptime(os.uptimeSeconds) },
  {
    label: "CPU",
    text: joined([
      cpu.model ?? cpu.architecture,
      cpu.sockets !== undefined && cpu.sockets > 1 ? `${cpu.sockets} sockets` : undefined,
      cpu.physicalCores === undefined ? undefined : `${cpu.physicalCores} cores`,
      `${cpu.logicalCores} threads`,
      cpu.maxMhz === undefined ? undefined : `up to ${(cpu.maxMhz / 1000).toFixed(1)} GHz`
    ])
  },
  { label: "", text: joined([cpu.model === undefined ? undefined : cpu.architecture, ...cpu.features]) }
]

const usage = (used: number, total: number): string =>
  `${GpuRows.bar(used, total)} ${GpuRows.bytesOf(used, total)} used`

const memoryRows = ({ cpu, memory }: NodeCapabilities): ReadonlyArray<Row> => {
  const { limitBytes, limitUsedBytes, swapFreeBytes, swapTotalBytes = 0 } = memory
  return [
    { label: "Memory", text: usage(memory.totalBytes - memory.availableBytes, memory.totalBytes) },
    {
      label: "Swap",
      text: swapTotalBytes === 0
        ? ""
        : swapFreeBytes === undefined
        ? Bytes.format(swapTotalBytes)
        : usage(swapTotalBytes - swapFreeBytes, swapTotalBytes)
    },
    {
      label: "Limits",
      text: joined([
        cpu.limitCores === undefined ? undefined : `${Number(cpu.limitCores.toFixed(2))} cores`,
        limitBytes === undefined
          ? undefined
          : limitUsedBytes === undefined
          ? `${Bytes.format(limitBytes)} of memory`
          : `${GpuRows.bytesOf(limitUsedBytes, limitBytes)} of memory used`
      ])
    }
  ]
}

const deviceRows = ({ containerRuntime, disks, network }: NodeCapabilities): ReadonlyArray<Row> => [
  ...disks.map(({ freeBytes, path, purpose, totalBytes }) => ({
    label: "Disk",
    text: `${GpuRows.bar(totalBytes - freeBytes, totalBytes)} ${
      GpuRows.bytesOf(freeBytes, totalBytes)
    } free, ${purpose}: ${path}`
  })),
  {
    label: "Network",
    text: network?.address === undefined ? "" : joined([
      network.address,
      network.interface,
      network.linkMbps === undefined ? undefined : `${network.linkMbps} Mbit/s`
    ])
  },
  {
    label: "Containers",
    text: containerRuntime === undefined ? "no Docker or Podman found" : joined([
      [containerRuntime.kind, containerRuntime.version].filter((part) => part !== undefined).join(" "),
      containerRuntime.gpuReady === undefined
        ? undefined
        : containerRuntime.gpuReady
        ? "can use GPUs"
        : "cannot use GPUs"
    ])
  }
]

const gpuRows = (node: NodeCapabilities, width: number): ReadonlyArray<Row> => [
  {
    label: "GPU",
    text: node.gpus.length > 0
      ? GpuRows.render(node.gpus, width)
      : gpusAreKnown(node)
      ? "none found"
      : "not known yet"
  },
  ...node.gpus.flatMap(GpuRows.remarks).map((text) => ({ label: "", text }))
]

const severityColor = { info: 36, warning: 33, error: 31 } as const

/** Lines, the first column of each a label; below them what is wrong, and what to do about it. */
export const render = (node: NodeCapabilities, { color, width }: TableOptions): string => {
  const paint = (code: number, text: string) => color ? `\u001b[${code}m${text}\u001b[0m` : text
  const wide = Math.max(leastWidth, width)
  /** Broken between words; a word that is wider than the terminal loses its middle. */
  const broken = (text: string, columns: number) =>
    wrap(printable(text), columns).map((line) => GpuRows.middleCut(line, columns))
  const columns = wide - labelWidth - 2
  const rows = [...hostRows(node), ...memoryRows(node), ...deviceRows(node), ...gpuRows(node, columns)]
  const lines = rows.filter(({ text }) => text.length > 0).flatMap(({ label, text }) =>
    (typeof text === "string" ? broken(text, columns) : text).map((line, index) =>
      `${paint(1, (index === 0 ? label : "").padEnd(labelWidth))}  ${line}`
    )
  )
  const problem = ({ message, remedy, severity, subject }: Finding) => {
    const [first = "", ...rest] = broken(`${severity} ${subject}: ${message}`, wide - 2)
    return [
      `${paint(severityColor[severity], severity)}${first.slice(severity.length)}`,
      ...rest.map((line) => `  ${line}`),
      ...(remedy === "" ? [] : broken(`→ ${remedy}`, wide - 2).map((line) => `  ${line}`))
    ]
  }
  const problems = node.findings.flatMap(problem)
  return [...lines, ...(problems.length === 0 ? [] : ["", ...problems])].join("\n")
}
