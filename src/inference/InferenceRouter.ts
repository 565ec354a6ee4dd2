/** Which engine answers a request, whether it may be asked now, and what its failures mean to the caller. */
import { randomUUID } from "node:crypto"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import { type EngineName, Engines, type RunningEngine, titles } from "../engine/Engine.js"
import type { ChatListener } from "../chat/ChatEvents.js"
import type { EngineError, EngineErrorKind } from "../chat/EngineError.js"
import * as OpenAiClient from "../chat/OpenAiClient.js"
import * as GrpcError from "../grpc/GrpcError.js"
import type { Outlet } from "../grpc/GrpcServer.js"
import type { EngineFigures } from "../node/Node.js"
import type { ChatCompletionRequest__Output } from "../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingRequest__Output } from "../proto/generated/orchion/v1/EmbeddingRequest.js"
import type { EmbeddingResponse } from "../proto/generated/orchion/v1/EmbeddingResponse.js"
import * as ChatPump from "../chat/ChatPump.js"
import * as ChatRequest from "./ChatRequest.js"
import * as InferenceMetrics from "./InferenceMetrics.js"
import * as EngineStateText from "../chat/EngineStateText.js"
import { isServedBy } from "../chat/ModelName.js"
import { InferenceSettings } from "./InferenceSettings.js"
import type { PullOnDemand } from "./PullOnDemand.js"

const { Status } = GrpcError

const statusOfKind: Readonly<Record<EngineErrorKind, GrpcError.Status>> = {
  unreachable: Status.UNAVAILABLE,
  overloaded: Status.RESOURCE_EXHAUSTED,
  rejected: Status.INVALID_ARGUMENT,
  "unknown-model": Status.NOT_FOUND,
  unauthorized: Status.INTERNAL,
  failed: Status.INTERNAL,
  "cut-off": Status.UNAVAILABLE,
  garbled: Status.INTERNAL
}

const verbOfKind: Readonly<Record<EngineErrorKind, string>> = {
  unreachable: "cannot be reached",
  overloaded: "takes no more requests now",
  rejected: "refuses the request",
  "unknown-model": "does not have the model",
  unauthorized: "does not take the agent's key",
  failed: "failed",
  "cut-off": "broke off",
  garbled: "answered with something else"
}

const toStatus = ({ name }: RunningEngine, { kind, reason }: EngineError): GrpcError.GrpcError =>
  GrpcError.fail(statusOfKind[kind], `${titles[name]} ${verbOfKind[kind]}: ${reason}`)

const describe = ({ detail, name, state }: RunningEngine): string =>
  EngineStateText.sentence(titles[name], state, state === "ready" ? "" : detail)

/** Models that an error names. */
const named = 20

const shown = (model: string) => JSON.stringify(model.length > 200 ? `${model.slice(0, 200)}…` : model)

const unknownModel = (engines: ReadonlyArray<RunningEngine>, model: string): GrpcError.GrpcError => {
  const served = [...new Set(engines.flatMap(({ models }) => models))]
  const others = engines.filter(({ state }) => state !== "ready")
  const list = served.length === 0
    ? "it serves none now"
    : `it serves ${served.slice(0, named).join(", ")}${
      served.length > named ? ` and ${served.length - named} more` : ""
    }`
  const what = engines.length === 0
    ? "it runs no inference engine"
    : [list, ...others.map((engine) => `${describe(engine)} (${engine.model})`)].join("; ")
  return GrpcError.fail(Status.NOT_FOUND, `model ${shown(model)} is not served by this node: ${what}`)
}

/** Why no engine answers for a model. */
interface NoRoute {
  readonly error: GrpcError.GrpcError
  /** None of the engines knows the model, as opposed to being unable to use it now. */
  readonly unknown: boolean
}

const leastBusy = (engines: ReadonlyArray<RunningEngine>): RunningEngine | undefined => {
  let best = engines[0]
  for (const engine of engines) {
    if (best !== undefined && engine.activity.inFlight < best.activity.inFlight) best = engine
  }
  return best
}

const route = (engines: ReadonlyArray<RunningEngine>, model: string): Either.Either<RunningEngine, NoRoute> => {
  const ready = engines.filter((engine) => engine.state === "ready" && isServedBy(engine, model))
  const exact = ready.filter(({ models }) => models.includes(model))
  const engine = leastBusy(exact.length > 0 ? exact : ready)
  if (engine !== undefined) return Either.right(engine)
  const waiting = engines.find(({ models, state, ...engine }) =>
    state !== "ready" && isServedBy({ models: [engine.model, ...models] }, model)
  )
  return Either.left(
    waiting === undefined
      ? { error: unknownModel(engines, model), unknown: true }
      : {
        error: GrpcError.fail(
          Status.UNAVAILABLE,
          `model ${shown(model)} cannot be used now: ${describe(waiting)}`
        ),
        unknown: false
      }
  )
}

/** Whether it is a name that Ollama's library could know. */
const canBePulled = (model: string): boolean => model.length <= 200 && /^\w[\w.:/-]*$/.test(model)

/** A request that an engine works on. */
interface Work {
  readonly meter: InferenceMetrics.EngineMeter
  readonly progressed: (pieces: number) => void
  /** Once, however the request ended; the first word counts. */
  readonly ended: (
    end: { readonly error?: string; readonly cancelled?: boolean; readonly usage?: Usage | undefined }
  ) => void
}

interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

export class InferenceRouter extends Context.Tag("@orchion/node-agent/InferenceRouter")<
  InferenceRouter,
  {
    /** Writes the answer's messages; interrupting it cancels the request inside the engine. */
    readonly chat: (
      request: ChatCompletionRequest__Output,
      outlet: Outlet<ChatCompletionResponse>
    ) => Effect.Effect<void, GrpcError.GrpcError>
    readonly embeddings: (request: EmbeddingRequest__Output) => Effect.Effect<EmbeddingResponse, GrpcError.GrpcError>
    /** What came of the requests to an engine. */
    readonly figures: (name: EngineName) => EngineFigures
  }
>() {
  static readonly layer: Layer.Layer<InferenceRouter, never, Engines | InferenceSettings> = Layer.scoped(
    InferenceRouter,
    Effect.gen(function*() {
      const { maxRequestsPerEngine, ollamaPullOnDemand } = yield* InferenceSettings
      const engines = yield* Engines
      const client = yield* OpenAiClient.make
      const onDemand: PullOnDemand | undefined = ollamaPullOnDemand
        ? yield* Effect.flatMap(Effect.promise(() => import("./PullOnDemand.js")), ({ make }) => make)
        : undefined
      const meters = {
        vllm: InferenceMetrics.meter("vllm"),
        ollama: InferenceMetrics.meter("ollama")
      }

      /** The engine that answers; pulls the model first where that is wanted. */
      const engineFor = (model: string): Effect.Effect<RunningEngine, GrpcError.GrpcError> =>
        Effect.suspend(() => {
          const current = engines.current()
          const decided = route(current, model)
          if (Either.isRight(decided)) return Effect.succeed(decided.right)
          const { error, unknown } = decided.left
          const ollama = unknown && canBePulled(model)
            ? current.find(({ name, state }) => name === "ollama" && state === "ready")
            : undefined
          return onDemand === undefined || ollama === undefined
            ? Effect.fail(error)
            : onDemand.pull(ollama.baseUrl, model).pipe(
              Effect.mapError((failed) =>
                GrpcError.fail(failed.unknown ? Status.NOT_FOUND : Status.UNAVAILABLE, failed.reason)
              ),
              Effect.as(ollama)
            )
        })

      /** Takes a place at the engine; `undefined` when there is none. */
      const begin = ({ activity, name }: RunningEngine): Work | undefined => {
        const meter = meters[name]
        if (activity.inFlight >= maxRequestsPerEngine) {
          meter.refused("not-admitted")
          return undefined
        }
        activity.inFlight += 1
        // An engine that reads a long prompt is busy before its first token.
        activity.lastProgressAt = Date.now()
        meter.asked(activity.inFlight)
        const from = performance.now()
        let firstTokenMillis: number | undefined
        let pieces = 0
        let over = false
        return {
          meter,
          progressed: (more) => {
            const now = Date.now()
            if (more > 0) firstTokenMillis ??= performance.now() - from
            pieces += more
            activity.lastProgressAt = now
            meter.progressed(more, now)
          },
          ended: ({ cancelled, error, usage }) => {
            if (over) return
            over = true
            activity.inFlight -= 1
            meter.ended({
              promptTokens: usage?.promptTokens ?? 0,
              completionTokens: usage?.completionTokens ?? pieces,
              firstTokenMillis,
              durationMillis: performance.now() - from,
              inFlight: activity.inFlight,
              ...(error === undefined ? {} : { error }),
              ...(cancelled === undefined ? {} : { cancelled })
            })
          }
        }
      }

      /** Asks the engine; a request that cannot even be sent gives its place back, too. */
      const ask = (work: Work, engine: RunningEngine, asked: ChatRequest.EngineChat, listener: ChatListener) => {
        try {
          // Ollama answers with one, however many are asked for.
          return client.chat(engine, asked.body, listener, engine.name === "ollama" ? 1 : asked.choices)
        } catch (error) {
          work.ended({ error: "failed" })
          throw error
        }
      }

      const noPlace = ({ name }: RunningEngine) =>
        GrpcError.fail(
          Status.RESOURCE_EXHAUSTED,
          `${titles[name]} works on ${maxRequestsPerEngine} requests of this node already; try again later`
        )

      const head = (model: string) => ({
        id: `chatcmpl-${randomUUID()}`,
        model,
        created: Math.floor(Date.now() / 1000)
      })

      const streamed = (
        engine: RunningEngine,
        model: string,
        asked: ChatRequest.EngineChat,
        outlet: Outlet<ChatCompletionResponse>
      ) =>
        Effect.async<void, GrpcError.GrpcError>((resume) => {
          const work = begin(engine)
          if (work === undefined) return resume(Effect.fail(noPlace(engine)))
          const pump = ChatPump.make({
            ...head(model),
            write: outlet.write,
            pause: () => call.pause(),
            resume: () => call.resume()
          })
          const call = ask(work, engine, asked, {
            delta: (index, content, reasoning) => {
              work.progressed(1)
              pump.push(index, content, reasoning, 1)
            },
            done: ({ finishReasons, usage }) => {
              work.ended({ usage })
              pump.finish({ finishReasons, usage: wireUsage(usage) }, () => resume(Effect.void))
            },
            failed: (error) => {
              work.ended({ error: error.kind })
              // What came before is not held back.
              pump.flush(() => resume(Effect.fail(toStatus(engine, error))))
            }
          })
          return Effect.sync(() => {
            call.cancel()
            work.ended({ cancelled: true })
          })
        })

      const whole = (
        engine: RunningEngine,
        model: string,
        asked: ChatRequest.EngineChat,
        outlet: Outlet<ChatCompletionResponse>
      ) =>
        Effect.async<void, GrpcError.GrpcError>((resume) => {
          const work = begin(engine)
          if (work === undefined) return resume(Effect.fail(noPlace(engine)))
          let pieces = 0
          const choices = new Map<number, { content: string; reasoning: string }>()
          const call = ask(work, engine, asked, {
            delta: (index, content, reasoning) => {
              work.progressed(1)
              pieces += 1
              const choice = choices.get(index)
              if (choice === undefined) choices.set(index, { content, reasoning })
              else {
                choice.content += content
                choice.reasoning += reasoning
              }
            },
            done: ({ finishReasons, usage }) => {
              work.ended({ usage })
              const message = {
                ...head(model),
                object: "chat.completion",
                pieces,
                choices: [...finishReasons].sort(([a], [b]) => a - b).map(([index, finish_reason]) => ({
                  index,
                  message: { role: "assistant", content: choices.get(index)?.content ?? "" },
                  reasoning: choices.get(index)?.reasoning ?? "",
                  finish_reason
                })),
                usage: wireUsage(usage)
              }
              outlet.write(message, () => resume(Effect.void))
            },
            failed: (error) => {
              work.ended({ error: error.kind })
              resume(Effect.fail(toStatus(engine, error)))
            }
          })
          return Effect.sync(() => {
            call.cancel()
            work.ended({ cancelled: true })
          })
        })

      return {
        chat: (request, outlet) =>
          Effect.suspend(() => {
            const body = ChatRequest.toEngine(request)
            if (Either.isLeft(body)) return Effect.fail(body.left)
            return Effect.flatMap(
              engineFor(request.model),
              (engine) => (request.stream ? streamed : whole)(engine, request.model, body.right, outlet)
            )
          }),
        embeddings: (request) =>
          Effect.gen(function*() {
            const input = yield* ChatRequest.validInput(request)
            const engine = yield* engineFor(request.model)
            const work = begin(engine)
            if (work === undefined) return yield* noPlace(engine)
            const { embeddings, promptTokens } = yield* client.embeddings(engine, request.model, input).pipe(
              Effect.tapBoth({
                onSuccess: ({ promptTokens }) =>
                  Effect.sync(() => {
                    work.progressed(0)
                    work.ended({ usage: { promptTokens, completionTokens: 0 } })
                  }),
                onFailure: ({ kind }) => Effect.sync(() => work.ended({ error: kind }))
              }),
              Effect.onExit((exit) =>
                Effect.sync(() => work.ended(Exit.isInterrupted(exit) ? { cancelled: true } : { error: "failed" }))
              ),
              Effect.mapError((error) => toStatus(engine, error))
            )
            return {
              model: request.model,
              object: "list",
              data: embeddings.map((embedding, index) => ({ index, embedding: [...embedding] })),
              usage_prompt_tokens: promptTokens
            }
          }),
        figures: (name) =>
          meters[name].figures(
            engines.current().find((engine) => engine.name === name)?.activity.inFlight ?? 0,
            Date.now()
          )
      }
    })
  )
}

const wireUsage = (usage: Usage | undefined) =>
  usage === undefined
    ? null
    : { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens }
