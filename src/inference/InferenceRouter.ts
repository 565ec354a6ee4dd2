/** The port to inference on this node: chats and embeddings, answered by whichever of its engines has the model. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { EngineName } from "../engine/Engine.js"
import type { GrpcError } from "../grpc/GrpcError.js"
import type { Outlet } from "../grpc/GrpcServer.js"
import type { EngineFigures } from "../node/Node.js"
import type { ChatCompletionRequest__Output } from "../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingRequest__Output } from "../proto/generated/orchion/v1/EmbeddingRequest.js"
import type { EmbeddingResponse } from "../proto/generated/orchion/v1/EmbeddingResponse.js"

/**
 * Both requests fail with the status that their caller gets: `INVALID_ARGUMENT` for a request that no engine would take,
 * `NOT_FOUND` for a model that this node does not have, `RESOURCE_EXHAUSTED` for an engine that is full and for an answer
 * that is too large, `UNAVAILABLE` for what another node, or a retry, may answer, `CANCELLED` for a reader that took
 * nothing for too long, `INTERNAL` for the rest. Interrupting one cancels it inside the engine.
 */
export class InferenceRouter extends Context.Tag("@orchion/node-agent/InferenceRouter")<
  InferenceRouter,
  {
    /** Writes the answer's messages: pieces as they come for a request with `stream`, one message otherwise. */
    readonly chat: (
      request: ChatCompletionRequest__Output,
      outlet: Outlet<ChatCompletionResponse>
    ) => Effect.Effect<void, GrpcError>
    readonly embeddings: (request: EmbeddingRequest__Output) => Effect.Effect<EmbeddingResponse, GrpcError>
    /** Counters and rates of the requests to an engine since the agent started; zeros for one that got none. */
    readonly stats: (name: EngineName) => EngineFigures
  }
>() {}
