/** The descriptions of `Capabilities` fields 1 to 10: dashboards in the field print them as they stand. */
import type { GpuInfo, NodeCapabilities } from "../../node/NodeCapabilities.js"
import type { CapabilityStrings } from "../../node/Node.js"

const gib = 1024 ** 3

/** GiB, labelled GB as the field does. */
const gigabytes = (bytes: number, decimals: number) => `${(bytes / gib).toFixed(decimals)} GB`

const orNotAvailable = <A>(value: A | undefined, show: (value: A) => string) =>
  value === undefined ? "N/A" : show(value)

/**
 * The GPUs whose memory is summed: those with memory of their own, where there are any. The others' memory is the
 * system's, which is described apart.
 */
const withMemory = (gpus: ReadonlyArray<GpuInfo>): ReadonlyArray<GpuInfo> => {
  const dedicated = gpus.filter((gpu) => !gpu.unifiedMemory)
  return dedicated.length > 0 ? dedicated : gpus.slice(0, 1)
}

/** The sum of what is known; `undefined` when nothing is. */
const sum = (gpus: ReadonlyArray<GpuInfo>, valueOf: (gpu: GpuInfo) => number | undefined): number | undefined => {
  const known = gpus.map(valueOf).filter((value) => value !== undefined)
  return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0)
}

const gpuType = (gpus: ReadonlyArray<GpuInfo>): string => {
  if (gpus.length === 0) return "No GPU detected"
  const counts = new Map<string, number>()
  for (const { model } of gpus) counts.set(model, (counts.get(model) ?? 0) + 1)
  return [...counts].map(([model, count]) => count === 1 ? model : `${count}x ${model}`).join(", ")
}

/**
 * Describes the machine. With several GPUs the memory and power are sums, the temperature is the hottest one's.
 */
export const of = ({ cpu, gpus, memory, os }: NodeCapabilities): CapabilityStrings => {
  const hottest = gpus.map((gpu) => gpu.temperatureCelsius).filter((value) => value !== undefined)
  return {
    cpu: `${cpu.logicalCores} cores`,
    memory: gigabytes(memory.totalBytes, 2),
    os: `${os.platform}/${cpu.architecture}`,
    gpuType: gpuType(gpus),
    gpuVramTotal: orNotAvailable(sum(withMemory(gpus), (gpu) => gpu.memoryTotalBytes), (bytes) => gigabytes(bytes, 1)),
    gpuVramAvailable: orNotAvailable(
      sum(withMemory(gpus), (gpu) => gpu.memoryFreeBytes),
      (bytes) => gigabytes(bytes, 1)
    ),
    gpuVramUsed: orNotAvailable(sum(withMemory(gpus), (gpu) => gpu.memoryUsedBytes), (bytes) => gigabytes(bytes, 1)),
    gpuTemperature: hottest.length === 0 ? "N/A" : `${Math.round(Math.max(...hottest))}°C`,
    gpuPowerUsage: orNotAvailable(sum(gpus, (gpu) => gpu.powerDrawWatts), (watts) => `${watts.toFixed(1)} W`)
  }
}
