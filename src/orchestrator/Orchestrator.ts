/** The port to the orchestrator: what an agent or a client can ask of it, and how that can fail. */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { NodeRegistration, NodeReport, RegisteredNode } from "../node/Node.js"

/** No answer came: it is down, out of reach, overloaded or too slow. Trying again may help. */
export class OrchestratorUnreachable extends Data.TaggedError("OrchestratorUnreachable")<{
  /** `host:port`. */
  readonly address: string
  /** In a few words: `connection refused`. */
  readonly reason: string
  /** The peer did not answer in time, as opposed to refusing: the connection may be dead. */
  readonly timedOut: boolean
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the orchestrator at ${this.address} cannot be reached: ${this.reason}`
  }
}

/** The orchestrator does not know this node (it restarted, or dropped it): register again. */
export class UnknownNode extends Data.TaggedError("UnknownNode")<{
  readonly nodeId: string
}> {
  override get message(): string {
    return `the orchestrator does not know node ${this.nodeId}`
  }
}

/** The orchestrator understood and said no. The same request will not succeed by being repeated. */
export class OrchestratorRejected extends Data.TaggedError("OrchestratorRejected")<{
  readonly address: string
  /** What was asked, for people: `register this node`. */
  readonly operation: string
  /** gRPC's name of the status: `INVALID_ARGUMENT`. */
  readonly code: string
  /** As the orchestrator put it. */
  readonly reason: string
}> {
  override get message(): string {
    return `the orchestrator at ${this.address} refused to ${this.operation}: ${this.reason} (${this.code})`
  }
}

/** The orchestrator does not have this feature. */
export class OrchestratorUnimplemented extends Data.TaggedError("OrchestratorUnimplemented")<{
  readonly address: string
  readonly operation: string
}> {
  override get message(): string {
    return `the orchestrator at ${this.address} does not know how to ${this.operation}`
  }
}

/** How any request can fail. */
export type OrchestratorError = OrchestratorUnreachable | OrchestratorRejected | OrchestratorUnimplemented

export interface ChatMessage {
  readonly role: string
  readonly content: string
}

export interface ChatRequest {
  readonly model: string
  readonly messages: ReadonlyArray<ChatMessage>
  /** The model's own when absent. */
  readonly temperature?: number
  /** Without it the answer is one whole message. */
  readonly stream: boolean
  /** The model's own limit when absent. */
  readonly maxTokens?: number
}

/** A part of an answer, or all of it when the request did not ask for a stream. */
export interface ChatChunk {
  readonly id: string
  readonly model: string
  /** When it was made: seconds since 1970. */
  readonly createdUnix: number
  readonly object: string
  readonly choices: ReadonlyArray<{
    readonly index: number
    readonly message: ChatMessage
    /** Empty until the choice is complete. */
    readonly finishReason: string
  }>
}

export interface EmbeddingsRequest {
  readonly model: string
  readonly input: ReadonlyArray<string>
}

export interface EmbeddingsResult {
  readonly model: string
  /** In the order of the input. */
  readonly embeddings: ReadonlyArray<ReadonlyArray<number>>
  readonly promptTokens: number
}

export type Job =
  | { readonly id: string; readonly type: "chat"; readonly request: ChatRequest }
  | { readonly id: string; readonly type: "embeddings"; readonly request: EmbeddingsRequest }

export type JobState = "unspecified" | "pending" | "assigned" | "running" | "completed" | "failed"

export interface JobStatus {
  readonly id: string
  readonly state: JobState
  /** The id of the node that runs it; empty until there is one. */
  readonly assignedNode: string
  /** Empty unless it failed. */
  readonly errorMessage: string
  /** The serialized `ChatCompletionResponse` or `EmbeddingResponse`; empty until it is completed. */
  readonly result: Uint8Array
}

export interface LogEntry {
  readonly id: string
  /** Milliseconds since 1970. */
  readonly timestampMillis: number
  readonly level: "unspecified" | "debug" | "info" | "warn" | "error"
  /** `node-agent:<id>`. */
  readonly source: string
  readonly message: string
  readonly fields: Readonly<Record<string, string>>
}

/** A connection to an orchestrator, made on use: having the service does not mean that anything answers. */
export class Orchestrator extends Context.Tag("@orchion/node-agent/Orchestrator")<
  Orchestrator,
  {
    /** `host:port`. */
    readonly address: string
    /** Adds this node, or replaces the one with its id. */
    readonly register: (node: NodeRegistration) => Effect.Effect<void, OrchestratorError>
    readonly heartbeat: (nodeId: string) => Effect.Effect<void, OrchestratorError | UnknownNode>
    /** Replaces what the orchestrator knows of a node's hardware. */
    readonly updateNode: (nodeId: string, report: NodeReport) => Effect.Effect<void, OrchestratorError | UnknownNode>
    readonly listNodes: Effect.Effect<ReadonlyArray<RegisteredNode>, OrchestratorError>
    /** Answers as soon as the job is taken; `getJobStatus` tells how it goes. */
    readonly submitJob: (job: Job) => Effect.Effect<JobState, OrchestratorError>
    readonly getJobStatus: (jobId: string) => Effect.Effect<JobStatus, OrchestratorError>
    /** Ends after the chunk that carries a finish reason. */
    readonly chatCompletion: (request: ChatRequest) => Stream.Stream<ChatChunk, OrchestratorError>
    readonly embeddings: (request: EmbeddingsRequest) => Effect.Effect<EmbeddingsResult, OrchestratorError>
    /** What the cluster logs from now on. */
    readonly logs: Stream.Stream<LogEntry, OrchestratorError>
    /**
     * Drops the connection, with every call on it; the next call makes a new one. For when the connection is known to
     * be dead although nothing on it says so, as after the machine slept.
     */
    readonly reconnect: Effect.Effect<void>
  }
>() {}
