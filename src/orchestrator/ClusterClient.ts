/**
 * The port for people and programs that use a cluster: which nodes there are, jobs, inference, logs. Its adapter over gRPC is
 * `grpc/GrpcClusterClient.ts`. What an agent needs is {@link "./Orchestrator.js"}.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type { RegisteredNode } from "../node/Node.js"
import type { OrchestratorError } from "./OrchestratorError.js"

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
export class ClusterClient extends Context.Tag("@orchion/node-agent/ClusterClient")<
  ClusterClient,
  {
    /** `host:port`. */
    readonly address: string
    readonly listNodes: Effect.Effect<ReadonlyArray<RegisteredNode>, OrchestratorError>
    /** Returns as soon as the job is accepted; `getJobStatus` follows it. */
    readonly submitJob: (job: Job) => Effect.Effect<JobState, OrchestratorError>
    readonly getJobStatus: (jobId: string) => Effect.Effect<JobStatus, OrchestratorError>
    /** Ends after the chunk that carries a finish reason. */
    readonly chatCompletion: (request: ChatRequest) => Stream.Stream<ChatChunk, OrchestratorError>
    readonly embeddings: (request: EmbeddingsRequest) => Effect.Effect<EmbeddingsResult, OrchestratorError>
    /** What the cluster logs from now on. */
    readonly logs: Stream.Stream<LogEntry, OrchestratorError>
  }
>() {}
