/** What is asked of a running engine: whether it is ready, whether it lives, and whether it uses its GPU. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type { Finding } from "../node/NodeCapabilities.js"
import { format as formatBytes } from "../text/Bytes.js"
import type { Diagnosis } from "./Diagnosis.js"
import * as EngineHttp from "../chat/EngineHttp.js"
import { isServedBy } from "../chat/ModelName.js"
import type { EnginePlan } from "./EnginePlan.js"
import type { Bytes } from "./EngineStatus.js"
import * as Ollama from "./ollama/Ollama.js"
import * as Vllm from "./vllm/Vllm.js"

/** The engine runs, and what it is to serve cannot be had. */
export class NotToBeHad {
  readonly _tag = "NotToBeHad"
  constructor(readonly diagnosis: Diagnosis) {}
}

/** Tells how far the start is; each call is a sign of life. */
export type OnProgress = (detail: string, bytes?: Bytes) => Effect.Effect<void>

export interface EngineProbe {
  /** Ends when the engine answers for its model: with the names that it answers to. */
  readonly ready: (onProgress: OnProgress) => Effect.Effect<ReadonlyArray<string>, NotToBeHad>
  /** One check of a ready engine, with the names that it answers to now. */
  readonly check: Effect.Effect<ReadonlyArray<string>, EngineHttp.EngineSilent>
  /** Whether one of these names is what it is to serve. */
  readonly serves: (models: ReadonlyArray<string>) => boolean
  /** Asked now and then: does it use the GPU that it was given? `undefined` when nothing is loaded that would tell. */
  readonly look: Effect.Effect<ReadonlyArray<Finding> | undefined>
  /**
   * How many requests it works on and how many tokens it has made, where it tells: one that works on requests and
   * makes no tokens is hung, whatever it says of its health.
   */
  readonly load: Effect.Effect<Vllm.Load | undefined>
  /** What a log line says of how far the start is. */
  readonly stageOf: (line: string) => string | undefined
  /** The kind of device that it computes on, where a log line says so: `cuda`, `rocm`, `cpu`. */
  readonly deviceOf: (line: string) => string | undefined
  /** Lines that only say that the agent itself asked. */
  readonly isNoise: (line: string) => boolean
}

const readyInterval = "500 millis"
const listInterval = "1 second"

const expectOk = (reply: EngineHttp.Reply, what: string): Effect.Effect<string, EngineHttp.EngineSilent> =>
  reply.status === 200
    ? Effect.succeed(reply.body)
    : Effect.fail(new EngineHttp.EngineSilent({ reason: `${what} answers with status ${reply.status}` }))

const ModelList = Schema.parseJson(Schema.Struct({ data: Schema.Array(Schema.Struct({ id: Schema.String })) }))
const decodeModelList = Schema.decodeUnknownEither(ModelList)

const again = <A, E>(effect: Effect.Effect<A | undefined, E>, interval: "500 millis" | "1 second"): Effect.Effect<A> =>
  Effect.gen(function*() {
    while (true) {
      const result = yield* Effect.either(effect)
      if (Either.isRight(result) && result.right !== undefined) return result.right
      yield* Effect.sleep(interval)
    }
  })

export const vllm = (
  plan: EnginePlan,
  names: ReadonlyArray<string>,
  checkDeadline: Duration.Duration
): EngineProbe => {
  const get = (path: string) =>
    Effect.flatMap(
      EngineHttp.ask({ method: "GET", url: `${plan.baseUrl}${path}`, apiKey: plan.apiKey }, checkDeadline),
      (reply) => expectOk(reply, path)
    )
  const models = Effect.map(
    get("/v1/models"),
    (body): ReadonlyArray<string> => {
      const decoded = decodeModelList(body)
      return Either.isLeft(decoded) ? [] : decoded.right.data.map(({ id }) => id)
    }
  )
  const serves = (listed: ReadonlyArray<string>) => names.some((name) => listed.includes(name))
  // Health alone can be fine with an engine that hangs.
  const check = Effect.flatMap(
    Effect.zipRight(get("/health"), models),
    (listed) =>
      serves(listed)
        ? Effect.succeed(listed)
        : Effect.fail(new EngineHttp.EngineSilent({ reason: `it does not list ${names.join(", ")}` }))
  )
  return {
    ready: () => again(check, readyInterval),
    check,
    serves,
    look: Effect.succeed(undefined),
    load: Effect.orElseSucceed(Effect.map(get("/metrics"), Vllm.loadOf), () => undefined),
    stageOf: (line) => Vllm.stageOf(line),
    deviceOf: Vllm.platformOf,
    isNoise: Vllm.isNoise
  }
}

const decodePullLine = Schema.decodeUnknownEither(Ollama.PullLine)

/** A number of bytes, whatever was sent. */
const figure = (value = 0): number => Number.isSafeInteger(value) && value > 0 ? value : 0

/** How many pulls in a row may fail without a byte more than before. */
const fruitlessPulls = 5

export const ollama = (plan: EnginePlan, checkDeadline: Duration.Duration): EngineProbe => {
  const get = (path: string) =>
    Effect.flatMap(
      EngineHttp.ask({ method: "GET", url: `${plan.baseUrl}${path}` }, checkDeadline),
      (reply) => expectOk(reply, path)
    )
  const models = Effect.flatMap(get("/api/tags"), (body) => {
    const names = Ollama.modelsOf(body)
    return names === undefined
      ? Effect.fail(new EngineHttp.EngineSilent({ reason: "/api/tags answers with no list" }))
      : Effect.succeed(names)
  })

  /** One pull: the error that it ended with, `undefined` for success, and how many bytes are here by then. */
  const pullOnce = (onProgress: OnProgress) =>
    Effect.scoped(Effect.gen(function*() {
      /** By layer, in bytes. */
      const layers = new Map<string, Bytes>()
      const sum = (part: (bytes: Bytes) => number) => [...layers.values()].reduce((all, bytes) => all + part(bytes), 0)
      let told = 0
      let lastTold = 0
      const { next, status } = yield* EngineHttp.lines({
        method: "POST",
        url: `${plan.baseUrl}/api/pull`,
        body: { model: plan.model, stream: true }
      })
      while (true) {
        const text = yield* next
        const done = sum((bytes) => bytes.done)
        if (text === undefined) {
          return { error: status === 200 ? "the answer ended before the pull did" : `status ${status}`, done }
        }
        const decoded = decodePullLine(text)
        if (Either.isLeft(decoded)) return { error: `an answer that is not understood: ${text.slice(0, 200)}`, done }
        const line = decoded.right
        if (line.error !== undefined) return { error: line.error, done }
        if (line.status === "success") return { error: undefined, done }
        if (line.digest !== undefined && line.total !== undefined) {
          layers.set(line.digest, { done: figure(line.completed), total: figure(line.total) })
        }
        const bytes = { done: sum((bytes) => bytes.done), total: sum((bytes) => bytes.total ?? 0) }
        const now = yield* Clock.currentTimeMillis
        // Ollama writes a line for each of several parts many times a second, also when no byte has come.
        if (line.digest !== undefined && (bytes.done === told || now - lastTold < 250)) continue
        lastTold = now
        told = bytes.done
        yield* onProgress(
          bytes.total === 0
            ? `Pulling the model ${plan.model}: ${line.status ?? ""}`
            : `Pulling the model ${plan.model}: ${formatBytes(bytes.done)} of ${formatBytes(bytes.total)}`,
          bytes.total === 0 ? undefined : bytes
        )
      }
    }))

  const pull = (onProgress: OnProgress): Effect.Effect<void, NotToBeHad> =>
    Effect.gen(function*() {
      let best = -1
      let fruitless = 0
      while (true) {
        const ended = yield* Effect.catchAll(pullOnce(onProgress), ({ reason }) =>
          Effect.succeed({ error: reason, done: -1 }))
        if (ended.error === undefined) {
          return
        }
        const diagnosis = Ollama.pullDiagnosis(plan.model, ended.error)
        fruitless = ended.done > best ? 0 : fruitless + 1
        best = Math.max(best, ended.done)
        if (diagnosis.lasting || fruitless >= fruitlessPulls) {
          return yield* Effect.fail(new NotToBeHad(diagnosis))
        }
        const seconds = Math.min(30, 2 ** fruitless)
        yield* Effect.logWarning(`${diagnosis.message} Trying again in ${seconds} s, from where it was`)
        yield* Effect.sleep(`${seconds} seconds`)
      }
    })

  return {
    ready: (onProgress) =>
      Effect.gen(function*() {
        yield* again(Effect.as(get("/api/version"), true), readyInterval)
        yield* onProgress("Ollama answers")
        const present = yield* again(models, listInterval)
        if (!isServedBy({ models: present }, plan.model)) {
          yield* onProgress(`Pulling the model ${plan.model}`)
          yield* pull(onProgress)
          yield* onProgress(`Pulled ${plan.model}`)
        }
        const listed = yield* again(models, listInterval)
        if (isServedBy({ models: listed }, plan.model)) return listed
        return yield* Effect.fail(
          new NotToBeHad({
            cause: "model-not-found",
            message: `Ollama pulled ${plan.model}, and does not list it (it lists ${listed.join(", ") || "nothing"}).`,
            remedy: "Check --ollama-model.",
            lasting: false
          })
        )
      }),
    check: Effect.zipRight(get("/api/version"), models),
    serves: (listed) => isServedBy({ models: listed }, plan.model),
    look: plan.gpus === undefined
      ? Effect.succeed(undefined)
      : Effect.orElseSucceed(Effect.map(get("/api/ps"), Ollama.partlyOnCpu), () => undefined),
    load: Effect.succeed(undefined),
    stageOf: Ollama.stageOf,
    deviceOf: Ollama.libraryOf,
    isNoise: Ollama.isNoise
  }
}
