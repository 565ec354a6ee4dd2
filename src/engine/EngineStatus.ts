/** The states of an engine under the agent's care, and how they are reported. */
import * as Data from "effect/Data"
import type { EngineReport, EngineState } from "../node/Node.js"
import * as Diagnosis from "./Diagnosis.js"

/** How much of something is done, in bytes. */
export interface Bytes {
  readonly done: number
  /** Absent while it is not known. */
  readonly total?: number
}

/** Times are milliseconds since 1970. */
export type EngineStatus = Data.TaggedEnum<{
  /** Its image comes. */
  Pulling: { readonly detail: string; readonly bytes?: Bytes }
  /** Its container is made, or what must be there before is waited for. */
  Starting: { readonly detail: string }
  /** It runs and does not answer yet. */
  Loading: { readonly detail: string; readonly bytes?: Bytes }
  Ready: { readonly since: number; readonly models: ReadonlyArray<string> }
  /** It answered before, and has not for so many checks. */
  Unhealthy: { readonly since: number; readonly failedChecks: number; readonly detail: string }
  /** It ended, and is started again. */
  Restarting: { readonly attempt: number; readonly nextTryAt: number; readonly diagnosis: Diagnosis.Diagnosis }
  /** As `Restarting`, but nothing is likely to be different next time unless somebody acts. */
  Failed: { readonly attempt: number; readonly nextTryAt: number; readonly diagnosis: Diagnosis.Diagnosis }
  Stopped: {}
}>

export const EngineStatus = Data.taggedEnum<EngineStatus>()

const states: Readonly<Record<EngineStatus["_tag"], EngineState>> = {
  Pulling: "pulling",
  Starting: "starting",
  Loading: "loading",
  Ready: "ready",
  Unhealthy: "unhealthy",
  Restarting: "restarting",
  Failed: "failed",
  Stopped: "stopped"
}

export const stateOf = (status: EngineStatus): EngineState => states[status._tag]

export const detailOf = (status: EngineStatus): string => {
  switch (status._tag) {
    case "Pulling":
    case "Starting":
    case "Loading":
    case "Unhealthy":
      return status.detail
    case "Restarting":
    case "Failed":
      return Diagnosis.text(status.diagnosis)
    case "Ready":
    case "Stopped":
      return ""
  }
}

export const bytesOf = (status: EngineStatus): Bytes | undefined =>
  status._tag === "Pulling" || status._tag === "Loading" ? status.bytes : undefined

/** What is reported besides the state. */
export interface Facts {
  readonly name: string
  readonly model: string
  readonly restarts: number
  /** Absent while it is not known which image it will be. */
  readonly image?: string
  /** The last lines that it wrote before it failed; empty while it runs. */
  readonly recentLog: ReadonlyArray<string>
}

export const toReport = (status: EngineStatus, facts: Facts): EngineReport => {
  const bytes = bytesOf(status)
  return {
    name: facts.name,
    state: stateOf(status),
    models: status._tag === "Ready" ? status.models : [facts.model],
    detail: detailOf(status),
    restarts: facts.restarts,
    ...(facts.image === undefined ? {} : { image: facts.image }),
    ...(bytes === undefined ? {} : {
      doneBytes: bytes.done,
      ...(bytes.total === undefined || bytes.total === 0
        ? {}
        : { totalBytes: bytes.total, progress: Math.min(1, bytes.done / bytes.total) })
    }),
    ...(facts.recentLog.length === 0 ? {} : { recentLog: facts.recentLog })
  }
}
