/** Nodes that an orchestrator lists, from the wire: what peers send is decoded by the model's schema. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { NodeCapabilities } from "../../node/CapabilitiesSchema.js"
import type { EngineFigures, EngineReport, EngineState, NodeReport, RegisteredNode } from "../../node/Node.js"
import type { Capabilities__Output } from "../../proto/generated/orchion/v1/Capabilities.js"
import type { CpuInfo__Output } from "../../proto/generated/orchion/v1/CpuInfo.js"
import type { EngineInfo__Output } from "../../proto/generated/orchion/v1/EngineInfo.js"
import type { Node__Output } from "../../proto/generated/orchion/v1/Node.js"
import * as PlainMessage from "../../proto/PlainMessage.js"

const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** In our model's names. */
const modelOfCapabilities = PlainMessage.converter("orchion.v1.Capabilities", camelCase)
const modelOfFigures = PlainMessage.converter("orchion.v1.EngineFigures", camelCase)

const decodeCapabilities = Schema.decodeUnknownEither(NodeCapabilities)

const engineStates = new Set<string>(
  [
    "pulling",
    "starting",
    "loading",
    "ready",
    "unhealthy",
    "restarting",
    "failed",
    "stopped"
  ] satisfies ReadonlyArray<EngineState>
)
const isEngineState = (state: string): state is EngineState => engineStates.has(state)

const fromEngine = (engine: EngineInfo__Output): EngineReport => ({
  name: engine.name,
  // An unknown state of a newer agent is shown by its name, as not ready.
  state: isEngineState(engine.state) ? engine.state : "unhealthy",
  models: engine.models,
  detail: isEngineState(engine.state) ? engine.detail : `${engine.state}: ${engine.detail}`,
  restarts: engine.restarts,
  ...(engine.progress === undefined ? {} : { progress: engine.progress }),
  ...(engine.image === undefined ? {} : { image: engine.image }),
  ...(engine.done_bytes === undefined ? {} : { doneBytes: Number(engine.done_bytes) }),
  ...(engine.total_bytes === undefined ? {} : { totalBytes: Number(engine.total_bytes) }),
  ...(engine.recent_log.length === 0 ? {} : { recentLog: engine.recent_log }),
  // Plain numbers under our model's own names.
  ...(engine.figures === null ? {} : { figures: modelOfFigures(engine.figures) as unknown as EngineFigures })
})

/** These fields are not `optional` on the wire, so that what is unknown arrives as an empty text. */
const withoutEmpty = ({ model, vendor, ...cpu }: CpuInfo__Output) => ({
  ...cpu,
  ...(model === "" ? {} : { model }),
  ...(vendor === "" ? {} : { vendor })
})

/** The structured capabilities, when the sender has them and they are valid. */
const fromCapabilities = (wire: Capabilities__Output): NodeReport | undefined => {
  if (wire.cpu_info === null || wire.memory_info === null || wire.os_info === null) return undefined
  const { containerRuntime, cpuInfo, disks, findings, gpus, memoryInfo, network, osInfo } = modelOfCapabilities(wire)
  const decoded = decodeCapabilities({
    cpu: withoutEmpty(cpuInfo as CpuInfo__Output),
    memory: memoryInfo,
    os: osInfo,
    gpus,
    disks,
    findings,
    ...(network === undefined ? {} : { network }),
    ...(containerRuntime === undefined ? {} : { containerRuntime })
  })
  return Either.isLeft(decoded) ? undefined : {
    capabilities: decoded.right,
    agentVersion: wire.agent_version,
    labels: wire.labels,
    engines: wire.engines.map(fromEngine)
  }
}

export const fromNode = (node: Node__Output): RegisteredNode => {
  const { capabilities } = node
  const report = capabilities === null ? undefined : fromCapabilities(capabilities)
  return {
    id: node.id,
    hostname: node.hostname,
    agentAddress: node.agent_address,
    lastSeenUnix: Number(node.last_seen_unix),
    stale: node.stale,
    stopped: node.stopped === true,
    ...(node.instance_id === undefined || node.instance_id === "" ? {} : { instanceId: node.instance_id }),
    strings: {
      cpu: capabilities?.cpu ?? "",
      memory: capabilities?.memory ?? "",
      os: capabilities?.os ?? "",
      gpuType: capabilities?.gpu_type ?? "",
      gpuVramTotal: capabilities?.gpu_vram_total ?? "",
      gpuVramAvailable: capabilities?.gpu_vram_available ?? "",
      gpuVramUsed: capabilities?.gpu_vram_used ?? "",
      gpuTemperature: capabilities?.gpu_temperature ?? "",
      gpuPowerUsage: capabilities?.gpu_power_usage ?? ""
    },
    ...(report === undefined ? {} : { report })
  }
}
