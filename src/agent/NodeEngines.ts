/** The engines of this node within the agent: those of the settings, and those that the program adds. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import type { Capabilities } from "../capabilities/Capabilities.js"
import type { Finding } from "../node/NodeCapabilities.js"
import { AgentConfig } from "./AgentConfig.js"
import type { InvalidSetting } from "../config/Setting.js"
import type { Docker } from "../docker/Docker.js"
import * as Daemon from "../effect/Daemon.js"
import * as drivers from "../engine/drivers.js"
import { Engines } from "../engine/Engine.js"
import { EngineDrivers } from "../engine/EngineDriver.js"
import { NodeIdentity } from "../state/NodeIdentity.js"
import { StateDirectory, type StateFileError } from "../state/StateDirectory.js"

/** The state file with the engines that may have left containers, one per line; empty when there are none. */
const fileName = "engines"

/** No engines, and no containers of engines to look for. */
const none: Engines["Type"] = {
  current: () => [],
  reports: () => [],
  changes: Stream.concat(Stream.make([]), Stream.never)
}

export class NodeEngines extends Context.Tag("@orchion/node-agent/NodeEngines")<
  NodeEngines,
  {
    /** The current findings about the engines. */
    readonly findings: () => ReadonlyArray<Finding>
    /**
     * Stops all engines and removes their containers, unless they are kept. Takes at most 75 s. Returns the names of
     * containers that could not be removed, which the next start removes; empty on success. Runs once, however often it
     * is called.
     */
    readonly shutdown: Effect.Effect<ReadonlyArray<string>>
  }
>() {
  static readonly layer: Layer.Layer<
    NodeEngines | Engines,
    InvalidSetting | StateFileError,
    AgentConfig | Capabilities | Daemon.Daemons | Docker | NodeIdentity | StateDirectory
  > = Layer.scopedContext(Effect.gen(function*() {
    const config = yield* AgentConfig
    const { nodeId } = yield* NodeIdentity
    const state = yield* StateDirectory

    const own = yield* EngineDrivers
    const configured = yield* drivers.make(config, { "--agent-port": config.agentPort })
    const all = [...configured, ...own]
    yield* Effect.forEach(drivers.unusedSettings(config), (text) => Effect.logWarning(text), { discard: true })
    const before = ((yield* state.read(fileName)) ?? "").trim()
    const wanted = [
      ...all.filter(({ publishes }) => publishes !== undefined).map(({ name }) => name),
      ...(config.enginesOnDemand ? ["on-demand"] : [])
    ].join("\n")
    // Where no container of an engine ever ran, Docker is not even looked for.
    if (all.length === 0 && wanted === "" && before === "") {
      return Context.make(Engines, none).pipe(
        Context.add(NodeEngines, { findings: () => [], shutdown: Effect.succeed([]) })
      )
    }
    // The next agent must find the containers that this one creates, however this one ends.
    if (wanted !== "" && wanted !== before) yield* state.write(fileName, `${wanted}\n`)

    const [supervisor, { Machine }] = yield* Effect.promise(() =>
      Promise.all([import("../engine/EngineSupervisor.js"), import("../engine/Machine.js")])
    )
    const { engines, findings, shutdown, swept } = yield* Effect.provide(
      supervisor.make({
        drivers: all,
        nodeId,
        keepEngines: config.keepEngines,
        hasContainers: wanted !== "" || before !== "",
        ...(config.enginesOnDemand ? { driverFor: drivers.forModel(config) } : {})
      }),
      Machine.layer
    )
    if (wanted === "" && before !== "") {
      yield* Daemon.start(
        "container sweep",
        Effect.zipRight(swept, state.write(fileName, "")).pipe(
          Effect.catchAll((error) =>
            Effect.logWarning(`${error.message}; each start will look for leftover containers`)
          )
        )
      )
    }
    return Context.make(Engines, engines).pipe(Context.add(NodeEngines, { findings, shutdown }))
  }))
}
