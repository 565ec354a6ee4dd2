/** One run of an engine, as its phases see it. */
import type * as Context from "effect/Context"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type { Docker } from "../../docker/Docker.js"
import type { Finding } from "../../node/NodeCapabilities.js"
import type { Diagnosis } from "../Diagnosis.js"
import type { EngineBoard } from "../EngineBoard.js"
import type { EngineDriver, EngineProbe } from "../EngineDriver.js"
import * as EngineLog from "../EngineLog.js"
import type { ContainerPlan, EnginePlan } from "../EnginePlan.js"
import type { EngineTimes } from "../EngineTimes.js"
import type { Machine } from "../Machine.js"

/** What all phases of an engine need. */
export interface Supervision {
  readonly driver: EngineDriver
  readonly board: EngineBoard
  readonly docker: Context.Tag.Service<Docker>
  readonly machine: Context.Tag.Service<Machine>
  readonly nodeId: string
  readonly times: EngineTimes
  /** Its container is left running when the agent stops. */
  readonly keep: boolean
}

/** The run is over, and why. */
export class RunFailed extends Data.TaggedError("RunFailed")<{ readonly diagnosis: Diagnosis }> {
  override get message(): string {
    return this.diagnosis.message
  }
}

/** The observations of a run so far. Times are milliseconds since 1970. */
export interface Signs {
  /** When it last showed progress. */
  readonly lastSign: number
  /** When it logged that it accepts connections. */
  readonly upSince: number | undefined
  readonly readySince: number | undefined
  /** The device that it logged. */
  readonly device: string | undefined
  /** Whether its API says that it uses the GPU. */
  readonly seen: ReadonlyArray<Finding>
}

export interface EngineRun<P extends EnginePlan = EnginePlan> {
  readonly supervision: Supervision
  readonly plan: P
  readonly probe: EngineProbe
  readonly startedAt: number
  readonly signs: Ref.Ref<Signs>
  /** Empty for an engine without a container. */
  readonly log: EngineLog.EngineLog
}

/** The run of an existing container. */
export interface ContainerRun extends EngineRun<ContainerPlan> {
  readonly containerId: string
  /** An earlier agent started it. */
  readonly adopted: boolean
}

export const make = <P extends EnginePlan>(supervision: Supervision, plan: P): Effect.Effect<EngineRun<P>> =>
  Effect.gen(function*() {
    const startedAt = yield* Clock.currentTimeMillis
    return {
      supervision,
      plan,
      probe: supervision.driver.probe(plan, supervision.times.checkDeadline),
      startedAt,
      signs: yield* Ref.make<Signs>({
        lastSign: startedAt,
        upSince: undefined,
        readySince: undefined,
        device: undefined,
        seen: []
      }),
      log: EngineLog.make(plan._tag === "Container" ? Object.values(plan.spec.secrets) : [])
    }
  })

/** Records a sign of life. */
export const sign = ({ signs }: EngineRun): Effect.Effect<void> =>
  Effect.flatMap(Clock.currentTimeMillis, (lastSign) => Ref.update(signs, (known) => ({ ...known, lastSign })))

/** A loop that passes its state from round to round until it fails. */
export const endlessly = <A, E>(initial: A, round: (known: A) => Effect.Effect<A, E>): Effect.Effect<never, E> =>
  Effect.zipRight(Effect.iterate(initial, { while: () => true, body: round }), Effect.never)
