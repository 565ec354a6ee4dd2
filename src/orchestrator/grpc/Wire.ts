/** Our types to the wire's and back. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { NodeCapabilities } from "../../node/NodeCapabilities.js"
import type { Capabilities, Capabilities__Output } from "../../proto/generated/orchion/v1/Capabilities.js"
import type { ChatCompletionRequest } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse__Output } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { CpuInfo__Output } from "../../proto/generated/orchion/v1/CpuInfo.js"
import type { EmbeddingRequest } from "../../proto/generated/orchion/v1/EmbeddingRequest.js"
import type { EmbeddingResponse__Output } from "../../proto/generated/orchion/v1/EmbeddingResponse.js"
import type { EngineInfo__Output } from "../../proto/generated/orchion/v1/EngineInfo.js"
import type { GetJobStatusResponse__Output } from "../../proto/generated/orchion/v1/GetJobStatusResponse.js"
import type { JobStatus__Output } from "../../proto/generated/orchion/v1/JobStatus.js"
import type { LogEntry__Output } from "../../proto/generated/orchion/v1/LogEntry.js"
import type { LogLevel__Output } from "../../proto/generated/orchion/v1/LogLevel.js"
import type { Node, Node__Output } from "../../proto/generated/orchion/v1/Node.js"
import type { UpdateNodeRequest } from "../../proto/generated/orchion/v1/UpdateNodeRequest.js"
import * as PlainMessage from "../../proto/PlainMessage.js"
import * as CapabilityStrings from "./CapabilityStrings.js"
import type {
  EngineFigures,
  EngineReport,
  EngineState,
  NodeRegistration,
  NodeReport,
  RegisteredNode
} from "../../node/Node.js"
import type {
  ChatChunk,
  ChatRequest,
  EmbeddingsRequest,
  EmbeddingsResult,
  JobState,
  JobStatus,
  LogEntry
} from "../ClusterClient.js"

// Our structured messages name their fields as our model does, in the wire's case. A test sends every field of the
// model through a serialized message and back.

const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

const renameKeys = (value: unknown, rename: (name: string) => string): unknown =>
  Array.isArray(value)
    ? value.map((item) => renameKeys(item, rename))
    : typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [rename(key), renameKeys(item, rename)]))
    : value

/** In our model's names. */
const modelOfCapabilities = PlainMessage.converter("orchion.v1.Capabilities", camelCase)
const modelOfFigures = PlainMessage.converter("orchion.v1.EngineFigures", camelCase)

const encodeCapabilities = Schema.encodeSync(NodeCapabilities)
const decodeCapabilities = Schema.decodeUnknownEither(NodeCapabilities)

export const toCapabilities = (report: NodeReport): Capabilities => {
  const strings = CapabilityStrings.of(report.capabilities)
  const { containerRuntime, cpu, disks, findings, gpus, memory, network, os } = encodeCapabilities(report.capabilities)
  const structured = {
    cpu_info: cpu,
    memory_info: memory,
    os_info: os,
    gpus,
    disks,
    findings,
    engines: report.engines,
    ...(network === undefined ? {} : { network }),
    ...(containerRuntime === undefined ? {} : { container_runtime: containerRuntime })
  }
  return {
    cpu: strings.cpu,
    memory: strings.memory,
    os: strings.os,
    gpu_type: strings.gpuType,
    gpu_vram_total: strings.gpuVramTotal,
    gpu_vram_available: strings.gpuVramAvailable,
    gpu_vram_used: strings.gpuVramUsed,
    gpu_temperature: strings.gpuTemperature,
    gpu_power_usage: strings.gpuPowerUsage,
    power_usage: strings.gpuPowerUsage,
    agent_version: report.agentVersion,
    labels: { ...report.labels },
    ...(renameKeys(structured, snakeCase) as Capabilities)
  }
}

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
  // A state that a newer agent knows and we do not is told in its own words, as something that is not ready.
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

/** The exact figures, when the sender has them and they are sound. */
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

export const toNode = (node: NodeRegistration, nowUnix: number): Node => ({
  id: node.id,
  hostname: node.hostname,
  agent_address: node.agentAddress,
  last_seen_unix: nowUnix,
  ...(node.instanceId === undefined ? {} : { instance_id: node.instanceId }),
  capabilities: toCapabilities(node.report)
})

export const toUpdate = (nodeId: string, report: NodeReport): UpdateNodeRequest => ({
  node_id: nodeId,
  capabilities: toCapabilities(report),
  ...(report.leaving === true ? { leaving: true } : {})
})

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

export const toChatRequest = (request: ChatRequest): ChatCompletionRequest => ({
  model: request.model,
  messages: request.messages.map(({ content, role }) => ({ role, content })),
  stream: request.stream,
  ...(request.temperature === undefined ? {} : { temperature: request.temperature, greedy: request.temperature === 0 }),
  ...(request.maxTokens === undefined ? {} : { max_tokens: request.maxTokens })
})

export const fromChatResponse = (response: ChatCompletionResponse__Output): ChatChunk => ({
  id: response.id,
  model: response.model,
  createdUnix: Number(response.created),
  object: response.object,
  choices: response.choices.map((choice) => ({
    index: choice.index,
    message: { role: choice.message?.role ?? "", content: choice.message?.content ?? "" },
    finishReason: choice.finish_reason
  }))
})

export const toEmbeddingRequest = ({ input, model }: EmbeddingsRequest): EmbeddingRequest => ({
  model,
  input: [...input]
})

export const fromEmbeddingResponse = (response: EmbeddingResponse__Output): EmbeddingsResult => ({
  model: response.model,
  embeddings: [...response.data].sort((a, b) => a.index - b.index).map(({ embedding }) => embedding),
  promptTokens: response.usage_prompt_tokens
})

const jobStates: Readonly<Record<JobStatus__Output, JobState>> = {
  JOB_STATUS_UNSPECIFIED: "unspecified",
  JOB_STATUS_PENDING: "pending",
  JOB_STATUS_ASSIGNED: "assigned",
  JOB_STATUS_RUNNING: "running",
  JOB_STATUS_COMPLETED: "completed",
  JOB_STATUS_FAILED: "failed"
}

/** A number that the peer's enum has and ours has not arrives as that number. */
export const fromJobState = (status: JobStatus__Output): JobState => jobStates[status] ?? "unspecified"

export const fromJobStatus = (status: GetJobStatusResponse__Output): JobStatus => ({
  id: status.job_id,
  state: fromJobState(status.status),
  assignedNode: status.assigned_node,
  errorMessage: status.error_message,
  result: status.result
})

const logLevels: Readonly<Record<LogLevel__Output, LogEntry["level"]>> = {
  LOG_LEVEL_UNSPECIFIED: "unspecified",
  LOG_LEVEL_DEBUG: "debug",
  LOG_LEVEL_INFO: "info",
  LOG_LEVEL_WARN: "warn",
  LOG_LEVEL_ERROR: "error"
}

export const fromLogEntry = (entry: LogEntry__Output): LogEntry => ({
  id: entry.id,
  timestampMillis: Number(entry.timestamp),
  level: logLevels[entry.level] ?? "unspecified",
  source: entry.source,
  message: entry.message,
  fields: entry.fields
})
