/** `node-agent dev`: an orchestrator and an agent on this machine. */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Agent } from "../agent/Agent.js"
import { AgentStatus } from "../agent/AgentStatus.js"
import * as AgentConfig from "../agent/AgentConfig.js"
import * as HostPort from "../net/HostPort.js"
import * as OrchestratorSettings from "../embedded/OrchestratorSettings.js"
import * as Source from "../config/Source.js"
import { defaultStateDir } from "../state/StateSettings.js"
import * as Setting from "../config/Setting.js"
import { EmbeddedOrchestrator } from "../embedded/EmbeddedOrchestrator.js"
import * as OrchestratorCommand from "./OrchestratorCommand.js"
import { shortId } from "./Logging.js"
import * as LogSettings from "./LogSettings.js"
import * as LongRunning from "./LongRunning.js"
import { engineProgress } from "./RunCommand.js"

/** Settings that `dev` fixes: a trial agent shares nothing with a permanent one on this machine. */
const own = (orchestratorPort: number, host: string): Source.Source =>
  Source.fixed("from the dev command", {
    [AgentConfig.settings.orchestrator.name]: HostPort.format({
      host: OrchestratorCommand.reachableHost(host),
      port: orchestratorPort
    })
  })

const ownDefaults: Source.Source = {
  origin: () => "the dev command's default",
  lookup: (name) => {
    const directory = name === AgentConfig.settings.stateDir.name ? defaultStateDir() : undefined
    return directory === undefined ? [] : [path.join(directory, "dev")]
  }
}

export const run = Effect.fn("DevCommand.run")(function*(sources: ReadonlyArray<Source.Source>) {
  const orchestrator = yield* Setting.readTable(OrchestratorSettings.table, sources)
  // Everything that can be wrong with the agent's settings is found before anything starts.
  const readAgent = (port: number) =>
    AgentConfig.fromSources([own(port, orchestrator.bindAddress), ...sources, ownDefaults])
  const config = yield* readAgent(orchestrator.port === 0 ? 1 : orchestrator.port)
  const log = yield* Setting.readTable(LogSettings.table, sources)

  const agent = Layer.unwrapEffect(Effect.map(EmbeddedOrchestrator, ({ port }) =>
    Agent.layerLive.pipe(
      Layer.provide(Layer.effect(AgentConfig.AgentConfig, Effect.suspend(() => readAgent(port))))
    )))

  const announce = Effect.gen(function*() {
    const { httpPort, port } = yield* EmbeddedOrchestrator
    const { nodeId } = yield* Agent
    const status = yield* AgentStatus
    yield* status.changes.pipe(
      Stream.takeUntil(({ connection }) => connection._tag === "Registered"),
      Stream.runDrain
    )
    yield* OrchestratorCommand.banner("Orchion is running on this machine. Press Ctrl-C to stop it.", [
      ...OrchestratorCommand.addresses(orchestrator.bindAddress, port, httpPort),
      `  this node      ${shortId(nodeId)}`
    ])
  })

  return yield* LongRunning.launch({
    log,
    layer: agent.pipe(Layer.provideMerge(OrchestratorCommand.embedded(orchestrator))),
    start: Effect.gen(function*() {
      yield* engineProgress(config, log)
      yield* announce
      return Effect.raceFirst((yield* Agent).join, (yield* EmbeddedOrchestrator).join)
    })
  })
})
