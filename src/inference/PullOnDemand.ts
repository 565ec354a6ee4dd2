/** Models that an engine does not have yet, pulled when they are asked for: once, however many requests wait. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as EngineHttp from "../chat/EngineHttp.js"
import * as ModelName from "../chat/ModelName.js"
import * as Shared from "../effect/Shared.js"
import * as Ollama from "../engine/ollama/Ollama.js"

/** A model could not be pulled. */
export class ModelUnavailable extends Data.TaggedError("ModelUnavailable")<{
  /** The registry does not have the model, or does not give it out: a retry will not help. */
  readonly isUnknown: boolean
  readonly reason: string
}> {
  override get message(): string {
    return this.reason
  }
}

export interface PullOnDemand {
  /** Ends when the engine has the model. The pull is interrupted when nobody waits for it any more. */
  readonly pull: (baseUrl: string, model: string) => Effect.Effect<void, ModelUnavailable>
}

/** A pull without progress fails after this. */
const idleTimeout = Duration.minutes(2)

/** Pulls at once: any name may be asked for. */
const maxPulls = 4

const decodeLine = Schema.decodeUnknownEither(Ollama.PullLine)

const failed = (model: string, error: string) => {
  const { cause, message } = Ollama.pullDiagnosis(model, error)
  return new ModelUnavailable({
    isUnknown: cause === "model-not-found" || cause === "model-access",
    reason: message.replace(/\.$/, "")
  })
}

/** Whether it is a name that a registry could know. */
export const canBePulled = (model: string): boolean => model.length <= 200 && /^\w[\w.:/-]*$/.test(model)

const pullOnce = (baseUrl: string, model: string): Effect.Effect<void, ModelUnavailable> =>
  Effect.scoped(Effect.gen(function*() {
    const { next, status } = yield* EngineHttp.lines({
      method: "POST",
      url: `${baseUrl}/api/pull`,
      body: { model, stream: true }
    })
    while (true) {
      const text = yield* next.pipe(Effect.timeoutFail({
        duration: idleTimeout,
        onTimeout: () => failed(model, "no progress for 2 minutes")
      }))
      if (text === undefined) {
        return yield* failed(model, status === 200 ? "the answer ended before the pull did" : `HTTP status ${status}`)
      }
      const line = decodeLine(text)
      if (Either.isLeft(line)) return yield* failed(model, "an answer that is not understood")
      if (line.right.error !== undefined) return yield* failed(model, line.right.error)
      // Errors come with status 200 too: only this line is success.
      if (line.right.status === "success") return
    }
  })).pipe(Effect.catchTag("EngineSilent", ({ reason }) => failed(model, reason)))

export const make: Effect.Effect<PullOnDemand, never, Scope.Scope> = Effect.gen(function*() {
  let pulls = 0
  const logged = (baseUrl: string, model: string) =>
    Effect.logInfo(`Pulling model ${model}, which was requested`).pipe(
      Effect.zipRight(pullOnce(baseUrl, model)),
      Effect.tapBoth({
        onSuccess: () => Effect.logInfo(`Pulled model ${model}`),
        onFailure: ({ reason }) => Effect.logWarning(`Could not pull model ${model}: ${reason}`)
      }),
      Effect.annotateLogs("model", model)
    )
  // Shared makes its resources where nothing interrupts them; a pull that nobody waits for must end.
  const pull = (key: string) =>
    Effect.interruptible(Effect.acquireUseRelease(
      Effect.suspend(() =>
        pulls < maxPulls ? Effect.sync(() => pulls += 1) : new ModelUnavailable({
          isUnknown: false,
          reason: `${maxPulls} other models are being pulled; try again later`
        })
      ),
      () => {
        const [baseUrl = "", model = ""] = key.split(" ")
        return logged(baseUrl, model)
      },
      () => Effect.sync(() => pulls -= 1)
    ))
  const shared = yield* Shared.make({ lookup: pull, idleTimeToLive: Duration.zero })
  return {
    // Neither holds a blank.
    pull: Effect.fn("PullOnDemand.pull")((baseUrl: string, model: string) =>
      Effect.asVoid(Effect.scoped(shared.lease(`${baseUrl} ${ModelName.withTag(model)}`)))
    )
  }
})
