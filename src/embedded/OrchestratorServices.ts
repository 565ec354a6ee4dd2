/** The embedded orchestrator's gRPC services: who is in the cluster, jobs, inference. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Format from "../config/SettingFormat.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import * as ChatRelay from "../chat/ChatRelay.js"
import * as HostPort from "../net/HostPort.js"
import type { Capabilities__Output } from "../proto/generated/orchion/v1/Capabilities.js"
import type { Node__Output } from "../proto/generated/orchion/v1/Node.js"
import { LogStreamerService, OrchestratorService, OrchionLLMService } from "../proto/OrchionV1.js"
import { oneLine } from "../text/Printable.js"
import type { Dispatcher } from "./dispatch/Dispatcher.js"
import type { Jobs } from "./jobs/Jobs.js"
import * as AgentAddress from "./registry/AgentAddress.js"
import * as NodeJson from "./registry/NodeJson.js"
import type { NodeRegistry } from "./registry/NodeRegistry.js"

/** In characters. A DNS name has no more than 253; an agent's address adds a port and brackets. */
const maxHostname = 253
const maxAgentAddress = 300
/** A node's capabilities as JSON, in characters: enough for some hundred GPUs. */
const maxCapabilities = 128 * 1024
/** One answer of `ListNodes`, in characters of JSON. */
const maxList = 32 * 1024 * 1024

/** The port of Orchion's own agents, which do not send one. */
const defaultAgentPort = 50052

const invalid = (details: string) => GrpcError.fail(GrpcError.Status.INVALID_ARGUMENT, details)
const unimplemented = (details: string) => GrpcError.fail(GrpcError.Status.UNIMPLEMENTED, details)

const identifier = Format.identifier("id")

const validId = (id: string): Effect.Effect<string, GrpcError.GrpcError> =>
  id === ""
    ? Effect.fail(invalid(`the node's id is empty; give ${identifier.expected}`))
    : Either.match(identifier.parse(id), {
      onLeft: (expected) =>
        Effect.fail(
          invalid(
            `the node's id cannot be ${JSON.stringify(id.slice(0, 64))} (${id.length} characters); give ${expected}`
          )
        ),
      onRight: (valid) => Effect.succeed(valid)
    })

const atMost = (what: string, length: number, limit: number): Effect.Effect<void, GrpcError.GrpcError> =>
  length <= limit
    ? Effect.void
    : Effect.fail(invalid(`the node's ${what} has ${length} characters; no more than ${limit} are taken`))

const validCapabilities = (wire: Capabilities__Output) =>
  Effect.gen(function*() {
    const capabilities = NodeJson.ofCapabilities(wire)
    const bytes = JSON.stringify(capabilities).length
    yield* atMost("capabilities as JSON", bytes, maxCapabilities)
    return { capabilities, bytes }
  })

/** An agent that sends no address, as Orchion's own when it registers again, keeps its last one. */
const agentAddressOf = (registry: NodeRegistry, { agent_address, hostname, id }: Node__Output) =>
  agent_address !== "" ? Effect.succeed(agent_address) : Effect.map(registry.get(id), (known) => {
    const before = Option.match(known, { onNone: () => "", onSome: (node) => node.agent_address })
    const fallback = HostPort.format({ host: hostname, port: defaultAgentPort })
    return before !== "" ? before : AgentAddress.isWellFormed(fallback) ? fallback : ""
  })

const register = ({ ownPorts, registry }: Parts, node: Node__Output | null, caller: string) =>
  Effect.gen(function*() {
    if (node === null) return yield* invalid("the request has no node")
    yield* validId(node.id)
    yield* atMost("hostname", node.hostname.length, maxHostname)
    yield* atMost("agent address", node.agent_address.length, maxAgentAddress)
    if (node.agent_address !== "" && !AgentAddress.isWellFormed(node.agent_address)) {
      return yield* invalid(
        `the node's agent address cannot be '${
          oneLine(node.agent_address, 100)
        }'; give host:port of its NodeAgent service, such as 192.168.1.7:50052`
      )
    }
    const agentAddress = yield* agentAddressOf(registry, node)
    const peer = AgentAddress.peerHost(caller)
    const addressProblem = agentAddress === "" ? undefined : AgentAddress.problemOf(agentAddress, {
      isLocal: AgentAddress.isLoopbackPeer(peer),
      ownPorts: ownPorts()
    })
    const described = node.capabilities === null ? {} : yield* validCapabilities(node.capabilities)
    yield* registry.register({
      id: node.id,
      hostname: node.hostname,
      agentAddress,
      peer,
      ...described,
      ...(addressProblem === undefined ? {} : { addressProblem })
    }).pipe(Effect.mapError(full))
    if (addressProblem !== undefined) {
      yield* Effect.logWarning(
        `Node ${
          oneLine(node.id, 100)
        } gets no requests: its agent address ${agentAddress} is not dialled, since ${addressProblem}`
      ).pipe(Effect.annotateLogs("node.id", oneLine(node.id, 253)))
    }
    return {}
  })

const full = ({ message }: { readonly message: string }) => GrpcError.fail(GrpcError.Status.RESOURCE_EXHAUSTED, message)

const unknownNode = ({ message }: { readonly message: string }) =>
  GrpcError.fail(GrpcError.Status.NOT_FOUND, `${message}: register it`)

export interface Parts {
  readonly registry: NodeRegistry
  readonly dispatcher: Dispatcher
  readonly jobs: Jobs
  /** The ports that the orchestrator listens on: no node is dialled there. */
  readonly ownPorts: () => ReadonlyArray<number>
}

/** Serialized whole and kept until the caller has read it, so that it is bounded. */
const listNodes = ({ registry }: Parts) =>
  Effect.flatMap(
    Effect.zip(registry.list, registry.bytes),
    ([nodes, bytes]) =>
      bytes <= maxList ? Effect.succeed({ nodes: [...nodes] }) : Effect.fail(full({
        message:
          `the list of ${nodes.length} nodes is too large for one message; read it from GET /api/nodes of the HTTP API`
      }))
  )

const orchestrator = (parts: Parts) => {
  const { jobs, registry } = parts
  return GrpcServer.serve(OrchestratorService)({
    RegisterNode: ({ node }, { peer }) => register(parts, node, peer),
    UpdateNode: ({ capabilities, leaving, node_id }) =>
      Effect.gen(function*() {
        yield* validId(node_id)
        if (capabilities === null) return yield* invalid("the request has no capabilities")
        const described = yield* validCapabilities(capabilities)
        yield* Effect.mapError(
          registry.update(node_id, described.capabilities, described.bytes),
          (error) => error._tag === "RegistryFull" ? full(error) : unknownNode(error)
        )
        if (leaving) yield* Effect.mapError(registry.leave(node_id), unknownNode)
        return {}
      }),
    Heartbeat: ({ node_id }) =>
      validId(node_id).pipe(
        Effect.zipRight(Effect.mapError(registry.heartbeat(node_id), unknownNode)),
        Effect.as({})
      ),
    ListNodes: () => listNodes(parts),
    SubmitJob: jobs.submit,
    GetJobStatus: ({ job_id }) => jobs.status(job_id)
  })
}

const inference = ({ dispatcher }: Parts) =>
  GrpcServer.serve(OrchionLLMService)({
    ChatCompletion: {
      relay: (request, { write }) =>
        request.stream
          ? ChatRelay.relay((open) => dispatcher.chat(request, open), write)
          : Effect.flatMap(
            ChatRelay.collect((open) => dispatcher.chat(request, open)),
            (message) => Effect.async<void>((resume) => write(message, () => resume(Effect.void)))
          )
    },
    Embeddings: ({ input, model }) => dispatcher.embeddings(model, input)
  })

export const make = (parts: Parts): ReadonlyArray<GrpcServer.ServedService<never>> => [
  orchestrator(parts),
  inference(parts),
  GrpcServer.serve(LogStreamerService)({
    StreamLogs: () => Stream.fail(unimplemented("the embedded orchestrator does not stream logs yet"))
  })
]
