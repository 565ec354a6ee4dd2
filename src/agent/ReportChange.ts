/** Which changes of a node are reported. */
import * as Equal from "effect/Equal"
import type { DiskInfo, GpuInfo, NodeCapabilities } from "../node/NodeCapabilities.js"
import type { NodeReport } from "../node/Node.js"

/** The smallest changes that a person would notice, in the unit of the field. */
export const thresholds = {
  /** Of the whole memory, disk or GPU memory. */
  memoryFraction: 0.01,
  temperatureCelsius: 2,
  powerWatts: 5,
  utilizationPoints: 5
} as const

/** A value that became known or unknown has changed. */
const differs = (before: number | undefined, after: number | undefined, threshold: number): boolean =>
  before === undefined || after === undefined ? before !== after : Math.abs(before - after) >= threshold

const gpuDiffers = (before: GpuInfo, after: GpuInfo): boolean => {
  const memory = Math.max(1, (after.memoryTotalBytes ?? 0) * thresholds.memoryFraction)
  return differs(before.memoryUsedBytes, after.memoryUsedBytes, memory)
    || differs(before.memoryFreeBytes, after.memoryFreeBytes, memory)
    || differs(before.utilizationPercent, after.utilizationPercent, thresholds.utilizationPoints)
    || differs(before.temperatureCelsius, after.temperatureCelsius, thresholds.temperatureCelsius)
    || differs(before.powerDrawWatts, after.powerDrawWatts, thresholds.powerWatts)
    || before.foreignProcesses.length !== after.foreignProcesses.length
    || before.foreignProcesses.some((process, index) => {
      const other = after.foreignProcesses[index]
      return other === undefined || process.pid !== other.pid || process.name !== other.name
        || differs(process.memoryUsedBytes, other.memoryUsedBytes, memory)
    })
}

const diskDiffers = (before: DiskInfo, after: DiskInfo): boolean =>
  differs(before.freeBytes, after.freeBytes, Math.max(1, after.totalBytes * thresholds.memoryFraction))

/** The fields where any change counts: all but those with a threshold. */
const steady = ({ cpu, disks, findings, gpus, memory, os, ...rest }: NodeCapabilities) => ({
  ...rest,
  cpu,
  findings,
  memory: { ...memory, availableBytes: 0, swapFreeBytes: 0, limitUsedBytes: 0 },
  os: { ...os, uptimeSeconds: 0 },
  disks: disks.map((disk) => ({ ...disk, freeBytes: 0 })),
  gpus: gpus.map((gpu) => ({
    ...gpu,
    memoryUsedBytes: 0,
    memoryFreeBytes: 0,
    utilizationPercent: 0,
    temperatureCelsius: 0,
    powerDrawWatts: 0,
    foreignProcesses: []
  }))
})

/** Plain data, compared by content. */
const sameData = (a: unknown, b: unknown): boolean => Equal.equals(a, b) || JSON.stringify(a) === JSON.stringify(b)

const anyDiffers = <A>(
  before: ReadonlyArray<A>,
  after: ReadonlyArray<A>,
  differ: (before: A, after: A) => boolean
): boolean =>
  before.some((item, index) => {
    const other = after[index]
    return other !== undefined && differ(item, other)
  })

/** Whether a person who looks at the node would see a difference between the reports. */
export const isNoticeable = (before: NodeReport, after: NodeReport): boolean => {
  const was = before.capabilities
  const is = after.capabilities
  const memory = is.memory.totalBytes * thresholds.memoryFraction
  return differs(was.memory.availableBytes, is.memory.availableBytes, memory)
    || differs(was.memory.swapFreeBytes, is.memory.swapFreeBytes, memory)
    || differs(was.memory.limitUsedBytes, is.memory.limitUsedBytes, memory)
    || anyDiffers(was.gpus, is.gpus, gpuDiffers)
    || anyDiffers(was.disks, is.disks, diskDiffers)
    || !sameData(steady(was), steady(is))
    || !sameData(
      { labels: before.labels, engines: before.engines, version: before.agentVersion },
      { labels: after.labels, engines: after.engines, version: after.agentVersion }
    )
}
