/** Models that Ollama does not have yet, pulled when they are asked for: once, however many wait for it. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberMap from "effect/FiberMap"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as EngineHttp from "../chat/EngineHttp.js"
import * as Ollama from "../engine/ollama/Ollama.js"

/** A model could not be pulled. */
export class PullFailed extends Data.TaggedError("PullFailed")<{
  /** Nothing is wrong with the machine: there is no such model to be had. */
  readonly unknown: boolean
  readonly reason: string
}> {
  override get message(): string {
    return this.reason
  }
}

export interface PullOnDemand {
  /** Ends when the model is there. The pull ends with the last one who waits for it. */
  readonly pull: (baseUrl: string, model: string) => Effect.Effect<void, PullFailed>
}

/** A pull that says nothing for this long has failed. */
const inactivity = Duration.minutes(2)

/** Pulls at once: what is asked for can be anything. */
const maxPulls = 4

const decodeLine = Schema.decodeUnknownEither(Ollama.PullLine)

const failed = (model: string, error: string) => {
  const { cause, message } = Ollama.pullDiagnosis(model, error)
  return new PullFailed({ unknown: cause === "model-not-found", reason: message })
}

const pullOnce = (baseUrl: string, model: string): Effect.Effect<void, PullFailed> =>
  Effect.scoped(Effect.gen(function*() {
    const { next, status } = yield* EngineHttp.lines({
      method: "POST",
      url: `${baseUrl}/api/pull`,
      body: { model, stream: true }
    })
    while (true) {
      const text = yield* next.pipe(Effect.timeoutFail({
        duration: inactivity,
        onTimeout: () => failed(model, "no progress for 2 minutes")
      }))
      if (text === undefined) {
        return yield* failed(model, status === 200 ? "the answer ended before the pull did" : `status ${status}`)
      }
      const line = decodeLine(text)
      if (Either.isLeft(line)) return yield* failed(model, "an answer that is not understood")
      if (line.right.error !== undefined) return yield* failed(model, line.right.error)
      // Errors come with status 200 too: only this line is success.
      if (line.right.status === "success") return
    }
  })).pipe(Effect.catchTag("EngineSilent", ({ reason }) => Effect.fail(failed(model, reason))))

interface Running {
  readonly done: Deferred.Deferred<void, PullFailed>
  waiting: number
}

export const make: Effect.Effect<PullOnDemand, never, Scope.Scope> = Effect.gen(function*() {
  const fibers = yield* FiberMap.make<string>()
  const running = new Map<string, Running>()

  const begin = (key: string, baseUrl: string, model: string) =>
    Effect.gen(function*() {
      const entry: Running = { done: yield* Deferred.make<void, PullFailed>(), waiting: 0 }
      running.set(key, entry)
      yield* Effect.logInfo(`Pulling the model ${model}, which was asked for`)
      yield* FiberMap.run(
        fibers,
        key,
        pullOnce(baseUrl, model).pipe(
          Effect.onExit((exit) => {
            if (running.get(key) === entry) running.delete(key)
            return Deferred.done(entry.done, exit)
          }),
          Effect.matchEffect({
            onSuccess: () => Effect.logInfo(`The model ${model} is here`),
            onFailure: ({ reason }) => Effect.logWarning(`The model ${model} could not be pulled: ${reason}`)
          })
        )
      )
      return entry
    })

  return {
    pull: (baseUrl, model) => {
      const key = `${baseUrl} ${Ollama.withTag(model)}`
      return Effect.acquireUseRelease(
        Effect.suspend(() => {
          const known = running.get(key)
          if (known === undefined && running.size >= maxPulls) {
            return new PullFailed({
              unknown: false,
              reason: `${maxPulls} other models are being pulled; try again later`
            })
          }
          return Effect.tap(
            known === undefined ? begin(key, baseUrl, model) : Effect.succeed(known),
            (entry) => Effect.sync(() => entry.waiting += 1)
          )
        }),
        ({ done }) => Deferred.await(done),
        (entry) =>
          Effect.suspend(() => {
            entry.waiting -= 1
            if (entry.waiting > 0 || running.get(key) !== entry) return Effect.void
            // Nobody waits any more; Ollama goes on from where it was when the model is asked for again.
            running.delete(key)
            return FiberMap.remove(fibers, key)
          })
      )
    }
  }
})
