/** The embedded orchestrator's gRPC services, on a registry. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import * as Format from "../config/SettingFormat.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import * as ChatRelay from "../chat/ChatRelay.js"
import type { Capabilities__Output } from "../proto/generated/orchion/v1/Capabilities.js"
import { LogStreamerService, OrchestratorService, OrchionLLMService } from "../proto/OrchionV1.js"
import type { Dispatcher } from "./dispatch/Dispatcher.js"
import type { Jobs } from "./jobs/Jobs.js"
import * as NodeJson from "./registry/NodeJson.js"
import type { NodeRegistry } from "./registry/NodeRegistry.js"

/** In characters. A name of the DNS has no more than 253; an agent's address adds a port and brackets. */
const maxHostname = 253
const maxAgentAddress = 300
/** Of a node's capabilities as JSON, in characters: some hundred GPUs' worth. */
const maxCapabilities = 128 * 1024

const invalid = (details: string) => GrpcError.fail(GrpcError.Status.INVALID_ARGUMENT, details)
const unimplemented = (details: string) => GrpcError.fail(GrpcError.Status.UNIMPLEMENTED, details)

const identifier = Format.identifier("id")

const validId = (id: string): Effect.Effect<string, GrpcError.GrpcError> =>
  id === ""
    ? Effect.fail(invalid("the node's id is empty; give 1 to 253 characters without spaces or control characters"))
    : Either.match(identifier.parse(id), {
      onLeft: (expected) =>
        Effect.fail(
          invalid(
            `the node's id cannot be ${JSON.stringify(id.slice(0, 64))} (${id.length} characters); give ${expected}`
          )
        ),
      onRight: (valid) => Effect.succeed(valid)
    })

const atMost = (what: string, length: number, most: number): Effect.Effect<void, GrpcError.GrpcError> =>
  length <= most
    ? Effect.void
    : Effect.fail(invalid(`the node's ${what} has ${length} characters; no more than ${most} are taken`))

const validCapabilities = (wire: Capabilities__Output) =>
  Effect.gen(function*() {
    const capabilities = NodeJson.ofCapabilities(wire)
    yield* atMost("capabilities as JSON", JSON.stringify(capabilities).length, maxCapabilities)
    return capabilities
  })

const unknownNode = ({ message }: { readonly message: string }) =>
  GrpcError.fail(GrpcError.Status.NOT_FOUND, `${message}: register it`)

export interface Parts {
  readonly registry: NodeRegistry["Type"]
  readonly dispatcher: Dispatcher["Type"]
  readonly jobs: Jobs
}

export const make = ({ dispatcher, jobs, registry }: Parts): ReadonlyArray<GrpcServer.ServedService<never>> => [
  GrpcServer.serve(OrchestratorService)({
    RegisterNode: ({ node }) =>
      Effect.gen(function*() {
        if (node === null) return yield* invalid("the request has no node")
        yield* validId(node.id)
        yield* atMost("hostname", node.hostname.length, maxHostname)
        yield* atMost("agent address", node.agent_address.length, maxAgentAddress)
        const capabilities = node.capabilities === null ? undefined : yield* validCapabilities(node.capabilities)
        yield* registry.register({
          id: node.id,
          hostname: node.hostname,
          agentAddress: node.agent_address,
          ...(capabilities === undefined ? {} : { capabilities })
        }).pipe(Effect.mapError(({ message }) => GrpcError.fail(GrpcError.Status.RESOURCE_EXHAUSTED, message)))
        return {}
      }),
    UpdateNode: ({ capabilities, node_id }) =>
      Effect.gen(function*() {
        yield* validId(node_id)
        if (capabilities === null) return yield* invalid("the request has no capabilities")
        yield* Effect.mapError(registry.update(node_id, yield* validCapabilities(capabilities)), unknownNode)
        return {}
      }),
    Heartbeat: ({ node_id }) =>
      validId(node_id).pipe(
        Effect.zipRight(Effect.mapError(registry.heartbeat(node_id), unknownNode)),
        Effect.as({})
      ),
    ListNodes: () => Effect.map(registry.list, (nodes) => ({ nodes: [...nodes] })),
    SubmitJob: jobs.submit,
    GetJobStatus: ({ job_id }) => jobs.status(job_id)
  }),
  GrpcServer.serve(OrchionLLMService)({
    ChatCompletion: {
      relay: (request, { write }) =>
        Effect.suspend(() => {
          if (!request.stream) {
            const collector = ChatRelay.collect()
            return Effect.flatMap(
              Effect.zipRight(dispatcher.chat(request, collector.open), collector.finish),
              (message) => Effect.async<void>((resume) => write(message, () => resume(Effect.void)))
            )
          }
          const relay = ChatRelay.make(write)
          return dispatcher.chat(request, relay.open).pipe(
            Effect.tapError(() => relay.flush),
            Effect.zipRight(relay.finish)
          )
        })
    },
    Embeddings: ({ input, model }) => dispatcher.embeddings(model, input)
  }),
  GrpcServer.serve(LogStreamerService)({
    StreamLogs: () => Stream.fail(unimplemented("the embedded orchestrator does not stream logs yet"))
  })
]
