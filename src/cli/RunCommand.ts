/** `node-agent`: runs the agent on this machine until it is stopped. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Agent as AgentTag } from "../agent/Agent.js"
import * as AgentConfig from "../agent/AgentConfig.js"
import type { AgentStatus } from "../agent/AgentStatus.js"
import * as Setting from "../config/Setting.js"
import type * as Source from "../config/Source.js"
import * as Daemon from "../effect/Daemon.js"
import * as HostPort from "../net/HostPort.js"
import { version } from "../Version.js"
import * as Logging from "./Logging.js"
import * as LogSettings from "./LogSettings.js"
import * as LongRunning from "./LongRunning.js"

/** Shows the progress of the engines while the scope is open; an agent without engines does not load it. */
export const engineProgress = (
  config: Pick<AgentConfig.AgentSettings, "enableVllm" | "enableOllama">,
  { logFormat }: Pick<LogSettings.LogSettings, "logFormat">
): Effect.Effect<void, never, AgentStatus | Daemon.Daemons | Scope.Scope> =>
  config.enableVllm || config.enableOllama
    ? Effect.gen(function*() {
      const progress = yield* Effect.promise(() => import("./EngineProgress.js"))
      const isTerminal = process.stderr.isTTY === true && Logging.isPretty(logFormat)
      yield* Daemon.start("engine progress", progress.run({ isTerminal }))
    })
    : Effect.void

const enginesOf = (config: AgentConfig.AgentSettings): string => {
  const engines = [
    ...(config.enableVllm ? [`vLLM (${config.vllmModel})`] : []),
    ...(config.enableOllama ? [`Ollama (${config.ollamaModel})`] : [])
  ]
  return engines.length === 0 ? "no engines" : engines.join(" and ")
}

/** Who this node is, and what it runs. */
const started = (
  { nodeId, port, stateDirectory }: Context.Tag.Service<AgentTag>,
  config: AgentConfig.AgentSettings
): Effect.Effect<void> =>
  Effect.logInfo(
    `Node ${nodeId} listens on port ${port}, runs ${enginesOf(config)}, and joins the orchestrator at ${
      HostPort.format(config.orchestrator)
    }; its state is in ${stateDirectory}`
  ).pipe(Effect.annotateLogs({ event: "agent.started", "node.id": nodeId }))

export const run = Effect.fn("RunCommand.run")(function*(sources: ReadonlyArray<Source.Source>) {
  const config = yield* AgentConfig.fromSources(sources)
  const log = yield* Setting.readTable(LogSettings.table, sources)
  const { Agent } = yield* Effect.promise(() => import("../agent/Agent.js"))
  return yield* LongRunning.launch({
    log,
    layer: Agent.layerLive.pipe(Layer.provide(Layer.succeed(AgentConfig.AgentConfig, config))),
    start: Effect.gen(function*() {
      yield* Effect.logInfo(`Started Orchion node agent ${version}`)
      yield* engineProgress(config, log)
      const agent = yield* Agent
      yield* started(agent, config)
      return agent.join
    })
  })
})
