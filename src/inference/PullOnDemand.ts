/** Pulls requested models that an engine does not have yet: one pull per model, however many requests wait. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ModelName from "../chat/ModelName.js"
import * as Shared from "../effect/Shared.js"
import type { EngineName, Engines, ModelUnavailable as Unavailable, RunningEngine } from "../engine/Engine.js"

/** A model could not be pulled. */
export class ModelUnavailable extends Data.TaggedError("ModelUnavailable")<{
  /** The registry does not have the model, or denies access: a retry will not help. */
  readonly isUnknown: boolean
  readonly reason: string
}> {
  override get message(): string {
    return this.reason
  }
}

export interface PullOnDemand {
  /** Ends when the engine has the model. The pull is interrupted when its last caller leaves. */
  readonly pull: (engine: RunningEngine, model: string) => Effect.Effect<void, ModelUnavailable>
}

/** The limit of concurrent pulls: any name may be requested. */
const maxPulls = 4

/** Registry errors about the model itself: no such model, or no access. */
const unknownCauses: ReadonlySet<string> = new Set(["model-not-found", "model-access"])

const unavailable = ({ diagnosis: { cause, message } }: Unavailable) =>
  new ModelUnavailable({ isUnknown: unknownCauses.has(cause), reason: message.replace(/\.$/, "") })

/** Whether it is a name that a registry could know. */
export const canBePulled = (model: string): boolean => model.length <= 200 && /^\w[\w.:/-]*$/.test(model)

export const make = (
  engines: Pick<Engines["Type"], "current">
): Effect.Effect<PullOnDemand, never, Scope.Scope> =>
  Effect.gen(function*() {
    let pulls = 0
    const fetch = (name: EngineName, model: string): Effect.Effect<void, ModelUnavailable> =>
      Effect.suspend(() => {
        const pull = engines.current().find((engine) => engine.name === name)?.pull
        return pull === undefined
          ? new ModelUnavailable({ isUnknown: false, reason: "the engine that could pull it is gone" })
          : Effect.mapError(pull(model), unavailable)
      })
    const logged = (name: EngineName, model: string) =>
      Effect.logInfo(`Pulling model ${model} on request`).pipe(
        Effect.zipRight(fetch(name, model)),
        Effect.tapBoth({
          onSuccess: () => Effect.logInfo(`Pulled model ${model}`),
          onFailure: ({ reason }) => Effect.logWarning(`Could not pull model ${model}: ${reason}`)
        }),
        Effect.annotateLogs("model", model)
      )
    // Shared acquires resources uninterruptibly; a pull without waiters must end.
    const pull = (key: string) =>
      Effect.interruptible(Effect.acquireUseRelease(
        Effect.suspend(() =>
          pulls < maxPulls ? Effect.sync(() => pulls += 1) : new ModelUnavailable({
            isUnknown: false,
            reason: `${maxPulls} other models are being pulled; try again later`
          })
        ),
        () => {
          const [name = "", model = ""] = key.split(" ")
          return logged(name, model)
        },
        () => Effect.sync(() => pulls -= 1)
      ))
    const shared = yield* Shared.make({ lookup: pull, idleTimeToLive: Duration.zero })
    return {
      // Neither holds a blank.
      pull: Effect.fn("PullOnDemand.pull")((engine: RunningEngine, model: string) =>
        Effect.asVoid(Effect.scoped(shared.lease(`${engine.name} ${ModelName.withTag(model)}`)))
      )
    }
  })
