/** What all long-running commands share: the log, the loops, and stopping. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as AgentConfig from "../agent/AgentConfig.js"
import { names } from "../config/Setting.js"
import * as Source from "../config/Source.js"
import * as Daemon from "../effect/Daemon.js"
import * as OrchestratorSettings from "../embedded/OrchestratorSettings.js"
import { nearest } from "../text/Nearest.js"
import * as HeapTuning from "./HeapTuning.js"
import * as Logging from "./Logging.js"
import * as LogSettings from "./LogSettings.js"

/** One line for the `ORCHION_…` variables that belong to no setting; `undefined` when there are none. */
export const unknownVariablesWarning = (
  variables: Readonly<Record<string, string | undefined>>
): string | undefined => {
  const known = [AgentConfig.settings, OrchestratorSettings.table, LogSettings.table].flatMap(names)
  const unknown = Source.unknownVariables(variables, known)
  if (unknown.length === 0) return undefined
  const explained = unknown.slice(0, 10).map((name) => {
    const meant = nearest(name.toLowerCase(), known.map((known) => Source.environmentVariable(known).toLowerCase()))
    return meant === undefined ? name : `${name} (did you mean ${meant.toUpperCase()}?)`
  })
  const rest = unknown.length > explained.length ? ` and ${unknown.length - explained.length} more` : ""
  return `Ignoring unknown environment ${unknown.length === 1 ? "variable" : "variables"} ${
    explained.join(", ")
  }${rest}`
}

const warnOfUnknownVariables = Effect.suspend(() => {
  const warning = unknownVariablesWarning(process.env)
  return warning === undefined ? Effect.void : Effect.logWarning(warning)
})

export const logging = ({ logFormat, logLevel }: LogSettings.LogSettings): Layer.Layer<never> =>
  Logging.layer({ level: logLevel, format: logFormat })

/** How often a slow stop is logged. */
const reminder = "10 seconds"

const seconds = (millis: number): string => `${(millis / 1000).toFixed(millis < 10_000 ? 1 : 0)} s`

/**
 * Starts what `start` starts on `layer`, and runs until a signal or a defect ends it. `start` returns an effect that
 * never ends unless a part dies. A stop is logged when it begins, every 10 s, and when it is over.
 */
export const launch = <ROut, E, E2>(options: {
  readonly layer: Layer.Layer<ROut, E>
  readonly log: LogSettings.LogSettings
  readonly start: Effect.Effect<Effect.Effect<never>, E2, ROut | Daemon.Daemons | Scope.Scope>
}): Effect.Effect<never, E | E2> =>
  Effect.gen(function*() {
    const stoppingSince = yield* Ref.make(0)
    const remind = Effect.gen(function*() {
      const since = yield* Ref.get(stoppingSince)
      const now = yield* Clock.currentTimeMillis
      yield* Effect.logInfo(`Still stopping after ${seconds(now - since)}; a second signal exits immediately`)
    }).pipe(Effect.schedule(Schedule.spaced(reminder)))
    const begin = Effect.gen(function*() {
      yield* Ref.set(stoppingSince, yield* Clock.currentTimeMillis)
      yield* Effect.logInfo(
        `Stopping${process.stderr.isTTY === true ? "; press Ctrl-C again to exit immediately" : ""}`
      )
      return yield* Effect.forkDaemon(Effect.interruptible(Effect.delay(remind, reminder)))
    })
    const reminding = yield* Ref.make<Fiber.Fiber<unknown>>(Fiber.void)
    const running = Effect.gen(function*() {
      yield* warnOfUnknownVariables
      const join = yield* options.start
      yield* HeapTuning.afterStart
      return yield* Effect.raceFirst(join, Effect.flatMap(Daemon.Daemons, (daemons) => daemons.join))
    }).pipe(
      Effect.scoped,
      Effect.onInterrupt(() => Effect.flatMap(begin, (fiber) => Ref.set(reminding, fiber)))
    )
    return yield* running.pipe(
      Effect.provide(Layer.merge(options.layer, Daemon.Daemons.layer)),
      Effect.onInterrupt(() =>
        Effect.gen(function*() {
          yield* Fiber.interrupt(yield* Ref.get(reminding))
          const since = yield* Ref.get(stoppingSince)
          const now = yield* Clock.currentTimeMillis
          // A signal during the start comes before there is anything to stop.
          yield* Effect.logInfo(since === 0 ? "Stopped" : `Stopped after ${seconds(now - since)}`)
        })
      )
    )
  }).pipe(Effect.provide(logging(options.log)))
