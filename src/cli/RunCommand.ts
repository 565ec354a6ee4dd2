/** `node-agent`: runs the agent on this machine until it is told to stop. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as AgentConfig from "../config/AgentConfig.js"
import * as OrchestratorConfig from "../config/OrchestratorConfig.js"
import * as Setting from "../config/Setting.js"
import { version } from "../Version.js"
import * as Logging from "./Logging.js"

/** Variables of the environment that look like settings and are none, as a warning. */
export const warnOfUnknownVariables: Effect.Effect<void> = Effect.suspend(() => {
  const unknown = Setting.unknownVariables(process.env, [AgentConfig.settings, OrchestratorConfig.settings])
  return unknown.length === 0
    ? Effect.void
    : Effect.logWarning(`No setting is read from ${unknown.join(", ")} (node-agent --help names those that are)`)
})

export const logging = (config: Pick<AgentConfig.AgentSettings, "logLevel" | "logFormat">): Layer.Layer<never> =>
  Logging.layer({ level: config.logLevel, format: config.logFormat })

export const run = (sources: ReadonlyArray<Setting.Source>) =>
  Effect.gen(function*() {
    const config = yield* AgentConfig.fromSources(sources)
    const { Agent } = yield* Effect.promise(() => import("../agent/Agent.js"))
    yield* Effect.gen(function*() {
      yield* warnOfUnknownVariables
      yield* Effect.logInfo(`Orchion node agent ${version} starts`)
      const { join } = yield* Agent
      yield* join
    }).pipe(
      Effect.onInterrupt(() => Effect.logInfo("Stopping")),
      Effect.provide(Agent.layerLive.pipe(Layer.provide(Layer.succeed(AgentConfig.AgentConfig, config)))),
      Effect.provide(logging(config))
    )
  })
