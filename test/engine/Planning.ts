/** Settings and machines for the tests of what engines are planned to be. */
import * as Either from "effect/Either"
import { CpuInfo, type GpuInfo, MigInstance } from "../../src/node/NodeCapabilities.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as Source from "../../src/config/Source.js"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import * as CreateRequest from "../../src/docker/CreateRequest.js"
import type { ContainerPlan, EngineRefused } from "../../src/engine/EnginePlan.js"
import type { MachineFacts } from "../../src/engine/Machine.js"
import * as Machines from "../support/Machines.js"

/** Settings as on the command line, without dashes; several values for what may be given several times. */
export const settings = (
  values: Readonly<Record<string, string | ReadonlyArray<string>>> = {}
): AgentConfig.AgentSettings =>
  Either.getOrThrow(
    AgentConfig.fromSources([
      Source.commandLine(Object.fromEntries(Object.entries(values).map(([name, value]) => [name, [value].flat()])))
    ])
  )

export const nvidia = (index: number, more: Parameters<typeof Machines.gpu>[0] = {}): GpuInfo =>
  Machines.gpu({ index, uuid: `GPU-${index}`, computeCapability: "9.0", ...more })

export const amd = (index: number, more: Parameters<typeof Machines.gpu>[0] = {}): GpuInfo =>
  Machines.gpu({ vendor: "amd", model: "AMD Instinct MI300X", index, uuid: `GPU-a${index}`, ...more })

export const intel = (index: number, more: Parameters<typeof Machines.gpu>[0] = {}): GpuInfo =>
  Machines.gpu({ vendor: "intel", model: "Intel Data Center GPU Max", index, uuid: `0000-00${index}`, ...more })

export const apple: GpuInfo = Machines.gpu({ vendor: "apple", model: "Apple M3 Max", unifiedMemory: true })

/** GPU 0, cut into two slices. */
export const mig: GpuInfo = nvidia(0, {
  migInstances: [
    new MigInstance({ uuid: "MIG-a", profile: "3g.40gb" }),
    new MigInstance({ uuid: "MIG-b", profile: "3g.40gb" })
  ]
})

export const machine = (
  gpus: ReadonlyArray<GpuInfo> = [],
  more: {
    readonly env?: Readonly<Record<string, string>>
    readonly features?: ReadonlyArray<string>
    readonly architecture?: string
  } = {}
): MachineFacts => ({
  nodeId: "node-1",
  capabilities: Machines.machine({
    gpus,
    cpu: new CpuInfo({
      architecture: more.architecture ?? "amd64",
      logicalCores: 8,
      features: more.features ?? ["avx2"]
    })
  }),
  env: more.env ?? {},
  deviceGroups: [44, 110]
})

export const planned = (plan: Either.Either<ContainerPlan, EngineRefused>): ContainerPlan => Either.getOrThrow(plan)

export const refusal = (plan: Either.Either<ContainerPlan, EngineRefused>): string =>
  Either.isLeft(plan) ? plan.left.message : "not refused"

/** What reaches the container engine. */
export const body = ({ spec }: ContainerPlan): Record<string, unknown> =>
  CreateRequest.body(spec, { kind: "docker", gpuMethod: "hook", runId: "run" })

export const host = (plan: ContainerPlan): Record<string, unknown> => {
  const { HostConfig } = body(plan)
  return HostConfig as Record<string, unknown>
}

/** Whatever of a plan may be read by others, or is written down. */
export const readable = (plan: ContainerPlan): string =>
  JSON.stringify([
    plan,
    String(plan.spec),
    ContainerSpec.labels(plan.spec),
    ContainerSpec.hash(plan.spec),
    plan.spec.name,
    body(plan)["Cmd"],
    body(plan)["Labels"]
  ])
