/** Models that an engine does not have yet, pulled when they are asked for: once, however many requests wait. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as ModelName from "../chat/ModelName.js"
import * as Shared from "../effect/Shared.js"
import type { EngineName, Engines, ModelUnavailable as Unavailable, RunningEngine } from "../engine/Engine.js"

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
  readonly pull: (engine: RunningEngine, model: string) => Effect.Effect<void, ModelUnavailable>
}

/** Pulls at once: any name may be asked for. */
const maxPulls = 4

/** What the registry says of the model itself: there is none of that name, or none for this node. */
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
      Effect.logInfo(`Pulling model ${model}, which was requested`).pipe(
        Effect.zipRight(fetch(name, model)),
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
