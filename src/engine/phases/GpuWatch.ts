/** For an engine that runs on the CPU for lack of a GPU: watches for one, as drivers may load late. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ContainerPlan } from "../EnginePlan.js"
import type { GpuSelection } from "../GpuSelection.js"
import type { MachineFacts } from "../Machine.js"
import { endlessly, type Supervision } from "./EngineRun.js"

/** A GPU that became available, to restart the engine with. */
export interface GpuOffer {
  readonly _tag: "GpuOffer"
  /** Which GPUs, by which runtime: the same offer has the same key. */
  readonly key: string
}

/** The GPUs that an engine would get; `undefined` when a container with them could not be started. */
export const offerOf = (gpus: GpuSelection | undefined, { capabilities }: MachineFacts): GpuOffer | undefined => {
  if (gpus === undefined) return undefined
  const { containerRuntime } = capabilities
  if (gpus.vendor === "nvidia" && containerRuntime?.gpuReady === false) return undefined
  return {
    _tag: "GpuOffer",
    key: JSON.stringify([
      gpus.vendor,
      gpus.devices,
      gpus.gpus.map(({ model, uuid }) => uuid ?? model),
      containerRuntime
    ])
  }
}

/** The offer that this machine makes now. */
const look = ({ driver, machine, nodeId }: Supervision): Effect.Effect<GpuOffer | undefined> =>
  Effect.gen(function*() {
    const facts = yield* machine.look(nodeId)
    const plan = yield* Effect.either(driver.plan(facts))
    return Either.isRight(plan) && plan.right._tag === "Container" ? offerOf(plan.right.gpus, facts) : undefined
  })

/**
 * Fails with an offer that was present twice in a row while no request was in flight: the engine is restarted for it.
 * Never with `declined`, with which the engine failed to start.
 */
export const phase = (
  supervision: Supervision,
  plan: ContainerPlan,
  declined: string | undefined
): Effect.Effect<never, GpuOffer> => {
  const { board, driver, times } = supervision
  if (plan.gpus !== undefined || !driver.wantsGpu) return Effect.never
  return endlessly<string | undefined, GpuOffer>(undefined, (before) =>
    Effect.gen(function*() {
      yield* Effect.sleep(times.gpuInterval)
      const offer = yield* look(supervision)
      if (offer === undefined || offer.key === declined) return undefined
      if (offer.key !== before || board.get(driver.name).activity.inFlight > 0) return offer.key
      yield* Effect.logInfo(`GPU detected; restarting ${driver.title} to use it`)
      return yield* Effect.fail(offer)
    }))
}
