/** What the vendors share: facts about GPUs, the description of a GPU, and findings about tools. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { known } from "../../node/Fields.js"
import { bytes, within } from "../Numbers.js"
import * as Printable from "../../text/Printable.js"
import { finding } from "../../node/Findings.js"
import {
  type Finding,
  GpuInfo,
  type GpuProcess,
  type GpuVendor,
  type MigInstance
} from "../../node/NodeCapabilities.js"
import type { ProcessError } from "../../process/ProcessRunner.js"

/** What every vendor's probe finds. */
export interface GpuFacts {
  readonly gpus: ReadonlyArray<GpuInfo>
  /** The programs that use each GPU, the agent's own included, by the GPU's uuid or else its PCI address. */
  readonly users: ReadonlyMap<string, ReadonlyArray<GpuProcess>>
  /** `false` while it is not known which GPUs there are: then an empty list does not mean that there is none. */
  readonly isKnown: boolean
}

/** Before the first look has ended. */
export const notKnownYet: GpuFacts = { gpus: [], users: new Map(), isKnown: false }

/** There is none. */
export const noGpus: GpuFacts = { gpus: [], users: new Map(), isKnown: true }

/** What a vendor's probe knows of a GPU, before it has been checked; see {@link GpuInfo} for the units. */
export interface GpuFields {
  readonly vendor: GpuVendor
  readonly model: string | undefined
  readonly uuid?: string | undefined
  readonly index?: number | undefined
  readonly pciAddress?: string | undefined
  readonly memoryTotalBytes?: number | undefined
  readonly memoryUsedBytes?: number | undefined
  readonly memoryFreeBytes?: number | undefined
  readonly unifiedMemory?: boolean
  readonly utilizationPercent?: number | undefined
  readonly temperatureCelsius?: number | undefined
  readonly powerDrawWatts?: number | undefined
  readonly powerLimitWatts?: number | undefined
  readonly driverVersion?: string | undefined
  readonly computeCapability?: string | undefined
  readonly migInstances?: ReadonlyArray<MigInstance>
  readonly foreignProcesses?: ReadonlyArray<GpuProcess>
  /** What is wrong with it; absent when it is healthy. */
  readonly healthProblem?: string | undefined
}

const vendorNames: Readonly<Record<GpuVendor, string>> = {
  nvidia: "NVIDIA",
  amd: "AMD",
  intel: "Intel",
  apple: "Apple"
}

const nonNegative = (value: number | undefined) =>
  value === undefined ? undefined : within(Math.round(value), 0, 2 ** 50)

/** More than any GPU draws, in watts. */
const maxWatts = 20_000

/** Describes a GPU by those of the fields that are possible: an impossible reading is unknown, not zero. */
export const describeGpu = (fields: GpuFields): GpuInfo => {
  const total = bytes(fields.memoryTotalBytes)
  let used = nonNegative(fields.memoryUsedBytes)
  let free = nonNegative(fields.memoryFreeBytes)
  // A driver that contradicts itself reports nothing.
  if (total !== undefined && (used ?? 0) + (free ?? 0) > total) used = free = undefined
  const round = (value: number | undefined) => value === undefined ? undefined : Math.round(value * 100) / 100
  return new GpuInfo(
    known({
      vendor: fields.vendor,
      model: Printable.label(fields.model) ?? `${vendorNames[fields.vendor]} GPU`,
      uuid: Printable.label(fields.uuid),
      index: within(fields.index, 0, 65_535),
      pciAddress: fields.pciAddress,
      memoryTotalBytes: total,
      memoryUsedBytes: used,
      memoryFreeBytes: free,
      unifiedMemory: fields.unifiedMemory ?? false,
      utilizationPercent: within(round(fields.utilizationPercent), 0, 100),
      // What draws no power and is at the freezing point does not measure.
      temperatureCelsius: within(round(fields.temperatureCelsius), 0.01, 200),
      powerDrawWatts: within(round(fields.powerDrawWatts), 0.01, maxWatts),
      powerLimitWatts: within(round(fields.powerLimitWatts), 0.01, maxWatts),
      driverVersion: Printable.label(fields.driverVersion),
      computeCapability: Printable.label(fields.computeCapability),
      migInstances: fields.migInstances ?? [],
      foreignProcesses: fields.foreignProcesses ?? [],
      healthy: fields.healthProblem === undefined,
      healthProblem: Printable.label(fields.healthProblem)
    })
  )
}

/** What still holds of a GPU that does not answer: what it is, without its readings. */
export const withoutReadings = (gpu: GpuInfo, healthProblem: string | undefined = gpu.healthProblem): GpuInfo =>
  describeGpu({
    vendor: gpu.vendor,
    model: gpu.model,
    uuid: gpu.uuid,
    index: gpu.index,
    pciAddress: gpu.pciAddress,
    memoryTotalBytes: gpu.memoryTotalBytes,
    unifiedMemory: gpu.unifiedMemory,
    powerLimitWatts: gpu.powerLimitWatts,
    driverVersion: gpu.driverVersion,
    computeCapability: gpu.computeCapability,
    migInstances: gpu.migInstances,
    healthProblem
  })

/** {@link withoutReadings} of all, who uses them unknown. */
export const staleFacts = <A extends GpuFacts>(facts: A): A => ({
  ...facts,
  gpus: facts.gpus.map((gpu) => withoutReadings(gpu, "does not answer")),
  users: new Map()
})

/** The finding for a tool that failed in a way that says nothing about the hardware. */
export const toolFinding = (
  subject: string,
  error: Exclude<ProcessError, { readonly _tag: "ProgramNotFound" }>
): Finding => {
  const by = { subject, message: error.message, severity: "error" } as const
  switch (error._tag) {
    case "ProgramTimedOut": {
      return error.survivor === undefined
        ? finding({
          ...by,
          code: "tool.timed-out",
          remedy: `Run ${error.program} by hand: if it hangs, too, reboot, or reload the driver.`
        })
        : finding({
          ...by,
          code: "tool.unkillable",
          remedy: "The driver hangs: reboot the machine, and check the kernel log (dmesg) for the reason."
        })
    }
    case "ProgramOutputTooLarge": {
      return finding({
        ...by,
        code: "tool.excessive-output",
        remedy: `Run ${error.program} by hand to see what it prints.`
      })
    }
    case "ProgramNotStarted": {
      return finding({
        ...by,
        code: "tool.not-started",
        severity: "warning",
        remedy: "Check the limits of the agent's user (ulimit -n, ulimit -u) and the free memory of this machine."
      })
    }
    case "ProgramFailed": {
      const said = Printable.label(error.stderr, 200) ?? Printable.label(error.stdout, 200)
      return finding({
        ...by,
        message: said === undefined ? error.message : `${error.message.slice(0, -1)}: ${said}`,
        code: "tool.failed",
        remedy: `Run ${error.program} by hand, and check the kernel log (dmesg) for what the driver reports.`
      })
    }
  }
}

/** The time that is left until a deadline that starts now, however many tools share it; 100 ms at least. */
export const timeLeft = (deadline: Duration.DurationInput): Effect.Effect<Effect.Effect<Duration.Duration>> =>
  Effect.map(
    Clock.currentTimeMillis,
    (start) =>
      Effect.map(Clock.currentTimeMillis, (now) =>
        Duration.millis(
          Math.max(100, Math.min(Duration.toMillis(deadline), start + Duration.toMillis(deadline) - now))
        ))
  )
