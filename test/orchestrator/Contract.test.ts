import { assert, describe, it } from "@effect/vitest"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import { descriptor } from "../../src/proto/generated/descriptor.js"
import {
  LogStreamerService,
  NodeAgentService,
  OrchestratorService,
  OrchionLLMService
} from "../../src/proto/OrchionV1.js"

/** The contract that fleets in the field speak: `name = number: type`. What we add has numbers from 100 up. */
const messages: Readonly<Record<string, string>> = {
  Capabilities:
    "cpu = 1: string, memory = 2: string, os = 3: string, gpu_type = 4: string, gpu_vram_total = 5: string, "
    + "gpu_vram_available = 6: string, power_usage = 7: string, gpu_vram_used = 8: string, gpu_temperature = 9: string, "
    + "gpu_power_usage = 10: string",
  Node: "id = 1: string, hostname = 2: string, capabilities = 3: Capabilities, last_seen_unix = 4: int64, "
    + "agent_address = 5: string",
  RegisterNodeRequest: "node = 1: Node",
  HeartbeatRequest: "node_id = 1: string",
  UpdateNodeRequest: "node_id = 1: string, capabilities = 2: Capabilities",
  ListNodesResponse: "nodes = 1: repeated Node",
  RegisterNodeResponse: "",
  HeartbeatResponse: "",
  UpdateNodeResponse: "",
  ListNodesRequest: "",
  StreamLogsRequest: "",
  ChatMessage: "role = 1: string, content = 2: string",
  ChatCompletionRequest:
    "model = 1: string, messages = 2: repeated ChatMessage, temperature = 3: float, stream = 4: bool, "
    + "max_tokens = 5: int32",
  ChatChoice: "index = 1: int32, message = 2: ChatMessage, finish_reason = 3: string",
  ChatCompletionResponse: "id = 1: string, model = 2: string, choices = 3: repeated ChatChoice, created = 4: int64, "
    + "object = 5: string",
  EmbeddingRequest: "model = 1: string, input = 2: repeated string",
  Embedding: "embedding = 1: repeated float, index = 2: int32",
  EmbeddingResponse:
    "model = 1: string, data = 2: repeated Embedding, object = 3: string, usage_prompt_tokens = 4: int32",
  SubmitJobRequest: "job_id = 1: string, job_type = 2: JobType, payload = 3: bytes",
  SubmitJobResponse: "job_id = 1: string, status = 2: JobStatus",
  GetJobStatusRequest: "job_id = 1: string",
  GetJobStatusResponse:
    "job_id = 1: string, status = 2: JobStatus, assigned_node = 3: string, error_message = 4: string, "
    + "result = 5: bytes",
  LogEntry: "id = 1: string, timestamp = 2: int64, level = 3: LogLevel, source = 4: string, message = 5: string, "
    + "fields = 6: map<string, string>",
  StreamLogsResponse: "entry = 1: LogEntry"
}

const enums: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  LogLevel: { LOG_LEVEL_UNSPECIFIED: 0, LOG_LEVEL_DEBUG: 1, LOG_LEVEL_INFO: 2, LOG_LEVEL_WARN: 3, LOG_LEVEL_ERROR: 4 },
  JobType: { JOB_TYPE_UNSPECIFIED: 0, JOB_TYPE_CHAT_COMPLETION: 1, JOB_TYPE_EMBEDDINGS: 2 },
  JobStatus: {
    JOB_STATUS_UNSPECIFIED: 0,
    JOB_STATUS_PENDING: 1,
    JOB_STATUS_ASSIGNED: 2,
    JOB_STATUS_RUNNING: 3,
    JOB_STATUS_COMPLETED: 4,
    JOB_STATUS_FAILED: 5
  }
}

const chat = "ChatCompletionRequest -> stream ChatCompletionResponse"
const embeddings = "EmbeddingRequest -> EmbeddingResponse"

const services = {
  Orchestrator: {
    RegisterNode: "RegisterNodeRequest -> RegisterNodeResponse",
    UpdateNode: "UpdateNodeRequest -> UpdateNodeResponse",
    Heartbeat: "HeartbeatRequest -> HeartbeatResponse",
    ListNodes: "ListNodesRequest -> ListNodesResponse",
    SubmitJob: "SubmitJobRequest -> SubmitJobResponse",
    GetJobStatus: "GetJobStatusRequest -> GetJobStatusResponse"
  },
  OrchionLLM: { ChatCompletion: chat, Embeddings: embeddings },
  NodeAgent: { ChatCompletion: chat, Embeddings: embeddings },
  LogStreamer: { StreamLogs: "StreamLogsRequest -> stream StreamLogsResponse" }
}

/** Follows a path into the descriptor. */
const at = (...path: ReadonlyArray<string>): unknown => {
  let found: unknown = JSON.parse(descriptor)
  for (const name of ["nested", "orchion", "nested", "v1", "nested", ...path]) {
    found = Option.getOrThrowWith(
      Option.liftPredicate(Predicate.hasProperty(name))(found),
      () => new Error(`The definitions lack ${path.join(".")}.`)
    )[name]
  }
  return found
}

interface Field {
  readonly id: number
  readonly type: string
  readonly rule?: string
  readonly keyType?: string
}

const fieldsOf = (message: string): ReadonlyArray<readonly [name: string, field: Field]> =>
  // The descriptor is a generated file of protobuf's own JSON form.
  Object.entries(at(message, "fields") as Readonly<Record<string, Field>>)

const show = ([name, { id, keyType, rule, type }]: readonly [string, Field]) =>
  `${name} = ${id}: ${keyType === undefined ? "" : `map<${keyType}, `}${rule === "repeated" ? "repeated " : ""}${type}${
    keyType === undefined ? "" : ">"
  }`

describe("the contract, orchion.v1", () => {
  it.each(Object.entries(messages))(
    "has the message %s with the fields and numbers that the field speaks",
    (message, fields) => {
      const found = fieldsOf(message)
      assert.strictEqual(found.filter(([, { id }]) => id < 100).map(show).join(", "), fields)
      for (const [, { id }] of found) assert.isTrue(id >= 100 || fields.includes(` = ${id}: `))
    }
  )

  it.each(Object.entries(enums))("has the enum %s", (name, values) => {
    assert.deepStrictEqual(at(name, "values"), values)
  })

  it.each(Object.entries(services))("has the service %s, and no more methods", (service, methods) => {
    const found = at(service, "methods") as Readonly<
      Record<string, { readonly requestType: string; readonly responseType: string; readonly responseStream?: boolean }>
    >
    assert.deepStrictEqual(
      Object.fromEntries(
        Object.entries(found).map(([name, { requestType, responseStream, responseType }]) => [
          name,
          `${requestType} -> ${responseStream === true ? "stream " : ""}${responseType}`
        ])
      ),
      methods
    )
  })

  it("is served under its own names", () => {
    for (const service of [OrchestratorService, OrchionLLMService, NodeAgentService, LogStreamerService]) {
      for (const [method, { path }] of Object.entries(service.definition)) {
        assert.strictEqual(path, `/${service.name}/${method}`)
      }
    }
  })
})
