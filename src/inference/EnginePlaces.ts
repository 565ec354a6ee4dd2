/** Places at engines: the in-flight requests of each, and their outcomes. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Usage } from "../chat/ChatEvents.js"
import * as EngineError from "../chat/EngineError.js"
import * as StallWatch from "../chat/StallWatch.js"
import type { RunningEngine } from "../engine/Engine.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as GoDuration from "../text/GoDuration.js"
import { ReaderStalled } from "./EngineFailure.js"
import * as InferenceStats from "./InferenceStats.js"

/** A request's place at an engine. */
export interface EnginePlace {
  /** Pieces of text came now. */
  readonly progressed: (pieces: number) => void
  /**
   * The engine is done with the request: the place is free, although the reader may not have all of the answer. The first
   * call counts.
   */
  readonly ended: (end: { readonly error?: string; readonly usage?: Usage | undefined }) => void
}

/** The outcome of the engine's part of a request, and of the reader's. */
export type ExchangeError = EngineError.EngineError | ReaderStalled

export interface EnginePlaces {
  /** Fails with `RESOURCE_EXHAUSTED` where the engine has no place. The place is free again however `work` ends. */
  readonly use: <A>(
    engine: RunningEngine,
    work: (place: EnginePlace) => Effect.Effect<A, ExchangeError>
  ) => Effect.Effect<A, ExchangeError | GrpcError.GrpcError>
  /** Ends `work` when its engine or its reader stalls for longer than the settings allow. */
  readonly watched: <A>(
    work: Effect.Effect<A, EngineError.EngineError>,
    watched: StallWatch.Watched
  ) => Effect.Effect<A, ExchangeError>
  readonly stats: InferenceStats.InferenceStats
}

export interface EnginePlacesOptions {
  /** In-flight requests per engine. */
  readonly maxRequests: number
  readonly limits: StallWatch.StallLimits
}

const stalled = ({ after, waitsFor }: StallWatch.Stalled): ExchangeError =>
  waitsFor === "reader"
    ? new ReaderStalled({ after })
    : EngineError.make("stalled", `it sent nothing of the answer for ${GoDuration.format(after)}`)

/** The outcome of a request that did not report one. */
const endOf = (
  exit: Exit.Exit<unknown, ExchangeError>
): { readonly error?: string; readonly isCancelled?: boolean } => {
  if (Exit.isSuccess(exit)) return {}
  if (Exit.isInterrupted(exit)) return { isCancelled: true }
  const failure = Cause.failureOption(exit.cause)
  if (failure._tag === "None") return { error: "internal" }
  return failure.value._tag === "ReaderStalled" ? { isCancelled: true } : { error: failure.value.kind }
}

export const make = ({ limits, maxRequests }: EnginePlacesOptions): Effect.Effect<EnginePlaces> =>
  Effect.map(Effect.clock, (clock) => {
    const stats = InferenceStats.make()
    const millis = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6

    const acquire = (engine: RunningEngine) =>
      Effect.suspend(() => {
        const { activity, name } = engine
        const own = stats.of(name)
        if (activity.inFlight >= maxRequests) {
          own.refused("not-admitted")
          return GrpcError.fail(
            GrpcError.Status.RESOURCE_EXHAUSTED,
            `${engine.title} has ${maxRequests} requests of this node in flight, the limit; try again later`
          )
        }
        activity.inFlight += 1
        // An engine that reads a long prompt is busy before its first token.
        activity.lastProgressAt = clock.unsafeCurrentTimeMillis()
        own.started(activity.inFlight)
        const startedAt = millis()
        let firstTokenMillis: number | undefined
        let pieces = 0
        let isOver = false
        const end = (
          how: { readonly error?: string; readonly isCancelled?: boolean; readonly usage?: Usage | undefined }
        ) => {
          if (isOver) return
          isOver = true
          activity.inFlight -= 1
          const { usage, ...outcome } = how
          own.ended({
            promptTokens: usage?.promptTokens ?? 0,
            completionTokens: usage?.completionTokens ?? pieces,
            firstTokenMillis,
            durationMillis: millis() - startedAt,
            inFlight: activity.inFlight,
            ...outcome
          })
        }
        return Effect.succeed({
          ended: end,
          release: (exit: Exit.Exit<unknown, ExchangeError>) => end(endOf(exit)),
          progressed: (more: number) => {
            const now = clock.unsafeCurrentTimeMillis()
            if (firstTokenMillis === undefined && more > 0) firstTokenMillis = millis() - startedAt
            pieces += more
            activity.lastProgressAt = now
            own.progressed(more, now)
          }
        })
      })

    return {
      stats,
      use: (engine, work) =>
        Effect.acquireUseRelease(acquire(engine), work, ({ release }, exit) => Effect.sync(() => release(exit))),
      watched: (work, watched) => Effect.raceFirst(work, Effect.mapError(StallWatch.watch(watched, limits), stalled))
    }
  })
