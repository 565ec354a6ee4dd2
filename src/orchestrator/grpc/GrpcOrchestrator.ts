/** The orchestrator over gRPC: `orchion.v1` as every orchestrator in the field speaks it. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as HostPort from "../../net/HostPort.js"
import * as GrpcClient from "../../grpc/GrpcClient.js"
import { type GrpcError, Status } from "../../grpc/GrpcError.js"
import { LogStreamerService, OrchestratorService, OrchionLLMService } from "../../proto/OrchionV1.js"
import {
  type Job,
  Orchestrator,
  type OrchestratorError,
  OrchestratorRejected,
  OrchestratorUnimplemented,
  OrchestratorUnreachable,
  UnknownNode
} from "../Orchestrator.js"
import * as Payload from "./Payload.js"
import * as Wire from "./Wire.js"

export interface GrpcOrchestratorOptions {
  readonly address: HostPort.HostPort
  /** For every request that is answered with a single message and is not inference. Default 5 s. */
  readonly deadline?: Duration.DurationInput
  /** For embeddings, which a busy engine may keep waiting. Default 5 min. */
  readonly inferenceDeadline?: Duration.DurationInput
}

/** What a connection error of Node's means to a person. */
const systemErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: nothing listens there",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "the network is unreachable",
  ETIMEDOUT: "the connection attempt timed out",
  ENOTFOUND: "the name does not resolve",
  EAI_AGAIN: "the name cannot be resolved now: no answer from DNS",
  EPIPE: "the connection was closed"
}

const describe = (error: GrpcError): string => {
  if (error.code === Status.DEADLINE_EXCEEDED) return "no answer in time"
  if (error.details.includes("Name resolution failed")) return systemErrors["ENOTFOUND"] ?? error.details
  const code = Object.keys(systemErrors).find((name) => error.details.includes(name))
  if (code !== undefined) return systemErrors[code] ?? code
  return error.details === "" ? error.codeName : `${error.details} (${error.codeName})`
}

/** Statuses that say no for good. */
const rejections = new Set<Status>([
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.ALREADY_EXISTS,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.FAILED_PRECONDITION,
  Status.OUT_OF_RANGE
])

const toError = (address: string, operation: string) => (error: GrpcError): OrchestratorError =>
  error.code === Status.UNIMPLEMENTED
    ? new OrchestratorUnimplemented({ address, operation })
    : rejections.has(error.code) || error.details.includes("larger than max")
    ? new OrchestratorRejected({ address, operation, code: error.codeName, reason: error.details })
    : new OrchestratorUnreachable({
      address,
      reason: describe(error),
      timedOut: error.code === Status.DEADLINE_EXCEEDED,
      cause: error
    })

/** As {@link toError}, for requests about a node that the orchestrator should know. */
const toNodeError = (address: string, operation: string, nodeId: string) => (error: GrpcError) =>
  error.code === Status.NOT_FOUND ? new UnknownNode({ nodeId }) : toError(address, operation)(error)

export const make = (
  options: GrpcOrchestratorOptions
): Effect.Effect<Orchestrator["Type"], never, Scope.Scope> =>
  Effect.gen(function*() {
    const address = HostPort.format(options.address)
    const deadline = options.deadline ?? "5 seconds"
    const inferenceDeadline = options.inferenceDeadline ?? "5 minutes"
    const scope = yield* Effect.scope

    // A connection that failed is thrown away, so that the next call makes a new one: at once, instead of when
    // grpc-js's own backoff allows it, and never on a connection that is dead without saying so.
    let connection: { readonly client: GrpcClient.GrpcClient; readonly scope: Scope.CloseableScope } | undefined
    const client: Effect.Effect<GrpcClient.GrpcClient> = Effect.uninterruptible(Effect.suspend(() => {
      if (connection !== undefined) return Effect.succeed(connection.client)
      return Effect.gen(function*() {
        const own = yield* Scope.fork(scope, scope.strategy)
        const client = yield* Scope.extend(GrpcClient.make({ address }), own)
        connection = { client, scope: own }
        return client
      })
    }))
    const drop = (failed: GrpcClient.GrpcClient | undefined) =>
      Effect.uninterruptible(Effect.suspend(() => {
        if (connection === undefined || (failed !== undefined && connection.client !== failed)) return Effect.void
        const { scope: own } = connection
        connection = undefined
        return Scope.close(own, Exit.void)
      }))

    /** A request that also tests whether the connection lives. */
    const request = <A>(call: (client: GrpcClient.GrpcClient) => Effect.Effect<A, GrpcError>) =>
      Effect.flatMap(client, (current) =>
        Effect.tapError(call(current), ({ code }) =>
          code === Status.UNAVAILABLE || code === Status.DEADLINE_EXCEEDED ? drop(current) : Effect.void))

    const unary = { deadline, idempotent: true }

    return Orchestrator.of({
      address,
      reconnect: drop(undefined),
      register: Effect.fn("Orchestrator.register")(function*(node) {
        const nowUnix = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        yield* request((client) =>
          client.unary(OrchestratorService, "RegisterNode", { node: Wire.toNode(node, nowUnix) }, unary)
        ).pipe(Effect.mapError(toError(address, "register this node")))
      }),
      heartbeat: Effect.fn("Orchestrator.heartbeat")(function*(nodeId) {
        yield* request((client) =>
          client.unary(OrchestratorService, "Heartbeat", { node_id: nodeId }, unary)
        ).pipe(
          Effect.mapError(toNodeError(address, "take this node's heartbeat", nodeId))
        )
      }),
      updateNode: Effect.fn("Orchestrator.updateNode")(function*(nodeId, report) {
        yield* request((client) =>
          client.unary(
            OrchestratorService,
            "UpdateNode",
            { node_id: nodeId, capabilities: Wire.toCapabilities(report) },
            unary
          )
        ).pipe(Effect.mapError(toNodeError(address, "update this node's hardware", nodeId)))
      }),
      listNodes: request((client) => client.unary(OrchestratorService, "ListNodes", {}, unary)).pipe(
        Effect.mapBoth({
          onSuccess: ({ nodes }) => nodes.map(Wire.fromNode),
          onFailure: toError(address, "list its nodes")
        }),
        Effect.withSpan("Orchestrator.listNodes")
      ),
      submitJob: Effect.fn("Orchestrator.submitJob")(function*(job: Job) {
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
        ).pipe(Effect.mapError(toError(address, `take job ${job.id}`)))
        return Wire.fromJobState(status)
      }),
      getJobStatus: Effect.fn("Orchestrator.getJobStatus")(function*(jobId) {
        const status = yield* request((client) =>
          client.unary(OrchestratorService, "GetJobStatus", { job_id: jobId }, unary)
        ).pipe(Effect.mapError(toError(address, `tell the status of job ${jobId}`)))
        return Wire.fromJobStatus(status)
      }),
      chatCompletion: (chat) =>
        Stream.unwrap(
          Effect.map(client, (client) =>
            client.serverStream(OrchionLLMService, "ChatCompletion", Wire.toChatRequest(chat)))
        ).pipe(
          Stream.mapBoth({ onSuccess: Wire.fromChatResponse, onFailure: toError(address, "complete the chat") }),
          Stream.withSpan("Orchestrator.chatCompletion")
        ),
      embeddings: Effect.fn("Orchestrator.embeddings")(function*({ input, model }) {
        const response = yield* Effect.flatMap(client, (client) =>
          client.unary(OrchionLLMService, "Embeddings", { model, input: [...input] }, { deadline: inferenceDeadline }))
          .pipe(
            Effect.mapError(toError(address, "make the embeddings"))
          )
        return Wire.fromEmbeddingResponse(response)
      }),
      logs: Stream.unwrap(Effect.map(client, (client) =>
        client.serverStream(LogStreamerService, "StreamLogs", {}))).pipe(
          Stream.mapError(toError(address, "stream its logs")),
          Stream.filterMap(({ entry }) =>
            entry === null ? Option.none() : Option.some(Wire.fromLogEntry(entry))
          ),
          Stream.withSpan("Orchestrator.logs")
        )
    })
  })

/** The connection is closed with the layer, its calls cancelled. */
export const layer = (options: GrpcOrchestratorOptions): Layer.Layer<Orchestrator> =>
  Layer.scoped(Orchestrator, make(options))
