/** What came of the requests to each engine: as metrics, and as the figures that are reported upstream. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type { EngineName } from "../engine/Engine.js"
import type { EngineFigures } from "../node/Node.js"
import * as Rate from "../text/Rate.js"

const millis = MetricBoundaries.exponential({ start: 1, factor: 2, count: 18 })

export const requests = Metric.counter("orchion_inference_requests", {
  description: "Requests that an engine was asked",
  incremental: true
})
/** Tagged with the kind of the error. */
export const errors = Metric.counter("orchion_inference_errors", {
  description: "Requests that did not end well",
  incremental: true
})
export const cancellations = Metric.counter("orchion_inference_cancellations", {
  description: "Requests whose caller did not wait for the end",
  incremental: true
})
export const promptTokens = Metric.counter("orchion_inference_prompt_tokens", { incremental: true })
export const completionTokens = Metric.counter("orchion_inference_completion_tokens", { incremental: true })
export const inFlight = Metric.gauge("orchion_inference_in_flight", { description: "Requests that an engine works on" })
export const firstToken = Metric.histogram(
  "orchion_inference_first_token_ms",
  millis,
  "From the request to the first piece of its answer"
)
export const duration = Metric.histogram("orchion_inference_duration_ms", millis, "From the request to its end")

/** So many of the last requests are what medians are taken of. */
const remembered = 128

const median = (values: ReadonlyArray<number>): number | undefined =>
  values.length === 0 ? undefined : [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]

/** One engine's counts. The metrics are told at a request's end, so that a token costs an addition. */
export interface EngineMeter {
  /** `inFlight` is the engine's, with this one. */
  readonly asked: (inFlight: number) => void
  /** A request was refused before the engine was asked. */
  readonly refused: (kind: string) => void
  /** Pieces of text that came now: tokens, as near as can be told before the end. */
  readonly progressed: (pieces: number, nowMillis: number) => void
  readonly ended: (request: EndedRequest) => void
  readonly figures: (inFlight: number, nowMillis: number) => EngineFigures
}

export interface EndedRequest {
  /** The kind of the error; absent when all was well. */
  readonly error?: string
  readonly cancelled?: boolean
  readonly promptTokens: number
  readonly completionTokens: number
  readonly firstTokenMillis: number | undefined
  readonly durationMillis: number
  /** Of the engine, without this one. */
  readonly inFlight: number
}

export const meter = (engine: EngineName): EngineMeter => {
  const metrics = {
    requests: Metric.tagged(requests, "engine", engine),
    errors: Metric.tagged(errors, "engine", engine),
    cancellations: Metric.tagged(cancellations, "engine", engine),
    promptTokens: Metric.tagged(promptTokens, "engine", engine),
    completionTokens: Metric.tagged(completionTokens, "engine", engine),
    inFlight: Metric.tagged(inFlight, "engine", engine),
    firstToken: Metric.tagged(firstToken, "engine", engine),
    duration: Metric.tagged(duration, "engine", engine)
  }
  const rate = Rate.make()
  const firstTokens: Array<number> = []
  const durations: Array<number> = []
  const total = { requests: 0, errors: 0, promptTokens: 0, completionTokens: 0 }
  const byKind = new Map<string, number>()

  const remember = (values: Array<number>, value: number) => {
    values.push(value)
    if (values.length > remembered) values.shift()
  }
  const failed = (kind: string) => {
    total.errors += 1
    byKind.set(kind, (byKind.get(kind) ?? 0) + 1)
    Metric.tagged(metrics.errors, "kind", kind).unsafeUpdate(1, [])
  }

  return {
    asked: (inFlight) => {
      total.requests += 1
      metrics.inFlight.unsafeUpdate(inFlight, [])
    },
    refused: failed,
    progressed: (pieces, now) => rate.add(pieces, now),
    ended: (request) => {
      total.promptTokens += request.promptTokens
      total.completionTokens += request.completionTokens
      metrics.requests.unsafeUpdate(1, [])
      metrics.promptTokens.unsafeUpdate(request.promptTokens, [])
      metrics.completionTokens.unsafeUpdate(request.completionTokens, [])
      metrics.inFlight.unsafeUpdate(request.inFlight, [])
      metrics.duration.unsafeUpdate(request.durationMillis, [])
      if (request.firstTokenMillis !== undefined) {
        remember(firstTokens, request.firstTokenMillis)
        metrics.firstToken.unsafeUpdate(request.firstTokenMillis, [])
      }
      if (request.error !== undefined) failed(request.error)
      else if (request.cancelled === true) metrics.cancellations.unsafeUpdate(1, [])
      else remember(durations, request.durationMillis)
    },
    figures: (inFlight, now) => {
      const firstTokenMs = median(firstTokens)
      const durationMs = median(durations)
      return {
        ...total,
        errorsByKind: [...byKind].map(([kind, count]) => ({ kind, count })),
        inFlight,
        tokensPerSecond: Math.round(rate.perSecond(now) * 10) / 10,
        ...(firstTokenMs === undefined ? {} : { firstTokenMs: Math.round(firstTokenMs * 10) / 10 }),
        ...(durationMs === undefined ? {} : { durationMs: Math.round(durationMs) })
      }
    }
  }
}
