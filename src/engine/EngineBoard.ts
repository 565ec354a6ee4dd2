/** What is known of the engines now: written by who looks after them, read by everybody else. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { Finding } from "../node/NodeCapabilities.js"
import type { EngineReport } from "../node/Node.js"
import { type EngineActivity, type EngineName, Engines, type RunningEngine } from "./Engine.js"
import type { EnginePlan } from "./EnginePlan.js"
import * as Status from "./EngineStatus.js"

/** One engine's present. */
export interface Present {
  readonly name: EngineName
  readonly model: string
  readonly activity: EngineActivity
  readonly status: Status.EngineStatus
  /** Absent until it is planned for this machine. */
  readonly plan: EnginePlan | undefined
  /** Since the agent started. */
  readonly restarts: number
  /** The last lines of its last life, when that failed. */
  readonly recentLog: ReadonlyArray<string>
  readonly findings: ReadonlyArray<Finding>
}

/** What of an engine's present changes. */
export type Change = Partial<Omit<Present, "name" | "model" | "activity">>

export interface EngineBoard {
  readonly get: (name: EngineName) => Present
  readonly change: (name: EngineName, change: Change) => Effect.Effect<void>
  readonly engines: Context.Tag.Service<Engines>
  /** What a person should know of the engines now. */
  readonly findings: () => ReadonlyArray<Finding>
}

const runningOf = ({ activity, model, name, plan, status }: Present): RunningEngine => ({
  name,
  state: Status.stateOf(status),
  baseUrl: plan?.baseUrl ?? "",
  model,
  models: status._tag === "Ready" ? status.models : [],
  detail: Status.detailOf(status),
  activity,
  ...(plan?.apiKey === undefined ? {} : { apiKey: plan.apiKey })
})

const reportOf = ({ model, name, plan, recentLog, restarts, status }: Present): EngineReport =>
  Status.toReport(status, {
    name,
    model,
    restarts,
    recentLog,
    ...(plan === undefined ? {} : { image: plan.spec.image })
  })

export const make = (
  wanted: ReadonlyArray<{ readonly name: EngineName; readonly model: string }>
): Effect.Effect<EngineBoard> =>
  Effect.gen(function*() {
    const presents = new Map<EngineName, Present>(wanted.map(({ model, name }) => [name, {
      name,
      model,
      activity: { inFlight: 0, lastProgressAt: 0 },
      status: Status.EngineStatus.Starting({ detail: "" }),
      plan: undefined,
      restarts: 0,
      recentLog: [],
      findings: []
    }]))
    const all = () => [...presents.values()]
    let running = all().map(runningOf)
    // A reader that is slow sees the newest. (With a capacity of 1 a slow reader can take the newest from the others.)
    const reports = yield* PubSub.sliding<ReadonlyArray<EngineReport>>(2)

    const get = (name: EngineName): Present => {
      const present = presents.get(name)
      if (present === undefined) throw new Error(`${name} is not one of the engines`)
      return present
    }
    return {
      get,
      change: (name, change) =>
        Effect.suspend(() => {
          presents.set(name, { ...get(name), ...change })
          running = all().map(runningOf)
          return PubSub.publish(reports, all().map(reportOf))
        }),
      engines: Engines.of({
        current: () => running,
        reports: () => all().map(reportOf),
        changes: Stream.unwrapScoped(Effect.map(PubSub.subscribe(reports), (queue) =>
          Stream.concat(
            Stream.sync(() => all().map(reportOf)),
            Stream.fromQueue(queue)
          )))
      }),
      findings: () => all().flatMap(({ findings }) => findings)
    }
  })
