/** Which node answers a request, and the request to it. Chats, jobs and the HTTP API all go this way. */
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as GrpcClient from "../../grpc/GrpcClient.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import * as Rate from "../../text/Rate.js"
import { find, isServedBy } from "../../chat/ModelName.js"
import type { ChatCompletionRequest } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse__Output } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingResponse__Output } from "../../proto/generated/orchion/v1/EmbeddingResponse.js"
import { NodeAgentService } from "../../proto/OrchionV1.js"
import type { NodeJson } from "../registry/NodeJson.js"
import type { NodeRegistry } from "../registry/NodeRegistry.js"
import type { Served } from "./Served.js"

const { Status } = GrpcError

/** Nodes that one request is offered to. */
const maxTries = 4

/** A node's answer may be as large as many embeddings. */
const maxReceiveBytes = 256 * 1024 * 1024

/** How long embeddings may take: all of them come at once, at the end. */
const embeddingsDeadline = "10 minutes"

/** More often, and servers of Go's would end the connection. What a node's silence tells comes sooner, where it beats. */
const keepalive = "310 seconds"

/** How long a connection may take to stand. */
const connectTimeout = "5 seconds"

/** A connection that nobody used for this long is closed. */
const idleMillis = 5 * 60_000

/** Another node would say the same, or nobody waits any more. */
const final = new Set<GrpcError.Status>([
  Status.INVALID_ARGUMENT,
  Status.CANCELLED,
  Status.DEADLINE_EXCEEDED,
  Status.FAILED_PRECONDITION
])

/** The caller's own doing, and no fault of the node's. */
const isCallers = new Set<GrpcError.Status>([Status.INVALID_ARGUMENT, Status.CANCELLED])

const isFinal = ({ code, details }: GrpcError.GrpcError) => final.has(code) || GrpcError.isTooLarge(code, details)

interface Connection {
  readonly client: GrpcClient.GrpcClient
  readonly scope: Scope.CloseableScope
  inFlight: number
  usedAt: number
}

/** A request that a node works on. */
interface Asked {
  readonly nodeId: string
  /** When it was asked, or last sent something. */
  heardAt: number
  readonly lost: Deferred.Deferred<never, GrpcError.GrpcError>
}

/** A request to a node; `heard` is told what comes, in pieces. */
type Call<A> = (
  client: GrpcClient.GrpcClient,
  heard: (pieces: number) => void
) => Effect.Effect<A, GrpcError.GrpcError>

export interface DispatcherOptions {
  /** How long a node whose heartbeats are missing, too, may send nothing of an answer until it is given up. Default 10 s. */
  readonly silence?: Duration.DurationInput
}

/** What goes to a node for a model, through this orchestrator. */
interface Load {
  inFlight: number
  requests: number
  errors: number
  readonly tokens: Rate.Rate
}

const enginesOf = (node: NodeJson) => node.capabilities?.engines ?? []

const hasReady = (node: NodeJson, model: string) =>
  enginesOf(node).some((engine) => engine.state === "ready" && isServedBy(engine, model))

/** In any state. */
const knows = (node: NodeJson, model: string) => enginesOf(node).some((engine) => isServedBy(engine, model))

/** What the node itself calls the model. */
const nameAt = (node: NodeJson, model: string) => {
  if (enginesOf(node).some(({ models }) => models.includes(model))) return model
  for (const { models } of enginesOf(node)) {
    const served = find(models, model)
    if (served !== undefined) return served
  }
  return model
}

/** Agents in the field say nothing of their engines: whether they serve a model is known by asking them. */
const isSilent = (node: NodeJson) => (node.capabilities?.agent_version ?? "") === "" && enginesOf(node).length === 0

/** It may pull the model when it is asked for. */
const hasOllama = (node: NodeJson) => enginesOf(node).some(({ name, state }) => name === "ollama" && state === "ready")

export class Dispatcher extends Context.Tag("@orchion/node-agent/Dispatcher")<
  Dispatcher,
  {
    /**
     * Hands over the messages of an answer. Nodes that fail before their first message are not the last that are
     * asked; `open` is called for each. `onNode` is told which one it is.
     */
    readonly chat: (
      request: ChatCompletionRequest & { readonly model: string },
      open: (inlet: GrpcClient.Inlet) => (message: ChatCompletionResponse__Output) => void,
      onNode?: (id: string) => void
    ) => Effect.Effect<void, GrpcError.GrpcError>
    readonly embeddings: (
      model: string,
      input: ReadonlyArray<string>,
      onNode?: (id: string) => void
    ) => Effect.Effect<EmbeddingResponse__Output, GrpcError.GrpcError>
    /** What is served where now. */
    readonly served: Effect.Effect<Served>
  }
>() {
  /** Its connections are closed with the scope. */
  static readonly make = (
    registry: NodeRegistry["Type"],
    options: DispatcherOptions = {}
  ): Effect.Effect<Dispatcher["Type"], never, Scope.Scope> =>
    Effect.gen(function*() {
      const silence = Duration.toMillis(options.silence ?? "10 seconds")
      const open = new Set<Asked>()
      // Of its own, so that its connections are closed after those that use them, whenever they were made.
      const scope = yield* Effect.flatMap(Effect.scope, (outer) => Scope.fork(outer, ExecutionStrategy.sequential))
      const connections = new Map<string, Connection>()
      const loads = new Map<string, Map<string, Load>>()
      let turn = 0
      /** When a node was last chosen, as a number that grows. */
      const chosen = new Map<string, number>()

      const loadOf = (id: string, model: string): Load => {
        const models = loads.get(id) ?? new Map<string, Load>()
        loads.set(id, models)
        const load = models.get(model) ?? { inFlight: 0, requests: 0, errors: 0, tokens: Rate.make() }
        models.set(model, load)
        return load
      }

      const inFlightOf = (id: string) => {
        let sum = 0
        for (const { inFlight } of loads.get(id)?.values() ?? []) sum += inFlight
        return sum
      }

      const reportedOf = (node: NodeJson) =>
        enginesOf(node).reduce((sum, { figures }) => sum + (figures?.in_flight ?? 0), 0)

      /** Those that may answer, the best first; `tried` are left out. */
      const choose = (nodes: ReadonlyArray<NodeJson>, model: string, tried: ReadonlySet<string>) => {
        const left = nodes.filter((node) => !node.stale && node.agent_address !== "" && !tried.has(node.id))
        const ready = left.filter((node) => hasReady(node, model))
        // One that has it and cannot give it now says so better than those that do not know it.
        const known = ready.length > 0 || nodes.some((node) => !node.stale && knows(node, model))
        const silent = known ? [] : left.filter(isSilent)
        const others = known || silent.length > 0 ? [] : left.filter(hasOllama)
        let best: NodeJson | undefined
        for (const node of [...ready, ...silent, ...others]) {
          if (best === undefined) {
            best = node
            continue
          }
          const order = inFlightOf(node.id) - inFlightOf(best.id) || reportedOf(node) - reportedOf(best)
            || (chosen.get(node.id) ?? 0) - (chosen.get(best.id) ?? 0)
          if (order < 0) best = node
        }
        return best
      }

      /** Unless somebody has come to use it. */
      const close = (address: string, connection: Connection) =>
        Effect.suspend(() => {
          if (connection.inFlight > 0 || connections.get(address) !== connection) return Effect.void
          connections.delete(address)
          return Scope.close(connection.scope, Exit.void)
        })

      /** Counts its user, so that nobody closes it before it is used. */
      const connect = (address: string): Effect.Effect<Connection> =>
        Effect.gen(function*() {
          const known = connections.get(address)
          if (known !== undefined) {
            known.inFlight += 1
            return known
          }
          const own = yield* Scope.fork(scope, scope.strategy)
          const client = yield* Scope.extend(GrpcClient.make({ address, maxReceiveBytes, keepalive }), own)
          const other = connections.get(address)
          if (other !== undefined) {
            other.inFlight += 1
            yield* Scope.close(own, Exit.void)
            return other
          }
          const connection: Connection = { client, scope: own, inFlight: 1, usedAt: Date.now() }
          connections.set(address, connection)
          return connection
        })

      const sweep = Effect.flatMap(registry.list, (nodes) => {
        const now = Date.now()
        const byId = new Map(nodes.map((node) => [node.id, node]))
        for (const [id, models] of loads) {
          const node = byId.get(id)
          for (const [model, { inFlight }] of models) {
            // What is served is counted for as long as its node is there; other names are any that somebody thought of.
            if (inFlight === 0 && (node === undefined || !knows(node, model))) models.delete(model)
          }
          if (models.size === 0) {
            loads.delete(id)
            chosen.delete(id)
          }
        }
        return Effect.forEach(
          [...connections].filter(([, { inFlight, usedAt }]) => inFlight === 0 && now - usedAt > idleMillis),
          ([address, connection]) => close(address, connection),
          { discard: true }
        )
      })
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep("1 minute"), sweep)))

      /** Gives up what was asked of nodes that are gone: a machine that lost its power closes no connection. */
      const giveUp = Effect.suspend(() =>
        Effect.forEach([...open].filter(({ heardAt }) => Date.now() - heardAt > silence), ({ lost, nodeId }) =>
          Effect.flatMap(registry.get(nodeId), (node) =>
            Option.isSome(node) && !node.value.stale ? Effect.void : Deferred.fail(
              lost,
              GrpcError.fail(
                Status.UNAVAILABLE,
                `node ${
                  Option.match(node, {
                    onNone: () =>
                      nodeId,
                    onSome: nameOf
                  })
                } is silent, and was given up`
              )
            )), { discard: true })
      )
      yield* Effect.forkScoped(Effect.forever(Effect.zipRight(Effect.sleep(silence / 2), giveUp)))

      /** Asks one node. */
      const ask = <A>(
        node: NodeJson,
        model: string,
        call: Call<A>
      ): Effect.Effect<A, GrpcError.GrpcError> =>
        Effect.acquireUseRelease(
          connect(node.agent_address),
          ({ client }) =>
            Effect.suspend(() => {
              const load = loadOf(node.id, nameAt(node, model))
              const lost = Deferred.unsafeMake<never, GrpcError.GrpcError>(FiberId.none)
              const asked: Asked = { nodeId: node.id, heardAt: Date.now(), lost }
              const heard = (pieces: number) => {
                asked.heardAt = Date.now()
                load.tokens.add(pieces, asked.heardAt)
              }
              load.inFlight += 1
              load.requests += 1
              open.add(asked)
              chosen.set(node.id, ++turn)
              return client.connected(connectTimeout).pipe(
                Effect.zipRight(Effect.raceFirst(call(client, heard), Deferred.await(lost))),
                Effect.tapError(({ code }) =>
                  Effect.sync(() => {
                    if (!isCallers.has(code)) {
                      load.errors += 1
                    }
                  })
                ),
                Effect.ensuring(Effect.sync(() => {
                  load.inFlight -= 1
                  open.delete(asked)
                }))
              )
            }),
          (connection, exit) => {
            connection.inFlight -= 1
            connection.usedAt = Date.now()
            // A connection that failed is not waited for: the next request makes a new one.
            return Exit.isFailure(exit) && Cause.failures(exit.cause).pipe(Chunk.some(({ code }) =>
                code === Status.UNAVAILABLE
              ))
              ? close(node.agent_address, connection)
              : Effect.void
          }
        )

      const nobody = (nodes: ReadonlyArray<NodeJson>, model: string): GrpcError.GrpcError => {
        const name = JSON.stringify(model.slice(0, 200))
        const live = nodes.filter(({ stale }) =>
          !stale
        )
        for (const node of live) {
          const engine = enginesOf(node).find((engine) => isServedBy(engine, model))
          if (engine !== undefined) {
            const detail = engine.detail === "" ? "" : `: ${engine.detail.replace(/\.$/, "")}`
            return GrpcError.fail(
              Status.UNAVAILABLE,
              `model ${name} cannot be used now: ${engine.name} on ${nameOf(node)} is ${engine.state}${detail}`
            )
          }
        }
        const served = [
          ...new Set(
            live.flatMap(enginesOf).filter(({ state }) => state === "ready")
              .flatMap(({ models }) => models)
          )
        ]
        const list = served.length === 0
          ? "no node serves a model now"
          : `served are ${served.slice(0, 20).join(", ")}${served.length > 20 ? ` and ${served.length - 20} more` : ""}`
        return GrpcError.fail(Status.NOT_FOUND, `model ${name} is not served by any node: ${list}`)
      }

      /** Offers a request to one node after the other, until one takes it. */
      const dispatch = <A>(
        model: string,
        onNode: ((id: string) => void) | undefined,
        call: Call<A>,
        begun: () => boolean
      ): Effect.Effect<A, GrpcError.GrpcError> => {
        const tried = new Set<string>()
        const next = (before: GrpcError.GrpcError | undefined): Effect.Effect<A, GrpcError.GrpcError> =>
          Effect.flatMap(registry.list, (nodes) => {
            const node = tried.size >= maxTries ? undefined : choose(nodes, model, tried)
            if (node === undefined) return Effect.fail(before ?? nobody(nodes, model))
            tried.add(node.id)
            onNode?.(node.id)
            return Effect.catchAll(ask(node, model, call), (error) =>
              begun() || isFinal(error)
                ? Effect.fail(asked(node, error))
                // That it is not known here does not say why another could not give it.
                : next(before !== undefined && error.code === Status.NOT_FOUND ? before : asked(node, error)))
          })
        return model === ""
          ? Effect.fail(GrpcError.fail(Status.INVALID_ARGUMENT, "the request names no model"))
          : Effect.suspend(() => next(undefined))
      }

      return {
        chat: (request, open, onNode) =>
          Effect.suspend(() => {
            let begun = false
            return dispatch(request.model, onNode, (client, heard) =>
              client.receive(NodeAgentService, "ChatCompletion", request, (inlet) => {
                const take = open(inlet)
                return (message) => {
                  begun = true
                  heard(piecesOf(message))
                  take(message)
                }
              }), () => begun)
          }),
        embeddings: (model, input, onNode) =>
          dispatch(
            model,
            onNode,
            (client) =>
              client.unary(NodeAgentService, "Embeddings", { model, input: [...input] }, {
                deadline: embeddingsDeadline
              }),
            () => false
          ),
        served: Effect.map(registry.list, (nodes) => {
          const now = Date.now()
          return {
            served: nodes.filter(({ stale }) => !stale).flatMap((node) =>
              enginesOf(node).flatMap(({ detail, models, name, progress, state }) =>
                models.map((model) => {
                  const load = loads.get(node.id)?.get(model)
                  return {
                    node_id: node.id,
                    hostname: node.hostname,
                    engine: name,
                    model,
                    state,
                    detail,
                    ...(progress === undefined ? {} : { progress }),
                    registered_unix: node.registered_unix,
                    in_flight: load?.inFlight ?? 0,
                    requests: load?.requests ?? 0,
                    errors: load?.errors ?? 0,
                    tokens_per_second: Math.round((load?.tokens.perSecond(now) ?? 0) * 10) / 10
                  }
                })
              )
            )
          }
        })
      }
    })
}

const nameOf = ({ hostname, id }: NodeJson) => hostname || id

/** Agents in the field do not tell how many it joins. */
const piecesOf = ({ choices, pieces }: ChatCompletionResponse__Output) =>
  pieces || (choices.some(({ message, reasoning }) => (message?.content ?? "") !== "" || reasoning !== "") ? 1 : 0)

/** A node's error, with the node's name where the node itself did not speak. */
const asked = (node: NodeJson, error: GrpcError.GrpcError): GrpcError.GrpcError =>
  error.code === Status.UNAVAILABLE && /^(?:No connection established|Connection dropped|connect )/.test(error.details)
    ? GrpcError.fail(
      error.code,
      `node ${nameOf(node)} cannot be reached at ${node.agent_address}, where it says it answers`
    )
    : GrpcError.fail(error.code, error.details)
