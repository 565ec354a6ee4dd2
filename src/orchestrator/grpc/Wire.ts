/** Our types to the wire's and back, but for nodes that an orchestrator lists: see `WireNode`. */
import type { Capabilities } from "../../proto/generated/orchion/v1/Capabilities.js"
import type { ChatCompletionRequest } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse__Output } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingRequest } from "../../proto/generated/orchion/v1/EmbeddingRequest.js"
import type { EmbeddingResponse__Output } from "../../proto/generated/orchion/v1/EmbeddingResponse.js"
import type { GetJobStatusResponse__Output } from "../../proto/generated/orchion/v1/GetJobStatusResponse.js"
import type { JobStatus__Output } from "../../proto/generated/orchion/v1/JobStatus.js"
import type { LogEntry__Output } from "../../proto/generated/orchion/v1/LogEntry.js"
import type { LogLevel__Output } from "../../proto/generated/orchion/v1/LogLevel.js"
import type { Node } from "../../proto/generated/orchion/v1/Node.js"
import type { UpdateNodeRequest } from "../../proto/generated/orchion/v1/UpdateNodeRequest.js"
import * as CapabilityStrings from "./CapabilityStrings.js"
import type { NodeRegistration, NodeReport } from "../../node/Node.js"
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
const renameKeys = (value: unknown, rename: (name: string) => string): unknown =>
  Array.isArray(value)
    ? value.map((item) => renameKeys(item, rename))
    : typeof value === "object" && value !== null
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [rename(key), renameKeys(item, rename)]))
    : value

export const toCapabilities = (report: NodeReport): Capabilities => {
  const strings = CapabilityStrings.of(report.capabilities)
  // The model is plain data, and is so on the wire: nothing need be encoded.
  const { containerRuntime, cpu, disks, findings, gpus, memory, network, os } = report.capabilities
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

/** An enum value unknown to this version arrives as its number. */
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
