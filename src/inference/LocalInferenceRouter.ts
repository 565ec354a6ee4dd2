/** Inference by the engines of this node. */
import { randomUUID } from "node:crypto"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import type { AnswerHead, AnswerSink, AnswerSinkOptions } from "../chat/AnswerSink.js"
import type { Usage } from "../chat/ChatEvents.js"
import * as ChatPump from "../chat/ChatPump.js"
import * as EngineError from "../chat/EngineError.js"
import * as OpenAiClient from "../chat/OpenAiClient.js"
import * as WholeAnswer from "../chat/WholeAnswer.js"
import { Engines, type RunningEngine } from "../engine/Engine.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as ChatRequest from "./ChatRequest.js"
import * as EngineFailure from "./EngineFailure.js"
import * as EnginePlaces from "./EnginePlaces.js"
import * as EngineRoute from "./EngineRoute.js"
import { InferenceRouter } from "./InferenceRouter.js"
import { InferenceSettings } from "./InferenceSettings.js"
import type { PullOnDemand } from "./PullOnDemand.js"

type SinkOf = (options: AnswerSinkOptions & Pick<OpenAiClient.ChatCall, "pause" | "resume">) => AnswerSink

const wireUsage = (usage: Usage | undefined) =>
  usage === undefined
    ? null
    : { prompt_tokens: usage.promptTokens, completion_tokens: usage.completionTokens }

const sinkError = (error: unknown): EngineError.EngineError =>
  error instanceof WholeAnswer.AnswerTooLarge
    ? EngineError.make("too-large", error.message)
    : EngineError.ofDefect(error)

/** Sends the request to the engine and its answer to the sink, until the reader has all of it. */
const answer = (
  client: OpenAiClient.OpenAiClient,
  places: EnginePlaces.EnginePlaces,
  engine: RunningEngine,
  asked: OpenAiClient.ChatOptions,
  sinkOf: SinkOf,
  options: Pick<AnswerSinkOptions, "head" | "write">
) =>
  places.use(engine, (place) =>
    Effect.suspend(() => {
      let pieces = 0
      let sink: AnswerSink | undefined
      const run = Effect.async<void, EngineError.EngineError>((resume) => {
        const fail = (error: EngineError.EngineError) => {
          call.cancel()
          place.ended({ error: error.kind })
          resume(Effect.fail(error))
        }
        const to = sinkOf({
          ...options,
          pause: () => call.pause(),
          resume: () => call.resume(),
          failed: (error) => fail(sinkError(error))
        })
        sink = to
        const call = client.chat(engine, asked, {
          delta: (index, content, reasoning) => {
            pieces += 1
            place.progressed(1)
            to.push(index, content, reasoning, 1)
          },
          done: ({ finishReasons, usage }) => {
            place.ended({ usage })
            to.finish({ finishReasons, usage: wireUsage(usage) }, () => resume(Effect.void))
          },
          failed: (error) => {
            place.ended({ error: error.kind })
            // Sends what has arrived before the failure.
            to.flush(() => resume(Effect.fail(error)))
          }
        })
        return Effect.sync(call.cancel)
      })
      return places.watched(run, {
        progress: () => pieces + (sink?.taken() ?? 0),
        waitsFor: () => sink?.isWaiting() === true ? "reader" : "source"
      })
    }))

/** A defect is logged here, once; its caller only learns that there was one. */
const toStatus = (engine: RunningEngine) =>
<A>(
  effect: Effect.Effect<A, EnginePlaces.ExchangeError | GrpcError.GrpcError>
): Effect.Effect<A, GrpcError.GrpcError> =>
  Effect.catchAll(effect, (error) => {
    if (error._tag === "GrpcError") return Effect.fail(error)
    const status = Effect.fail(EngineFailure.toStatus(engine, error))
    return error._tag === "EngineError" && error.kind === "internal"
      ? Effect.zipRight(Effect.logError("A defect in a request to an engine", error.cause), status)
      : status
  }).pipe(Effect.annotateLogs("engine", engine.name))

/** The engine that answers. Where that is wanted, it is started first, or pulls the model first. */
const routeOf = (engines: Engines["Type"], onDemand: Effect.Effect<OnDemand>) => {
  const mayAdd = () => engines.startFor !== undefined || engines.current().some(({ pull }) => pull !== undefined)
  const statusOf = ({ isUnknown, reason }: { readonly isUnknown: boolean; readonly reason: string }) =>
    GrpcError.fail(isUnknown ? GrpcError.Status.NOT_FOUND : GrpcError.Status.UNAVAILABLE, reason)
  const started = (model: string): Effect.Effect<void, GrpcError.GrpcError> =>
    engines.startFor === undefined ? Effect.void : Effect.mapError(
      engines.startFor(model),
      ({ isTransient, reason }) =>
        statusOf({ isUnknown: !isTransient, reason: `model ${EngineRoute.quoted(model)}: ${reason}` })
    )
  const pulled = ({ pull }: OnDemand, model: string, error: GrpcError.GrpcError) => {
    const engine = engines.current().find(({ pull, state }) => pull !== undefined && state === "ready")
    return engine === undefined
      ? Effect.fail(error)
      : Effect.mapBoth(pull(engine, model), { onFailure: statusOf, onSuccess: () => ({ engine, model }) })
  }
  const added = (model: string, error: GrpcError.GrpcError) =>
    Effect.flatMap(onDemand, (onDemand) =>
      !onDemand.canBePulled(model)
        ? Effect.fail(error)
        : Effect.zipRight(
          started(model),
          Effect.catchAll(
            Effect.suspend(() => EngineRoute.route(engines.current(), model)),
            ({ error }) => pulled(onDemand, model, error)
          )
        ))
  return (model: string): Effect.Effect<EngineRoute.Route, GrpcError.GrpcError> =>
    Effect.catchAll(
      Effect.suspend(() => EngineRoute.route(engines.current(), model)),
      ({ error, isUnknown }) => isUnknown && mayAdd() ? added(model, error) : Effect.fail(error)
    )
}

/** What to do for models that no engine has. */
interface OnDemand extends PullOnDemand {
  readonly canBePulled: (model: string) => boolean
}

/** Its connections are closed with the scope. */
export const make: Effect.Effect<InferenceRouter["Type"], never, InferenceSettings | Engines | Scope.Scope> = Effect
  .gen(
    function*() {
      const settings = yield* InferenceSettings
      const engines = yield* Engines
      const clock = yield* Effect.clock
      const client = yield* OpenAiClient.make
      const places = yield* EnginePlaces.make({
        maxRequests: settings.maxRequestsPerEngine,
        limits: { source: settings.engineIdleTimeout, reader: settings.readerTimeout }
      })
      // Most nodes need none of it.
      const scope = yield* Effect.scope
      const onDemand = yield* Effect.cached(Effect.flatMap(
        Effect.promise(() => import("./PullOnDemand.js")),
        ({ canBePulled, make }) =>
          Effect.map(Scope.extend(make(engines), scope), (pulls): OnDemand => ({ ...pulls, canBePulled }))
      ))
      const route = routeOf(engines, onDemand)
      const headOf = (model: string): AnswerHead => ({
        id: `chatcmpl-${randomUUID()}`,
        model: model.toWellFormed(),
        created: Math.floor(clock.unsafeCurrentTimeMillis() / 1000)
      })

      return {
        chat: Effect.fn("InferenceRouter.chat")(function*(request, outlet) {
          const { bodyFor, choices } = yield* ChatRequest.toEngine(request)
          const { engine, model } = yield* route(request.model)
          const asked = { body: bodyFor(model), choices: Math.min(engine.maxChoices ?? choices, choices) }
          const sinkOf = request.stream ? ChatPump.make : WholeAnswer.make
          const options = { head: headOf(request.model), write: outlet.write }
          yield* toStatus(engine)(answer(client, places, engine, asked, sinkOf, options))
        }),
        embeddings: Effect.fn("InferenceRouter.embeddings")(function*(request) {
          const input = yield* ChatRequest.validInput(request)
          const { engine, model } = yield* route(request.model)
          const { embeddings, promptTokens } = yield* toStatus(engine)(
            places.use(engine, (place) =>
              places.watched(client.embeddings(engine, model, input), {
                progress: () => 0,
                waitsFor: () => "source"
              }).pipe(
                Effect.tap(({ promptTokens }) =>
                  Effect.sync(() => {
                    place.progressed(0)
                    place.ended({ usage: { promptTokens, completionTokens: 0 } })
                  })
                )
              ))
          )
          return {
            model: request.model,
            object: "list",
            data: embeddings.map((embedding, index) => ({ index, embedding: [...embedding] })),
            usage_prompt_tokens: promptTokens
          }
        }),
        stats: (name) =>
          places.stats.of(name).report(
            engines.current().find((engine) => engine.name === name)?.activity.inFlight ?? 0,
            clock.unsafeCurrentTimeMillis()
          )
      }
    }
  )

export const layer: Layer.Layer<InferenceRouter, never, InferenceSettings | Engines> = Layer.scoped(
  InferenceRouter,
  make
)
