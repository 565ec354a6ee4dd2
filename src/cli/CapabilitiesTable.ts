/** What is known of a machine, as a table for a terminal. */
import type { GpuInfo, NodeCapabilities } from "../capabilities/NodeCapabilities.js"

export interface TableOptions {
  readonly color: boolean
  /** Columns of the terminal. */
  readonly width: number
}

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]

/** Bytes in the unit that people use for them: `23.5 GiB`. */
export const bytes = (count: number): string => {
  let unit = 0
  let value = count
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ""}`
}

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

/** What the machine's tools say must not be able to drive the terminal. */
const printable = (text: string): string => text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ")

const gpuMemory = (gpu: GpuInfo): string => {
  if (gpu.memoryTotalBytes === undefined) return gpu.unifiedMemory ? "shares the system's memory" : "memory unknown"
  if (gpu.memoryUsedBytes === undefined) return bytes(gpu.memoryTotalBytes)
  return `${bar(gpu.memoryUsedBytes, gpu.memoryTotalBytes)} ${bytes(gpu.memoryUsedBytes)} of ${
    bytes(gpu.memoryTotalBytes)
  }`
}

const gpuRow = (gpu: GpuInfo): ReadonlyArray<string> => [
  gpu.index === undefined ? "" : `${gpu.index}`,
  gpu.model,
  gpuMemory(gpu),
  gpu.utilizationPercent === undefined ? "" : `${Math.round(gpu.utilizationPercent)} %`,
  gpu.temperatureCelsius === undefined ? "" : `${Math.round(gpu.temperatureCelsius)} °C`,
  gpu.powerDrawWatts === undefined
    ? ""
    : gpu.powerLimitWatts === undefined
    ? `${Math.round(gpu.powerDrawWatts)} W`
    : `${Math.round(gpu.powerDrawWatts)} of ${Math.round(gpu.powerLimitWatts)} W`,
  gpu.healthy ? "ok" : gpu.healthProblem ?? "not healthy"
]

const aligned = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = rows.reduce<Array<number>>(
    (widest, row) => row.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    []
  )
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd())
}

/** Lines, the first column of each a label. */
export const render = (known: NodeCapabilities, { color, width }: TableOptions): string => {
  const paint = (code: number, text: string) => color ? `\u001b[${code}m${text}\u001b[0m` : text
  const { cpu, memory, os } = known
  const used = memory.totalBytes - memory.availableBytes

  const rows: Array<readonly [label: string, text: string]> = [
    ["Host", joined([os.hostname, os.distribution ?? os.platform, os.release, os.board])],
    [
      "Runs in",
      joined([
        os.virtualization === "none" ? "the machine itself" : os.virtualization,
        `up ${uptime(os.uptimeSeconds)}`
      ])
    ],
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
    ["", joined([cpu.architecture, ...cpu.features])],
    ["Memory", `${bar(used, memory.totalBytes)} ${bytes(used)} of ${bytes(memory.totalBytes)} used`],
    ...(memory.swapTotalBytes === undefined || memory.swapTotalBytes === 0 ? [] : [
      [
        "Swap",
        memory.swapFreeBytes === undefined
          ? bytes(memory.swapTotalBytes)
          : `${bar(memory.swapTotalBytes - memory.swapFreeBytes, memory.swapTotalBytes)} ${
            bytes(memory.swapTotalBytes - memory.swapFreeBytes)
          } of ${bytes(memory.swapTotalBytes)} used`
      ] as const
    ]),
    ...(cpu.limitCores === undefined && memory.limitBytes === undefined ? [] : [
      [
        "Limits here",
        joined([
          cpu.limitCores === undefined ? undefined : `${Number(cpu.limitCores.toFixed(2))} cores`,
          memory.limitBytes === undefined ? undefined : `${bytes(memory.limitBytes)} of memory`
        ])
      ] as const
    ]),
    ...known.disks.map((disk) =>
      [
        "Disk",
        `${bar(disk.totalBytes - disk.freeBytes, disk.totalBytes)} ${bytes(disk.freeBytes)} of ${
          bytes(disk.totalBytes)
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
      : aligned(known.gpus.map(gpuRow)).map((line, index) => [index === 0 ? "GPU" : "", line] as const)),
    ...known.gpus.flatMap((gpu) =>
      gpu.foreignProcesses.map((process) =>
        [
          "",
          `gpu ${gpu.index ?? gpu.model}: ${process.name} (pid ${process.pid}) uses ${
            process.memoryUsedBytes === undefined ? "an unknown amount of memory" : bytes(process.memoryUsedBytes)
          }`
        ] as const
      )
    )
  ]
  const labelWidth = Math.max(...rows.map(([label]) => label.length))
  const cut = (line: string) =>
    width > 40 && line.length > width - labelWidth - 2 ? `${line.slice(0, width - labelWidth - 3)}…` : line
  const lines = rows
    .filter(([, text]) => text !== "")
    .map(([label, text]) => `${paint(1, label.padEnd(labelWidth))}  ${cut(printable(text))}`)

  const severityColor = { info: 36, warning: 33, error: 31 } as const
  const findings = known.findings.flatMap((finding) => [
    `${paint(severityColor[finding.severity], finding.severity)} ${printable(finding.subject)}: ${
      printable(finding.message)
    }`,
    ...(finding.remedy === "" ? [] : [`  ${printable(finding.remedy)}`])
  ])
  return [...lines, ...(findings.length === 0 ? [] : ["", ...findings])].join("\n")
}
