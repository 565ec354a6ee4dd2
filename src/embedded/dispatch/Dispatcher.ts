/** Sends requests to nodes: picks one that serves the model, and another if it fails before its first message. */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import * as Daemon from "../../effect/Daemon.js"
import type * as GrpcClient from "../../grpc/GrpcClient.js"
import { titleOf } from "../../engine/drivers.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import type { ChatCompletionRequest } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse__Output } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingResponse__Output } from "../../proto/generated/orchion/v1/EmbeddingResponse.js"
import { NodeAgentService } from "../../proto/OrchionV1.js"
import * as AgentAddress from "../registry/AgentAddress.js"
import type { NodeJson } from "../registry/NodeJson.js"
import type { NodeRegistry } from "../registry/NodeRegistry.js"
import * as NodeAnswer from "./NodeAnswer.js"
import * as NodeConnections from "./NodeConnections.js"
import * as NodeError from "./NodeError.js"
import * as NodeLoads from "./NodeLoads.js"
import * as NodeModels from "./NodeModels.js"
import * as NodePicker from "./NodePicker.js"
import type { Served } from "./Served.js"
import * as SilenceWatch from "./SilenceWatch.js"

const { Status } = GrpcError

/** The limit of nodes that are asked per request. */
const maxTries = 4

/** Embeddings come all at once, at the end. */
const embeddingsDeadline = "10 minutes"

/** Statuses that end a request: another node would answer the same, or the caller has left. */
const final = new Set<GrpcError.Status>([
  Status.INVALID_ARGUMENT,
  Status.CANCELLED,
  Status.DEADLINE_EXCEEDED,
  Status.FAILED_PRECONDITION
])

/** Statuses that do not count as the node's failure. */
const isCallerFault = new Set<GrpcError.Status>([Status.INVALID_ARGUMENT, Status.CANCELLED])

const isFinal = ({ code, details }: GrpcError.GrpcError) => final.has(code) || GrpcError.isTooLarge(code, details)

export interface DispatcherOptions {
  /** How long an answer may stall on a node that also misses its heartbeats. Default 10 s. */
  readonly silence?: Duration.DurationInput
}

export interface Dispatcher {
  /**
   * Hands over the messages of an answer. Other nodes are asked while none has come; `open` is called for each node, and
   * `onNode` with its id.
   */
  readonly chat: (
    request: ChatCompletionRequest & { readonly model: string },
    open: (inlet: GrpcClient.Inlet) => (message: ChatCompletionResponse__Output) => void,
    onNode?: (id: string) => void
  ) => Effect.Effect<void, GrpcError.GrpcError>
  /** One vector for each input, in their order. */
  readonly embeddings: (
    model: string,
    input: ReadonlyArray<string>,
    onNode?: (id: string) => void
  ) => Effect.Effect<EmbeddingResponse__Output, GrpcError.GrpcError>
  /** What is served where now. */
  readonly served: Effect.Effect<Served>
}

/** An exchange with a node, for the code that takes its messages. */
interface Exchange {
  /** Pieces of text that came. */
  readonly heard: (pieces: number) => void
  /** Ends it: later messages are dropped. */
  readonly fail: (error: GrpcError.GrpcError) => void
  /** Whether it has failed, or its caller has gone. */
  readonly isOver: () => boolean
  /** Calls `act` when it is. */
  readonly onOver: (act: () => void) => void
}

type Call<A> = (client: GrpcClient.GrpcClient, exchange: Exchange) => Effect.Effect<A, GrpcError.GrpcError>

interface Parts {
  readonly registry: NodeRegistry
  readonly connections: NodeConnections.NodeConnections
  readonly loads: NodeLoads.NodeLoads
  readonly silence: SilenceWatch.SilenceWatch
}

const candidatesOf = (
  { loads }: Parts,
  nodes: ReadonlyArray<NodeJson>,
  model: string,
  tried: ReadonlySet<string>
) =>
  nodes.filter(({ stale }) => !stale).map((node) => ({
    id: node.id,
    node,
    isAvailable: node.agent_address !== "" && node.address_problem === undefined && !tried.has(node.id),
    serves: NodeModels.serves(node, model, loads.learnt(node.id).has(model)),
    inFlight: loads.inFlight(node.id),
    reported: NodeModels.reportedInFlight(node),
    pickedAt: loads.pickedAt(node.id)
  }))

/** Asks one node. */
const ask = <A>(
  { connections, loads, registry, silence }: Parts,
  node: NodeJson,
  model: string,
  kind: NodeConnections.Kind,
  call: Call<A>
): Effect.Effect<A, GrpcError.GrpcError> =>
  Effect.scoped(Effect.gen(function*() {
    const clock = yield* Effect.clock
    const name = NodeModels.nameAt(node, model)
    const load = loads.begin(node.id, name)
    yield* Effect.addFinalizer(() => Effect.sync(() => load.ended(NodeModels.engineFor(node, model) !== undefined)))
    const failure = Deferred.unsafeMake<never, GrpcError.GrpcError>(FiberId.none)
    const watched = { nodeId: node.id, heardAt: clock.unsafeCurrentTimeMillis(), failure }
    yield* silence.watch(watched)
    let isOver = false
    let onOver = () => {}
    const end = () => {
      isOver = true
      onOver()
    }
    const exchange: Exchange = {
      heard: (pieces) => {
        watched.heardAt = clock.unsafeCurrentTimeMillis()
        load.heard(pieces, watched.heardAt)
      },
      fail: (error) => {
        Deferred.unsafeDone(failure, Effect.fail(error))
        end()
      },
      isOver: () => isOver,
      onOver: (act) => {
        onOver = act
      }
    }
    const target = {
      address: node.agent_address,
      isLocal: AgentAddress.isLoopbackPeer(yield* registry.peer(node.id)),
      kind,
      mayCancel: NodeModels.mayCancel(node)
    }
    const answer = yield* connections.use(target, (client) => call(client, exchange), end).pipe(
      Effect.raceFirst(Deferred.await(failure)),
      Effect.tapError(({ code }) =>
        Effect.sync(() => {
          if (!isCallerFault.has(code)) load.failed()
          if (code === Status.NOT_FOUND) loads.learn(node.id, name, false)
        })
      )
    )
    if (NodeModels.isSilent(node)) loads.learn(node.id, name, Math.floor(clock.unsafeCurrentTimeMillis() / 1000))
    return answer
  }))

/** Offers a request to one node after the other, until one takes it. */
const dispatch = <A>(
  parts: Parts,
  request: {
    readonly model: string
    readonly kind: NodeConnections.Kind
    readonly onNode: ((id: string) => void) | undefined
    readonly call: Call<A>
    /** A part of the answer is with the caller. */
    readonly hasBegun: () => boolean
  }
): Effect.Effect<A, GrpcError.GrpcError> => {
  const { call, hasBegun, kind, model, onNode } = request
  const tried = new Set<string>()
  const next = (before: GrpcError.GrpcError | undefined): Effect.Effect<A, GrpcError.GrpcError> =>
    Effect.flatMap(parts.registry.list, (nodes) => {
      const picked = tried.size >= maxTries ? undefined : NodePicker.pick(candidatesOf(parts, nodes, model, tried))
      if (picked === undefined) return Effect.fail(before ?? NodeError.noNode(nodes, model))
      const { node } = picked
      tried.add(node.id)
      onNode?.(node.id)
      return Effect.catchAll(ask(parts, node, model, kind, call), (error) => {
        const described = NodeError.describe(node, error, NodeConnections.maxReceiveBytes[kind])
        if (hasBegun() || isFinal(described)) return Effect.fail(described)
        // This node's "not found" does not explain why another one failed.
        return next(before !== undefined && error.code === Status.NOT_FOUND ? before : described)
      })
    })
  return model === ""
    ? Effect.fail(GrpcError.fail(Status.INVALID_ARGUMENT, "the request names no model"))
    : Effect.suspend(() => next(undefined))
}

const chat = (parts: Parts): Dispatcher["chat"] => (request, open, onNode) =>
  Effect.suspend(() => {
    let hasBegun = false
    const call: Call<void> = (client, exchange) =>
      client.receive(NodeAgentService, "ChatCompletion", request, (inlet) => {
        const take = open({
          pause: () => {
            if (!exchange.isOver()) inlet.pause()
          },
          resume: inlet.resume
        })
        // The rest of the answer is read and dropped.
        exchange.onOver(inlet.resume)
        return (message) => {
          if (exchange.isOver()) return
          const problem = NodeAnswer.chatProblem(message)
          if (problem !== undefined) return exchange.fail(problem)
          hasBegun = true
          exchange.heard(NodeAnswer.piecesOf(message))
          try {
            take(message)
          } catch (error) {
            // A throw in grpc-js's callback would end the process.
            exchange.fail(GrpcError.fail(Status.INTERNAL, `the answer could not be passed on: ${String(error)}`))
          }
        }
      })
    return dispatch(parts, { model: request.model, kind: "chat", onNode, call, hasBegun: () => hasBegun })
  })

const embeddings = (parts: Parts): Dispatcher["embeddings"] => (model, input, onNode) =>
  dispatch(parts, {
    model,
    kind: "embeddings",
    onNode,
    hasBegun: () => false,
    call: (client) =>
      Effect.flatMap(
        client.unary(NodeAgentService, "Embeddings", { model, input: [...input] }, { deadline: embeddingsDeadline }),
        (answer) => {
          const checked = NodeAnswer.embeddings(answer, input.length)
          return checked instanceof GrpcError.GrpcError ? Effect.fail(checked) : Effect.succeed(checked)
        }
      )
  })

const served = ({ loads, registry }: Parts): Dispatcher["served"] =>
  Effect.zipWith(registry.list, Clock.currentTimeMillis, (nodes, now) => {
    const rowOf = (node: NodeJson, model: string) => {
      const { errors, inFlight, requests, tokensPerSecond } = loads.stats(node.id, model, now)
      return {
        node_id: node.id,
        hostname: node.hostname,
        model,
        in_flight: inFlight,
        requests,
        errors,
        tokens_per_second: tokensPerSecond
      }
    }
    return {
      served: nodes.filter(({ stale }) => !stale).flatMap((node) => [
        ...NodeModels.enginesOf(node).flatMap(({ detail, models, name, progress, state }) =>
          models.map((model) => ({
            ...rowOf(node, model),
            engine: name,
            engine_title: titleOf(name),
            state,
            detail,
            ...(progress === undefined ? {} : { progress }),
            registered_unix: node.registered_unix
          }))
        ),
        // An agent that does not report its engines: the models that it has answered for.
        ...[...NodeModels.isSilent(node) ? loads.learnt(node.id) : []].map(([model, since]) => ({
          ...rowOf(node, model),
          engine: "unknown",
          engine_title: "an agent",
          state: "ready",
          detail: "",
          registered_unix: since
        }))
      ])
    }
  })

/** Its connections are closed with the scope. */
export const make = (
  registry: NodeRegistry,
  options: DispatcherOptions = {}
): Effect.Effect<Dispatcher, never, Daemon.Daemons | Scope.Scope> =>
  Effect.gen(function*() {
    const parts: Parts = {
      registry,
      connections: yield* NodeConnections.make,
      loads: yield* NodeLoads.make,
      silence: yield* SilenceWatch.make(registry, options.silence ?? "10 seconds")
    }
    const sweep = Effect.flatMap(registry.list, (nodes) => {
      const byId = new Map(nodes.map((node) => [node.id, node]))
      parts.loads.sweep((id, model) => {
        const node = byId.get(id)
        return node !== undefined
          && (NodeModels.isSilent(node)
            ? parts.loads.learnt(id).has(model)
            : NodeModels.engineFor(node, model) !== undefined)
      })
      return parts.connections.sweep
    })
    yield* Daemon.start("dispatcher sweep", Effect.forever(Effect.zipRight(Effect.sleep("1 minute"), sweep)))
    return { chat: chat(parts), embeddings: embeddings(parts), served: served(parts) }
  })
