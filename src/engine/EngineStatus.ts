/** The states of an engine, the events that change them, and how each is reported. */
import * as Data from "effect/Data"
import type { EngineReport, EngineState } from "../node/Node.js"
import { cut } from "../text/Printable.js"
import * as Diagnosis from "./Diagnosis.js"

/** Progress in bytes. */
export interface Bytes {
  readonly done: number
  /** Absent while it is not known. */
  readonly total?: number
}

interface Progress {
  /** One sentence. */
  readonly detail: string
  readonly bytes?: Bytes
}

interface Retry {
  /** Failures in a row, this one included. */
  readonly attempt: number
  readonly nextTryAt: number
  readonly diagnosis: Diagnosis.Diagnosis
}

/** Times are milliseconds since 1970. */
export type EngineStatus = Data.TaggedEnum<{
  /** Its image is downloaded. */
  Pulling: Progress
  /** Its container is being created, or it waits for something that it needs. */
  Starting: { readonly detail: string }
  /** It is running but not serving yet. */
  Loading: Progress
  Ready: { readonly since: number; readonly models: ReadonlyArray<string> }
  /** It was ready and now fails its health checks. */
  Unhealthy: { readonly since: number; readonly failedChecks: number; readonly detail: string }
  /** It ended, and will be restarted. */
  Restarting: Retry
  /** Like `Restarting`, but a retry alone will most likely fail again. */
  Failed: Retry
  Stopped: {}
}>

export const EngineStatus = Data.taggedEnum<EngineStatus>()

/** What happens to an engine. Times are milliseconds since 1970. */
export type EngineEvent = Data.TaggedEnum<{
  /** It waits for something before it can start. */
  Waiting: { readonly detail: string }
  ImageProgress: Progress
  /** Its container runs. */
  Started: { readonly detail: string }
  /** A log line showed the progress of the start. */
  StageReached: { readonly detail: string }
  /** It loads its model: at its start, or again later. */
  LoadProgress: Progress
  Serving: { readonly since: number; readonly models: ReadonlyArray<string> }
  CheckFailed: { readonly at: number; readonly failedChecks: number; readonly detail: string }
  /** Its run is ending: it gets no more requests. */
  Ending: { readonly detail: string }
  RetryScheduled: Retry
  Shutdown: {}
}>

export const EngineEvent = Data.taggedEnum<EngineEvent>()

/** The state after an event. An event that does not fit the state leaves it unchanged. */
export const transition = (status: EngineStatus, event: EngineEvent): EngineStatus => {
  if (status._tag === "Stopped") return status
  switch (event._tag) {
    case "Waiting":
    case "Ending":
      return EngineStatus.Starting({ detail: event.detail })
    case "ImageProgress":
      return isRunning(status) ? status : EngineStatus.Pulling(progressOf(event))
    case "Started":
      return EngineStatus.Loading({ detail: event.detail })
    case "StageReached":
      return status._tag === "Loading" ? EngineStatus.Loading({ detail: event.detail }) : status
    case "LoadProgress":
      return EngineStatus.Loading(progressOf(event))
    case "Serving":
      return EngineStatus.Ready({ since: event.since, models: event.models })
    case "CheckFailed":
      return status._tag === "Ready" || status._tag === "Unhealthy"
        ? EngineStatus.Unhealthy({
          since: status._tag === "Unhealthy" ? status.since : event.at,
          failedChecks: event.failedChecks,
          detail: event.detail
        })
        : status
    case "RetryScheduled": {
      const { attempt, diagnosis, nextTryAt } = event
      const retry = { attempt, diagnosis, nextTryAt }
      return diagnosis.lasting ? EngineStatus.Failed(retry) : EngineStatus.Restarting(retry)
    }
    case "Shutdown":
      return EngineStatus.Stopped()
  }
}

const isRunning = ({ _tag }: EngineStatus): boolean => _tag === "Loading" || _tag === "Ready" || _tag === "Unhealthy"

const progressOf = ({ bytes, detail }: Progress): Progress => ({ detail, ...(bytes === undefined ? {} : { bytes }) })

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

/** Limits of the model names reported per engine, in number and characters: orchestrators refuse larger reports. */
export const maxReportedModels = 500
const maxReportedNameLength = 64 * 1024
/** The limit of a reported sentence, in characters. */
const maxDetailLength = 2000

/** The names that fit in a report, the engine's configured model among them. */
const reportable = (all: ReadonlyArray<string>, model = ""): ReadonlyArray<string> => {
  const isOwn = (name: string) => name === model || name === `${model}:latest`
  const names = all.length <= maxReportedModels ? all : [...all.filter(isOwn), ...all.filter((name) => !isOwn(name))]
  let length = 0
  const beyond = names.findIndex((name, index) => {
    length += name.length
    return index >= maxReportedModels || length > maxReportedNameLength
  })
  return beyond === -1 ? names : names.slice(0, beyond)
}

const plainDetailOf = (status: EngineStatus): string => {
  switch (status._tag) {
    case "Pulling":
    case "Starting":
    case "Loading":
    case "Unhealthy":
      return status.detail
    case "Restarting":
    case "Failed":
      return Diagnosis.text(status.diagnosis)
    case "Ready": {
      const reported = reportable(status.models).length
      return reported === status.models.length
        ? ""
        : `Only ${reported} of its ${status.models.length} models are listed`
    }
    case "Stopped":
      return ""
  }
}

export const detailOf = (status: EngineStatus): string => cut(plainDetailOf(status), maxDetailLength)

export const bytesOf = (status: EngineStatus): Bytes | undefined =>
  status._tag === "Pulling" || status._tag === "Loading" ? status.bytes : undefined

/** What is reported in addition to the state. */
export interface Facts {
  readonly name: string
  /** Empty where any model will do. */
  readonly model: string
  readonly restarts: number
  /** Absent while it is not known which image it will be, and for engines without a container. */
  readonly image?: string
  /** The last lines that it wrote before it failed; empty while it runs. */
  readonly recentLog: ReadonlyArray<string>
}

export const toReport = (status: EngineStatus, facts: Facts): EngineReport => {
  const bytes = bytesOf(status)
  return {
    name: facts.name,
    state: stateOf(status),
    models: status._tag === "Ready" ? reportable(status.models, facts.model) : facts.model === "" ? [] : [facts.model],
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
