/** What is known of a machine, as a table for a terminal. */
import type { GpuInfo, NodeCapabilities } from "../node/NodeCapabilities.js"
import { wrap } from "./Help.js"
import * as Bytes from "../text/Bytes.js"
import { printable } from "../text/Printable.js"

export interface TableOptions {
  readonly color: boolean
  /** Columns of the terminal. */
  readonly width: number
}

/** As wide as the widest label. */
const labelWidth = "Containers".length

/** A bar of ten cells for a part of a whole. */
const bar = (part: number, whole: number): string => {
  const filled = whole <= 0 ? 0 : Math.min(10, Math.max(0, Math.round((part / whole) * 10)))
  return `[${"#".repeat(filled)}${".".repeat(10 - filled)}]`
}

const uptime = (seconds: number): string => {
  const days = Math.floor(seconds / 86_400)
  const hours = Math.floor((seconds % 86_400) / 3_600)
  const minutes = Math.floor((seconds % 3_600) / 60)
  return days > 0 ? `${days}d ${hours}h` : hours > 0 ? `${hours}h ${minutes}m` : `${minutes}m`
}

const joined = (parts: ReadonlyArray<string | undefined>): string =>
  parts.filter((part) => part !== undefined && part !== "").join(", ")

/** `2.0 of 140 GiB`; in two units where they differ. */
const bytesOf = (part: number, whole: number): string => {
  const [figure, unit] = Bytes.format(part).split(" ")
  return Bytes.format(whole).endsWith(` ${unit}`)
    ? `${figure} of ${Bytes.format(whole)}`
    : `${Bytes.format(part)} of ${Bytes.format(whole)}`
}

const gpuMemory = (gpu: GpuInfo): string => {
  if (gpu.memoryTotalBytes === undefined) return gpu.unifiedMemory ? "shares the system's memory" : "memory unknown"
  if (gpu.memoryUsedBytes === undefined) return Bytes.format(gpu.memoryTotalBytes)
  return `${bar(gpu.memoryUsedBytes, gpu.memoryTotalBytes)} ${bytesOf(gpu.memoryUsedBytes, gpu.memoryTotalBytes)}`
}

const gpuRow = (gpu: GpuInfo): ReadonlyArray<string> => [
  gpu.index === undefined ? "" : `${gpu.index}`,
  gpu.model,
  gpu.healthy ? "ok" : "ill",
  gpuMemory(gpu),
  gpu.utilizationPercent === undefined ? "" : `${Math.round(gpu.utilizationPercent)} % busy`,
  gpu.temperatureCelsius === undefined ? "" : `${Math.round(gpu.temperatureCelsius)} °C`,
  gpu.powerDrawWatts === undefined
    ? ""
    : gpu.powerLimitWatts === undefined
    ? `${Math.round(gpu.powerDrawWatts)} W`
    : `${Math.round(gpu.powerDrawWatts)} of ${Math.round(gpu.powerLimitWatts)} W`
]

/** The column of a GPU's row that gives way where the terminal is narrow, and how far. */
const modelColumn = 1
const leastModel = 10

const shortened = (text: string, most: number): string => text.length > most ? `${text.slice(0, most - 1)}…` : text

/**
 * Rows in columns. What nobody knows takes no column; where the terminal is narrow the models' names are shortened, and
 * then columns are left out from the right.
 */
const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>, width: number): ReadonlyArray<string> => {
  const widths = rows.reduce<Array<number>>(
    (widest, row) => row.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    []
  )
  const excess = () => widths.filter((one) => one > 0).reduce((sum, one) => sum + one + 2, -2) - width
  const model = widths[modelColumn] ?? 0
  widths[modelColumn] = Math.max(Math.min(model, leastModel), model - Math.max(0, excess()))
  for (let last = widths.length - 1; last > modelColumn + 1 && excess() > 0; last--) widths[last] = 0
  return rows.map((row) =>
    row.flatMap((cell, column) => {
      const most = widths[column] ?? 0
      return most === 0 ? [] : [(column === modelColumn ? shortened(cell, most) : cell).padEnd(most)]
    }).join("  ").trimEnd()
  )
}

/** What is to be said of a GPU besides its row. */
const gpuRemarks = (gpu: GpuInfo): ReadonlyArray<string> => {
  const name = `gpu ${gpu.index ?? gpu.model}`
  return [
    ...(gpu.healthy ? [] : [`${name}: ${gpu.healthProblem ?? "not healthy"}`]),
    ...(gpu.migInstances.length === 0
      ? []
      : [`${name}: cut up into ${gpu.migInstances.map(({ profile }) => profile).join(", ")}`]),
    ...gpu.foreignProcesses.map((process) =>
      `${name}: ${process.name} (pid ${process.pid}) uses ${
        process.memoryUsedBytes === undefined ? "an unknown amount of memory" : Bytes.format(process.memoryUsedBytes)
      }`
    )
  ]
}

/** Lines, the first column of each a label. */
export const render = (known: NodeCapabilities, { color, width }: TableOptions): string => {
  const paint = (code: number, text: string) => color ? `\u001b[${code}m${text}\u001b[0m` : text
  const { cpu, memory, os } = known
  const used = memory.totalBytes - memory.availableBytes

  const rows: Array<readonly [label: string, text: string]> = [
    ["Host", joined([os.hostname, os.distribution ?? os.platform, os.release, os.board])],
    ["Runs in", os.virtualization === "none" ? "the machine itself" : os.virtualization ?? ""],
    ["Up for", uptime(os.uptimeSeconds)],
    [
      "CPU",
      joined([
        cpu.model ?? cpu.architecture,
        cpu.sockets !== undefined && cpu.sockets > 1 ? `${cpu.sockets} sockets` : undefined,
        cpu.physicalCores === undefined ? undefined : `${cpu.physicalCores} cores`,
        `${cpu.logicalCores} threads`,
        cpu.maxMhz === undefined ? undefined : `up to ${(cpu.maxMhz / 1000).toFixed(1)} GHz`
      ])
    ],
    ["", joined([cpu.model === undefined ? undefined : cpu.architecture, ...cpu.features])],
    ["Memory", `${bar(used, memory.totalBytes)} ${bytesOf(used, memory.totalBytes)} used`],
    ...(memory.swapTotalBytes === undefined || memory.swapTotalBytes === 0 ? [] : [
      [
        "Swap",
        memory.swapFreeBytes === undefined
          ? Bytes.format(memory.swapTotalBytes)
          : `${bar(memory.swapTotalBytes - memory.swapFreeBytes, memory.swapTotalBytes)} ${
            bytesOf(memory.swapTotalBytes - memory.swapFreeBytes, memory.swapTotalBytes)
          } used`
      ] as const
    ]),
    ...(cpu.limitCores === undefined && memory.limitBytes === undefined ? [] : [
      [
        "Limits",
        joined([
          cpu.limitCores === undefined ? undefined : `${Number(cpu.limitCores.toFixed(2))} cores`,
          memory.limitBytes === undefined
            ? undefined
            : memory.limitUsedBytes === undefined
            ? `${Bytes.format(memory.limitBytes)} of memory`
            : `${bytesOf(memory.limitUsedBytes, memory.limitBytes)} of memory used`
        ])
      ] as const
    ]),
    ...known.disks.map((disk) =>
      [
        "Disk",
        `${bar(disk.totalBytes - disk.freeBytes, disk.totalBytes)} ${
          bytesOf(disk.freeBytes, disk.totalBytes)
        } free, ${disk.purpose}: ${disk.path}`
      ] as const
    ),
    ...(known.network?.address === undefined ? [] : [
      [
        "Network",
        joined([
          known.network.address,
          known.network.interface,
          known.network.linkMbps === undefined ? undefined : `${known.network.linkMbps} Mbit/s`
        ])
      ] as const
    ]),
    [
      "Containers",
      known.containerRuntime === undefined ? "no Docker or Podman found" : joined([
        [known.containerRuntime.kind, known.containerRuntime.version].filter((part) => part !== undefined).join(" "),
        known.containerRuntime.gpuReady === undefined
          ? undefined
          : known.containerRuntime.gpuReady
          ? "can use GPUs"
          : "cannot use GPUs"
      ])
    ],
    ...(known.gpus.length === 0
      ? [["GPU", "none found"] as const]
      : aligned(known.gpus.map((gpu) => gpuRow(gpu).map(printable)), width - labelWidth - 2).map((line, index) =>
        [index === 0 ? "GPU" : "", line] as const
      )),
    ...known.gpus.flatMap((gpu) => gpuRemarks(gpu).map((remark) => ["", remark] as const))
  ]
  const cut = (line: string) => width > 40 ? shortened(line, width - labelWidth - 2) : line
  const lines = rows
    .filter(([, text]) => text !== "")
    .map(([label, text]) => `${paint(1, label.padEnd(labelWidth))}  ${cut(printable(text))}`)

  const severityColor = { info: 36, warning: 33, error: 31 } as const
  const wrapped = (text: string, indent: string) =>
    wrap(printable(text), Math.max(40, width - indent.length)).map((line) => `${indent}${line}`)
  const findings = known.findings.flatMap(({ message, remedy, severity, subject }) => {
    const [first = "", ...rest] = wrapped(`${severity} ${subject}: ${message}`, "")
    return [
      `${paint(severityColor[severity], severity)}${first.slice(severity.length)}`,
      ...rest.map((line) => `  ${line}`),
      ...(remedy === "" ? [] : wrapped(`→ ${remedy}`, "  "))
    ]
  })
  return [...lines, ...(findings.length === 0 ? [] : ["", ...findings])].join("\n")
}
