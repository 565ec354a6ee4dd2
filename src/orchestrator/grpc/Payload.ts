/** The payload of a job: the request message, serialized as its RPC would serialize it. */
import { methodOf } from "../../grpc/GrpcService.js"
import { OrchionLLMService } from "../../proto/OrchionV1.js"
import type { Job } from "../ClusterClient.js"
import * as Wire from "./Wire.js"

export const serialize = (job: Job): Buffer =>
  job.type === "chat"
    ? methodOf(OrchionLLMService, "ChatCompletion").requestSerialize(Wire.toChatRequest(job.request))
    : methodOf(OrchionLLMService, "Embeddings").requestSerialize(Wire.toEmbeddingRequest(job.request))
