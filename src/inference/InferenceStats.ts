/** Counters and rates of the requests to each engine: as metrics, and as the stats that are reported upstream. */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import type { EngineName } from "../engine/Engine.js"
import type { EngineFigures } from "../node/Node.js"
import * as Rate from "../text/Rate.js"

const millis = MetricBoundaries.exponential({ start: 1, factor: 2, count: 18 })

export const requests = Metric.counter("orchion_inference_requests", {
  description: "Completed requests to an engine",
  incremental: true
})
/** Tagged with the kind of the error. */
export const errors = Metric.counter("orchion_inference_errors", {
  description: "Requests that failed",
  incremental: true
})
export const cancellations = Metric.counter("orchion_inference_cancellations", {
  description: "Requests cancelled by their caller, or because their reader stalled",
  incremental: true
})
export const promptTokens = Metric.counter("orchion_inference_prompt_tokens", { incremental: true })
export const completionTokens = Metric.counter("orchion_inference_completion_tokens", { incremental: true })
export const inFlight = Metric.gauge("orchion_inference_in_flight", { description: "Requests in flight at an engine" })
export const firstToken = Metric.histogram(
  "orchion_inference_first_token_ms",
  millis,
  "From the request to the first piece of its answer, in milliseconds"
)
export const duration = Metric.histogram(
  "orchion_inference_duration_ms",
  millis,
  "From the request to the end of its answer, in milliseconds"
)

/** Medians are over the last requests. */
const medianOf = 128

/**
 * The median of the last values. `Metric.summary` would do, but a metric is global to the process, which may run
 * several agents.
 */
const recentMedian = () => {
  const values: Array<number> = []
  return {
    add: (value: number) => {
      values.push(value)
      if (values.length > medianOf) values.shift()
    },
    get: (): number | undefined =>
      values.length === 0 ? undefined : [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
  }
}

export interface EndedRequest {
  /** The kind of the error; absent where there was none. */
  readonly error?: string
  readonly isCancelled?: boolean
  readonly promptTokens: number
  readonly completionTokens: number
  readonly firstTokenMillis: number | undefined
  readonly durationMillis: number
  /** The engine's requests in flight, without this one. */
  readonly inFlight: number
}

/** One engine's stats. Metrics are updated at a request's end, so that a token costs an addition. */
export interface EngineStats {
  /** A request starts; `inFlight` is the engine's, with this one. */
  readonly started: (inFlight: number) => void
  /** A request was refused before the engine was asked. */
  readonly refused: (kind: string) => void
  /** Pieces of text arrived: an estimate of the tokens before the end. Milliseconds since 1970. */
  readonly progressed: (pieces: number, nowMillis: number) => void
  readonly ended: (request: EndedRequest) => void
  readonly report: (inFlight: number, nowMillis: number) => EngineFigures
}

const metricsOf = (engine: EngineName) => ({
  requests: Metric.tagged(requests, "engine", engine),
  errors: Metric.tagged(errors, "engine", engine),
  cancellations: Metric.tagged(cancellations, "engine", engine),
  promptTokens: Metric.tagged(promptTokens, "engine", engine),
  completionTokens: Metric.tagged(completionTokens, "engine", engine),
  inFlight: Metric.tagged(inFlight, "engine", engine),
  firstToken: Metric.tagged(firstToken, "engine", engine),
  duration: Metric.tagged(duration, "engine", engine)
})

const ofEngine = (engine: EngineName): EngineStats => {
  const metrics = metricsOf(engine)
  const rate = Rate.make()
  const firstTokens = recentMedian()
  const durations = recentMedian()
  const total = { requests: 0, errors: 0, promptTokens: 0, completionTokens: 0 }
  const byKind = new Map<string, number>()

  const failed = (kind: string) => {
    total.errors += 1
    byKind.set(kind, (byKind.get(kind) ?? 0) + 1)
    Metric.tagged(metrics.errors, "kind", kind).unsafeUpdate(1, [])
  }

  return {
    started: (inFlight) => {
      total.requests += 1
      metrics.inFlight.unsafeUpdate(inFlight, [])
    },
    refused: failed,
    progressed: rate.add,
    ended: (request) => {
      total.promptTokens += request.promptTokens
      total.completionTokens += request.completionTokens
      metrics.requests.unsafeUpdate(1, [])
      metrics.promptTokens.unsafeUpdate(request.promptTokens, [])
      metrics.completionTokens.unsafeUpdate(request.completionTokens, [])
      metrics.inFlight.unsafeUpdate(request.inFlight, [])
      metrics.duration.unsafeUpdate(request.durationMillis, [])
      if (request.firstTokenMillis !== undefined) {
        firstTokens.add(request.firstTokenMillis)
        metrics.firstToken.unsafeUpdate(request.firstTokenMillis, [])
      }
      if (request.error !== undefined) failed(request.error)
      else if (request.isCancelled === true) metrics.cancellations.unsafeUpdate(1, [])
      else durations.add(request.durationMillis)
    },
    report: (inFlight, now) => {
      const firstTokenMs = firstTokens.get()
      const durationMs = durations.get()
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

export interface InferenceStats {
  /** The stats of the engine with this name. There are as many as a node has engines. */
  readonly of: (engine: EngineName) => EngineStats
}

export const make = (): InferenceStats => {
  const byName = new Map<EngineName, EngineStats>()
  return {
    of: (engine) => {
      const known = byName.get(engine)
      if (known !== undefined) return known
      const stats = ofEngine(engine)
      byName.set(engine, stats)
      return stats
    }
  }
}
