/** Machines as the capabilities describe them. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Capabilities } from "../../src/capabilities/Capabilities.js"
import {
  CpuInfo,
  DiskInfo,
  Finding,
  GpuInfo,
  MemoryInfo,
  NodeCapabilities,
  OsInfo
} from "../../src/node/NodeCapabilities.js"
import type { NodeReport } from "../../src/node/Node.js"

export const gib = 1024 ** 3

export const gpu = (more: Partial<ConstructorParameters<typeof GpuInfo>[0]> = {}): GpuInfo =>
  new GpuInfo({
    vendor: "nvidia",
    model: "NVIDIA H200",
    uuid: "GPU-1",
    index: 0,
    memoryTotalBytes: 140 * gib,
    memoryUsedBytes: 2 * gib,
    memoryFreeBytes: 138 * gib,
    unifiedMemory: false,
    utilizationPercent: 10,
    temperatureCelsius: 33,
    powerDrawWatts: 75.2,
    migInstances: [],
    foreignProcesses: [],
    healthy: true,
    ...more
  })

export const disk = (freeBytes: number): DiskInfo =>
  new DiskInfo({ purpose: "state", path: "/var/lib/orchion", totalBytes: 100 * gib, freeBytes })

export const finding = (code: string): Finding =>
  new Finding({ code, severity: "warning", subject: "gpu 0", message: "It runs hot.", remedy: "Clean its fans." })

export const memory = (more: Partial<ConstructorParameters<typeof MemoryInfo>[0]> = {}): MemoryInfo =>
  new MemoryInfo({ totalBytes: 100 * gib, availableBytes: 60 * gib, ...more })

export const machine = (
  more: Partial<ConstructorParameters<typeof NodeCapabilities>[0]> = {}
): NodeCapabilities =>
  new NodeCapabilities({
    cpu: new CpuInfo({ architecture: "amd64", logicalCores: 8, features: [] }),
    memory: memory(),
    os: new OsInfo({ hostname: "tester", platform: "linux", release: "6.1.0", uptimeSeconds: 60 }),
    gpus: [],
    disks: [],
    findings: [],
    ...more
  })

export const report = (capabilities: NodeCapabilities = machine()): NodeReport => ({
  capabilities,
  agentVersion: "0.1.0",
  labels: {},
  engines: []
})

/** Capabilities that are what the test says, and count how often they were forgotten. */
export interface ScriptedCapabilities {
  /** What there is to read from now on. */
  now: NodeCapabilities
  /** What is known before the probes have ended; what there is to read where it is not set. */
  current: NodeCapabilities | undefined
  /** How long the probes of a read take from now on. */
  takes: Duration.DurationInput
  forgotten: number
  readonly layer: Layer.Layer<Capabilities>
}

export const scripted = (): ScriptedCapabilities => {
  const known = Effect.sync(() => script.current ?? script.now)
  const readWithin = (limit: Duration.DurationInput) =>
    Effect.suspend(() => {
      const found = script.now
      return Duration.toMillis(script.takes) === 0
        ? Effect.succeed(found)
        : Duration.lessThanOrEqualTo(script.takes, limit)
        ? Effect.delay(Effect.succeed(found), script.takes)
        : Effect.delay(known, limit)
    })
  const script: ScriptedCapabilities = {
    now: machine(),
    current: undefined,
    takes: 0,
    forgotten: 0,
    layer: Layer.succeed(Capabilities, {
      current: known,
      read: known,
      readWithin,
      readAll: Effect.suspend(() => readWithin(script.takes)),
      forget: Effect.sync(() => {
        script.forgotten++
      })
    })
  }
  return script
}
