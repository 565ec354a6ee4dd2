/** Pulling a model into a running Ollama. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as EngineHttp from "../../chat/EngineHttp.js"
import * as Backoff from "../../effect/Backoff.js"
import * as Bytes from "../../text/Bytes.js"
import { oneLine } from "../../text/Printable.js"
import { ModelUnavailable } from "../Engine.js"
import type { EngineAddress, OnProgress } from "../EngineDriver.js"
import type * as EngineStatus from "../EngineStatus.js"
import { PullLine } from "./OllamaApi.js"
import { ofPull } from "./OllamaDiagnosis.js"

/** How one attempt ended: `undefined` for success, and the bytes that were there by then. */
interface Attempt {
  readonly error: string | undefined
  readonly done: number
}

/** Consecutive failed pulls without new bytes before the pull is given up. */
const fruitlessPulls = 5
/** A pull without a line for this long has failed. */
const inactivity = Duration.minutes(2)
/** The minimum time between two progress reports. */
const reportMillis = 250
/** Layers of one model whose bytes are counted. */
const maxLayers = 1000
const backoff: Backoff.BackoffOptions = { base: "1 second", cap: "30 seconds" }

const decodeLine = Schema.decodeUnknownEither(PullLine)

/** A number of bytes, whatever was sent. */
const byteCount = (value = 0): number => Number.isSafeInteger(value) && value > 0 ? value : 0

/** The bytes of a pull, over its layers. */
const makeLayers = () => {
  const layers = new Map<string, { readonly done: number; readonly total: number }>()
  return {
    add: ({ completed, digest, total }: PullLine) => {
      if (digest === undefined || total === undefined) return
      if (layers.size < maxLayers || layers.has(digest)) {
        layers.set(digest, { done: byteCount(completed), total: byteCount(total) })
      }
    },
    sum: (): EngineStatus.Bytes & { readonly total: number } => {
      let [done, total] = [0, 0]
      for (const layer of layers.values()) {
        done += layer.done
        total += layer.total
      }
      return { done: Math.min(done, Number.MAX_SAFE_INTEGER), total: Math.min(total, Number.MAX_SAFE_INTEGER) }
    }
  }
}

const attempt = (
  { apiKey, baseUrl }: EngineAddress,
  model: string,
  onProgress: OnProgress
): Effect.Effect<Attempt, EngineHttp.EngineUnreachable> =>
  Effect.scoped(Effect.gen(function*() {
    const layers = makeLayers()
    let reported = { at: 0, done: 0, status: "" }
    const { next, status } = yield* EngineHttp.lines({
      method: "POST",
      url: `${baseUrl}/api/pull`,
      apiKey,
      body: { model, stream: true }
    })
    while (true) {
      const text = yield* next.pipe(Effect.timeoutFail({
        duration: inactivity,
        onTimeout: () => new EngineHttp.EngineUnreachable({ reason: "no progress for 2 minutes" })
      }))
      const { done } = layers.sum()
      if (text === undefined) {
        return { error: status === 200 ? "the answer ended before the pull did" : `status ${status}`, done }
      }
      const decoded = decodeLine(text)
      if (Either.isLeft(decoded)) return { error: `an answer that is not understood: ${oneLine(text, 200)}`, done }
      const line = decoded.right
      // Errors come with status 200 too: only one line is success.
      if (line.error !== undefined) return { error: line.error, done }
      if (line.status === "success") return { error: undefined, done }
      layers.add(line)
      const bytes = layers.sum()
      const now = yield* Clock.currentTimeMillis
      // Ollama repeats lines many times a second, also when no byte has come.
      const isNews = line.digest === undefined
        ? line.status !== reported.status
        : bytes.done !== reported.done && now - reported.at >= reportMillis
      if (!isNews) continue
      reported = { at: now, done: bytes.done, status: line.status ?? "" }
      yield* onProgress(
        bytes.total === 0
          ? `Pulling the model ${model}: ${oneLine(line.status ?? "", 100)}`
          : `Pulling the model ${model}: ${Bytes.format(bytes.done)} of ${Bytes.format(bytes.total)}`,
        bytes.total === 0 ? undefined : bytes
      )
    }
  }))

const endOf = (address: EngineAddress, model: string, onProgress: OnProgress): Effect.Effect<Attempt> =>
  Effect.catchAll(attempt(address, model, onProgress), ({ reason }) => Effect.succeed({ error: reason, done: -1 }))

/** Pulls once; for a request that waits. */
export const once = (address: EngineAddress, model: string): Effect.Effect<void, ModelUnavailable> =>
  Effect.flatMap(
    endOf(address, model, () => Effect.void),
    ({ error }) => error === undefined ? Effect.void : new ModelUnavailable({ diagnosis: ofPull(model, error) })
  )

/** Pulls until the model is complete, through transient failures; each attempt resumes the one before. */
export const untilComplete = (
  address: EngineAddress,
  model: string,
  onProgress: OnProgress
): Effect.Effect<void, ModelUnavailable> => {
  const from = (best: number, fruitless: number): Effect.Effect<void, ModelUnavailable> =>
    Effect.gen(function*() {
      const { done, error } = yield* endOf(address, model, onProgress)
      if (error === undefined) return
      const diagnosis = ofPull(model, error)
      const inVain = done > best ? 0 : fruitless + 1
      if (diagnosis.lasting || inVain >= fruitlessPulls) return yield* new ModelUnavailable({ diagnosis })
      const wait = Backoff.wait(backoff, inVain + 1)
      yield* Effect.logWarning(`${diagnosis.message} Resuming the pull in ${Duration.toSeconds(wait)} s`)
      yield* Effect.sleep(wait)
      return yield* from(Math.max(best, done), inVain)
    })
  return from(-1, 0)
}
