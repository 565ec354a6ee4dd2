/** `node-agent`: runs the agent on this machine until it is told to stop. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { AgentStatus } from "../agent/AgentStatus.js"
import * as AgentConfig from "../agent/AgentConfig.js"
import * as Setting from "../config/Setting.js"
import * as Source from "../config/Source.js"
import * as OrchestratorSettings from "../embedded/OrchestratorSettings.js"
import { version } from "../Version.js"
import * as Logging from "./Logging.js"
import * as HeapTuning from "./HeapTuning.js"
import * as LogSettings from "./LogSettings.js"

/** Variables of the environment that look like settings and are none, as a warning. */
export const warnOfUnknownVariables: Effect.Effect<void> = Effect.suspend(() => {
  const unknown = Source.unknownVariables(
    process.env,
    [AgentConfig.settings, OrchestratorSettings.table, LogSettings.table].flatMap(Setting.names)
  )
  return unknown.length === 0
    ? Effect.void
    : Effect.logWarning(`No setting is read from ${unknown.join(", ")} (node-agent --help names those that are)`)
})

export const logging = (config: LogSettings.LogSettings): Layer.Layer<never> =>
  Logging.layer({ level: config.logLevel, format: config.logFormat })

/** Shows how far the engines are, for as long as the scope is open; an agent without engines does not load it. */
export const engineProgress = (
  config: Pick<AgentConfig.AgentSettings, "enableVllm" | "enableOllama">,
  { logFormat }: Pick<LogSettings.LogSettings, "logFormat">
): Effect.Effect<void, never, AgentStatus | Scope.Scope> =>
  config.enableVllm || config.enableOllama
    ? Effect.gen(function*() {
      const progress = yield* Effect.promise(() => import("./EngineProgress.js"))
      const isTerminal = process.stderr.isTTY === true && Logging.isPretty(logFormat)
      yield* Effect.forkScoped(progress.run({ isTerminal }))
    })
    : Effect.void

export const run = (sources: ReadonlyArray<Source.Source>) =>
  Effect.gen(function*() {
    const config = yield* AgentConfig.fromSources(sources)
    const log = yield* Setting.readTable(LogSettings.table, sources)
    const { Agent } = yield* Effect.promise(() => import("../agent/Agent.js"))
    yield* Effect.gen(function*() {
      yield* warnOfUnknownVariables
      yield* Effect.logInfo(`Orchion node agent ${version} starts`)
      yield* engineProgress(config, log)
      const { join } = yield* Agent
      yield* HeapTuning.afterStart
      yield* join
    }).pipe(
      Effect.scoped,
      Effect.onInterrupt(() => Effect.logInfo("Stopping")),
      Effect.provide(Agent.layerLive.pipe(Layer.provide(Layer.succeed(AgentConfig.AgentConfig, config)))),
      Effect.provide(logging(log))
    )
  })
