/** The current state of the engines: written by their supervisor, read by everyone else. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as MutableRef from "effect/MutableRef"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import type { Finding } from "../node/NodeCapabilities.js"
import type { EngineReport } from "../node/Node.js"
import type { Engines } from "./Engine.js"
import { type EngineActivity, type EngineName, type RunningEngine } from "./Engine.js"
import type { EngineDriver } from "./EngineDriver.js"
import type { EnginePlan } from "./EnginePlan.js"
import * as Status from "./EngineStatus.js"

/** The state of one engine. */
export interface EngineRecord {
  readonly driver: Pick<EngineDriver, "name" | "title" | "model" | "maxChoices" | "pull">
  readonly activity: EngineActivity
  readonly status: Status.EngineStatus
  /** Absent until it is planned for this machine. */
  readonly plan: EnginePlan | undefined
  /** Since the agent started. */
  readonly restarts: number
  /** The last lines of its last run, when that failed. */
  readonly recentLog: ReadonlyArray<string>
  readonly findings: ReadonlyArray<Finding>
}

/** A change of it: an event advances its status, the rest is replaced. */
export type Change = Partial<Pick<EngineRecord, "findings" | "plan" | "recentLog" | "restarts">> & {
  readonly event?: Status.EngineEvent
}

export interface EngineBoard {
  /** A new engine; one of that name is replaced. */
  readonly add: (driver: EngineRecord["driver"]) => Effect.Effect<void>
  readonly remove: (name: EngineName) => Effect.Effect<void>
  readonly has: (name: EngineName) => boolean
  /** Dies for an engine that was never added. */
  readonly get: (name: EngineName) => EngineRecord
  readonly change: (name: EngineName, change: Change) => Effect.Effect<void>
  readonly engines: Pick<Context.Tag.Service<Engines>, "changes" | "current" | "reports">
  /** The current findings about the engines. */
  readonly findings: () => ReadonlyArray<Finding>
}

const newRecord = (driver: EngineRecord["driver"]): EngineRecord => ({
  driver,
  activity: { inFlight: 0, lastProgressAt: 0 },
  status: Status.EngineStatus.Starting({ detail: "" }),
  plan: undefined,
  restarts: 0,
  recentLog: [],
  findings: []
})

const runningOf = ({ activity, driver, plan, status }: EngineRecord): RunningEngine => {
  const { maxChoices, model, name, pull, title } = driver
  return {
    name,
    title,
    state: Status.stateOf(status),
    baseUrl: plan?.baseUrl ?? "",
    model,
    models: status._tag === "Ready" ? status.models : [],
    detail: Status.detailOf(status),
    activity,
    ...(plan?.apiKey === undefined ? {} : { apiKey: plan.apiKey }),
    ...(maxChoices === undefined ? {} : { maxChoices }),
    ...(pull === undefined || plan === undefined ? {} : { pull: (model) => pull(plan, model) })
  }
}

const reportOf = ({ driver: { model, name }, plan, recentLog, restarts, status }: EngineRecord): EngineReport =>
  Status.toReport(status, {
    name,
    model,
    restarts,
    recentLog,
    ...(plan?._tag === "Container" ? { image: plan.spec.image } : {})
  })

interface State {
  readonly records: ReadonlyMap<EngineName, EngineRecord>
  readonly running: ReadonlyArray<RunningEngine>
}

const stateOf = (records: State["records"]): State => ({ records, running: [...records.values()].map(runningOf) })

const reportsOf = ({ records }: State): ReadonlyArray<EngineReport> => [...records.values()].map(reportOf)

const applied = (record: EngineRecord, { event, ...rest }: Change): EngineRecord => ({
  ...record,
  ...rest,
  ...(event === undefined ? {} : { status: Status.transition(record.status, event) })
})

export const make = (drivers: ReadonlyArray<EngineRecord["driver"]> = []): Effect.Effect<EngineBoard> =>
  Effect.gen(function*() {
    // Requests read this without an Effect; the stream notifies those who wait for changes.
    const now = MutableRef.make(stateOf(new Map(drivers.map((driver) => [driver.name, newRecord(driver)]))))
    const published = yield* SubscriptionRef.make(MutableRef.get(now))
    const update = (change: (records: Map<EngineName, EngineRecord>) => void) =>
      Effect.suspend(() => {
        const records = new Map(MutableRef.get(now).records)
        change(records)
        MutableRef.set(now, stateOf(records))
        return SubscriptionRef.update(published, () => MutableRef.get(now))
      })
    const set = (name: EngineName, record: () => EngineRecord) => update((records) => void records.set(name, record()))
    const get = (name: EngineName): EngineRecord => {
      const record = MutableRef.get(now).records.get(name)
      if (record === undefined) throw new Error(`${name} is not one of the engines`)
      return record
    }
    return {
      add: (driver) => set(driver.name, () => newRecord(driver)),
      remove: (name) => update((records) => void records.delete(name)),
      has: (name) => MutableRef.get(now).records.has(name),
      get,
      change: (name, change) => set(name, () => applied(get(name), change)),
      engines: {
        current: () => MutableRef.get(now).running,
        reports: () => reportsOf(MutableRef.get(now)),
        changes: published.changes.pipe(
          Stream.map(reportsOf),
          Stream.buffer({ capacity: 1, strategy: "sliding" })
        )
      },
      findings: () => [...MutableRef.get(now).records.values()].flatMap(({ findings }) => findings)
    }
  })
