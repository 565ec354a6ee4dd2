/** The port of people and programs to a cluster, over gRPC. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { LogStreamerService, OrchestratorService, OrchionLLMService } from "../../proto/OrchionV1.js"
import { ClusterClient, type Job } from "../ClusterClient.js"
import * as Connection from "./Connection.js"
import * as Payload from "./Payload.js"
import { toError } from "./StatusError.js"
import * as Wire from "./Wire.js"
import * as WireNode from "./WireNode.js"

export interface GrpcClusterClientOptions extends Connection.ConnectionOptions {
  /** For every request that is answered with a single message and is not inference. Default 5 s. */
  readonly deadline?: Duration.DurationInput
  /** For embeddings, which a busy engine may keep waiting. Default 5 min. */
  readonly inferenceDeadline?: Duration.DurationInput
}

export const make = (
  options: GrpcClusterClientOptions
): Effect.Effect<ClusterClient["Type"], never, Scope.Scope> =>
  Effect.map(Connection.make(options), ({ address, client, request }) => {
    const deadline = options.deadline ?? "5 seconds"
    const inferenceDeadline = options.inferenceDeadline ?? "5 minutes"
    const unary = { deadline, idempotent: true }
    return ClusterClient.of({
      address,
      listNodes: request((client) => client.unary(OrchestratorService, "ListNodes", {}, unary)).pipe(
        Effect.mapBoth({
          onSuccess: ({ nodes }) => nodes.map(WireNode.fromNode),
          onFailure: toError(address, "list its nodes")
        }),
        Effect.withSpan("ClusterClient.listNodes")
      ),
      submitJob: Effect.fn("ClusterClient.submitJob")(function*(job: Job) {
        const { status } = yield* request((client) =>
          client.unary(
            OrchestratorService,
            "SubmitJob",
            {
              job_id: job.id,
              job_type: job.type === "chat" ? "JOB_TYPE_CHAT_COMPLETION" : "JOB_TYPE_EMBEDDINGS",
              payload: Payload.serialize(job)
            },
            { deadline }
          )
        ).pipe(Effect.mapError(toError(address, `accept job ${job.id}`)))
        return Wire.fromJobState(status)
      }),
      getJobStatus: Effect.fn("ClusterClient.getJobStatus")(function*(jobId) {
        const status = yield* request((client) =>
          client.unary(OrchestratorService, "GetJobStatus", { job_id: jobId }, unary)
        ).pipe(Effect.mapError(toError(address, `report the status of job ${jobId}`)))
        return Wire.fromJobStatus(status)
      }),
      chatCompletion: (chat) =>
        Stream.unwrap(
          Effect.map(client, (client) =>
            client.serverStream(OrchionLLMService, "ChatCompletion", Wire.toChatRequest(chat)))
        ).pipe(
          Stream.mapBoth({ onSuccess: Wire.fromChatResponse, onFailure: toError(address, "complete the chat") }),
          Stream.withSpan("ClusterClient.chatCompletion")
        ),
      embeddings: Effect.fn("ClusterClient.embeddings")(function*({ input, model }) {
        const asked = Wire.toEmbeddingRequest({ input, model })
        const response = yield* Effect.flatMap(
          client,
          (client) => client.unary(OrchionLLMService, "Embeddings", asked, { deadline: inferenceDeadline })
        ).pipe(
          Effect.mapError(toError(address, "compute the embeddings"))
        )
        return Wire.fromEmbeddingResponse(response)
      }),
      logs: Stream.unwrap(Effect.map(client, (client) => client.serverStream(LogStreamerService, "StreamLogs", {})))
        .pipe(
          Stream.mapError(toError(address, "stream its logs")),
          Stream.filterMap(({ entry }) => entry === null ? Option.none() : Option.some(Wire.fromLogEntry(entry))),
          Stream.withSpan("ClusterClient.logs")
        )
    })
  })

/** The connection is closed with the layer, its calls cancelled. */
export const layer = (options: GrpcClusterClientOptions): Layer.Layer<ClusterClient> =>
  Layer.scoped(ClusterClient, make(options))
