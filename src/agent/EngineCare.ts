/** The engines of this node within the agent: planned by its settings and labelled with its id. */
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
import { Engines } from "../engine/Engine.js"
import { NodeIdentity } from "../state/NodeIdentity.js"
import { StateDirectory, type StateFileError } from "../state/StateDirectory.js"

/** In the state directory: the engines that may have left containers; empty when none may. */
const fileName = "engines"

/** No engines, and none to look for. */
const none: Engines["Type"] = {
  current: () => [],
  reports: () => [],
  changes: Stream.concat(Stream.make([]), Stream.never)
}

export class EngineCare extends Context.Tag("@orchion/node-agent/EngineCare")<
  EngineCare,
  {
    /** What a person should know of the engines now. */
    readonly findings: () => ReadonlyArray<Finding>
    /** Stops all engines and removes their containers, unless they are to be kept. May be run twice. */
    readonly shutdown: Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<
    EngineCare | Engines,
    InvalidSetting | StateFileError,
    AgentConfig | Capabilities | Daemon.Daemons | Docker | NodeIdentity | StateDirectory
  > = Layer.scopedContext(Effect.gen(function*() {
    const config = yield* AgentConfig
    const { nodeId } = yield* NodeIdentity
    const state = yield* StateDirectory

    const before = ((yield* state.read(fileName)) ?? "").trim()
    const wanted = [...(config.enableVllm ? ["vllm"] : []), ...(config.enableOllama ? ["ollama"] : [])].join("\n")
    // Docker is not even looked for where no engine ever ran.
    if (wanted === "" && before === "") {
      return Context.make(Engines, none).pipe(
        Context.add(EngineCare, { findings: () => [], shutdown: Effect.void })
      )
    }
    // Containers that are about to be made must be found again by the next agent, however this one ends.
    if (wanted !== "" && wanted !== before) yield* state.write(fileName, `${wanted}\n`)

    const [supervisor, { Machine }] = yield* Effect.promise(() =>
      Promise.all([import("../engine/EngineSupervisor.js"), import("../engine/Machine.js")])
    )
    const { engines, findings, shutdown, swept } = yield* Effect.provide(
      supervisor.make({ settings: config, nodeId }),
      Machine.layer
    )
    if (wanted === "") {
      yield* Daemon.start(
        "container sweep",
        Effect.zipRight(swept, state.write(fileName, "")).pipe(
          Effect.catchAll((error) => Effect.logWarning(`${error.message}: containers are looked for at each start`))
        )
      )
    }
    return Context.make(Engines, engines).pipe(Context.add(EngineCare, { findings, shutdown }))
  }))
}
