/** The progress of starting engines: bars on a terminal, a line every 10 s elsewhere. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { AgentStatus } from "../agent/AgentStatus.js"
import { titleOf } from "../engine/drivers.js"
import type { EngineReport } from "../node/Node.js"
import * as Bytes from "../text/Bytes.js"
import * as StatusLines from "./StatusLines.js"

/** The transfer rate, from the reports of the last seconds. */
export interface Speed {
  /** Bytes a second; `undefined` while it is not known. */
  readonly of: (name: string, now: number) => number | undefined
  readonly add: (report: EngineReport, now: number) => void
}

/** A rate over less would jump, over more would lag. */
const windowMillis = 5_000

export const makeSpeed = (): Speed => {
  const samples = new Map<string, Array<{ readonly at: number; readonly done: number }>>()
  return {
    of: (name, now) => {
      const [first, last] = [samples.get(name)?.at(0), samples.get(name)?.at(-1)]
      if (first === undefined || last === undefined || last.at - first.at < 500) return undefined
      // Until now, so that what has stalled slows down to nothing.
      return Math.max(0, (last.done - first.done) / ((Math.max(now, last.at) - first.at) / 1000))
    },
    add: ({ doneBytes, name, state }, now) => {
      const known = samples.get(name) ?? []
      if (doneBytes === undefined || (state !== "pulling" && state !== "loading")) {
        samples.delete(name)
        return
      }
      // Something else is counted now: another phase, another model.
      if (doneBytes < (known.at(-1)?.done ?? 0)) known.length = 0
      known.push({ at: now, done: doneBytes })
      while (known.length > 2 && now - (known[0]?.at ?? now) > windowMillis) known.shift()
      samples.set(name, known)
    }
  }
}

const barWidth = 24

/** `[██████░░░░]` of a part from 0 to 1. */
const bar = (part: number): string => {
  const full = Math.round(Math.min(1, Math.max(0, part)) * barWidth)
  return "█".repeat(full) + "░".repeat(barWidth - full)
}

/** `45 s`, `3 min`, `1 h 20 min`. */
export const timeLeft = (seconds: number): string => {
  if (seconds < 90) return `${Math.max(1, Math.ceil(seconds))} s`
  const minutes = Math.ceil(seconds / 60)
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Rate and time left, where they are known. */
const pace = ({ doneBytes, totalBytes }: EngineReport, rate: number | undefined): string => {
  if (rate === undefined || rate < 1 || doneBytes === undefined) return ""
  const left = totalBytes === undefined ? "" : `, ${timeLeft((totalBytes - doneBytes) / rate)} left`
  return `${Bytes.format(rate)}/s${left}`
}

/** Whether an engine gets a line: while it is starting. */
const isUnderWay = ({ detail, state }: EngineReport) =>
  detail !== "" && (state === "pulling" || state === "starting" || state === "loading")

/** Lines for a terminal. */
export const bars = (
  reports: ReadonlyArray<EngineReport>,
  speed: Speed,
  now: number
): ReadonlyArray<string> =>
  reports.filter(isUnderWay).map((report) => {
    const title = titleOf(report.name).padEnd(7)
    const { detail, progress } = report
    if (progress === undefined) return `  ${title} ${detail}`
    const paced = pace(report, speed.of(report.name, now))
    return `  ${title} ${bar(progress)} ${`${Math.floor(progress * 100)}`.padStart(3)} %${
      paced === "" ? "" : `  ${paced}`
    }  ${detail}`
  })

/** The same as a sentence for a log. */
export const sentence = (report: EngineReport, speed: Speed, now: number): string => {
  const paced = pace(report, speed.of(report.name, now))
  const percent = report.progress === undefined ? "" : ` (${Math.floor(report.progress * 100)} %)`
  return `${titleOf(report.name)}: ${report.detail}${percent}${paced === "" ? "" : `, ${paced}`}`
}

const drawInterval = "200 millis"
const lineInterval = "10 seconds"

/** Shows it for as long as the fiber runs. */
export const run = (options: { readonly isTerminal: boolean }): Effect.Effect<never, never, AgentStatus> =>
  Effect.gen(function*() {
    const status = yield* AgentStatus
    const speed = makeSpeed()
    const latest = yield* Ref.make<ReadonlyArray<EngineReport>>([])
    const take = Stream.runForEach(status.changes, ({ engines }) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        for (const report of engines) speed.add(report, now)
        return Ref.set(latest, engines)
      }))
    const logged = new Map<string, string>()
    const line = Effect.flatMap(
      Effect.all([Ref.get(latest), Clock.currentTimeMillis]),
      ([reports, now]) =>
        Effect.forEach(reports.filter(isUnderWay), (report) => {
          const text = sentence(report, speed, now)
          if (logged.get(report.name) === text) return Effect.void
          logged.set(report.name, text)
          return Effect.logInfo(text)
        }, { discard: true })
    )
    const draw = Effect.map(
      Effect.all([Ref.get(latest), Clock.currentTimeMillis]),
      ([reports, now]) => StatusLines.standardError.show(bars(reports, speed, now))
    )
    const show = options.isTerminal
      ? Effect.repeat(draw, Schedule.spaced(drawInterval))
      : Effect.repeat(line, Schedule.spaced(lineInterval))
    return yield* Effect.zipRight(Effect.all([take, show], { concurrency: "unbounded", discard: true }), Effect.never)
  }).pipe(Effect.ensuring(Effect.sync(() => StatusLines.standardError.show([]))))
