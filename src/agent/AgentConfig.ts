/** The settings of one agent: the tables of its rooms in one, and the layers that read them. */
import * as Config from "effect/Config"
import type { ConfigError } from "effect/ConfigError"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Setting from "../config/Setting.js"
import * as Source from "../config/Source.js"
import * as DockerSettings from "../docker/DockerSettings.js"
import * as EngineSettings from "../engine/EngineSettings.js"
import * as InferenceSettings from "../inference/InferenceSettings.js"
import * as HostPort from "../net/HostPort.js"
import * as StateSettings from "../state/StateSettings.js"
import { cluster, node } from "./AgentSettings.js"

/** Every setting of an agent, by the name of its field in {@link AgentConfig}. */
export const settings = {
  ...cluster,
  ...node,
  ...StateSettings.table,
  ...InferenceSettings.table,
  ...EngineSettings.table,
  ...DockerSettings.table
} as const

/** The values of the settings, each read as its format says. */
export type AgentSettings = Setting.Settings<typeof settings>

/** Texts for some of the settings, by their names: `{ "heartbeat-interval": "1s" }`. */
export type AgentTexts = Setting.Texts<typeof settings>

/** The settings of one agent. */
export class AgentConfig extends Context.Tag("@orchion/node-agent/AgentConfig")<AgentConfig, AgentSettings>() {}

/** The settings of the rooms that an agent is made of. */
export type Rooms = InferenceSettings.InferenceSettings | StateSettings.StateSettings

/** Each room's settings, from those of the agent. */
export const rooms: Layer.Layer<Rooms, never, AgentConfig> = Layer.effectContext(
  Effect.map(AgentConfig, (config) =>
    Context.make(StateSettings.StateSettings, config).pipe(
      Context.add(InferenceSettings.InferenceSettings, {
        ...config,
        isLocal: HostPort.isLoopback(config.orchestrator.host) && Option.isNone(config.advertiseAddress)
      })
    ))
)

/** Reads all settings; what comes first in `sources` wins. */
export const fromSources = (
  sources: ReadonlyArray<Source.Source>
): Either.Either<AgentSettings, Setting.InvalidSetting> => Setting.readTable(settings, sources)

/** The settings of the environment, or the defaults. */
export const layerEnvironment: Layer.Layer<AgentConfig, Setting.InvalidSetting> = Layer.effect(
  AgentConfig,
  Effect.suspend(() => fromSources([Source.environment(process.env)]))
)

/**
 * Settings as their texts, by name (`{ "heartbeat-interval": "1s" }`), and defaults for the rest. An unknown name
 * fails, even where the types did not catch it.
 */
export const layer = (
  texts: AgentTexts = {}
): Layer.Layer<AgentConfig, Setting.InvalidSetting | Source.UnknownSetting> =>
  Layer.effect(
    AgentConfig,
    Effect.suspend((): Either.Either<AgentSettings, Setting.InvalidSetting | Source.UnknownSetting> => {
      const unknown = Source.unknownName(Object.keys(texts), Setting.names(settings))
      return unknown === undefined ? fromSources([Source.program(texts)]) : Either.left(unknown)
    })
  )

/**
 * The settings of Effect's `ConfigProvider`, and defaults for the rest: `ORCHION_HEARTBEAT_INTERVAL` of the default
 * provider's environment, `{ ORCHION: { HEARTBEAT_INTERVAL: "1s" } }` of `ConfigProvider.fromJson`.
 */
export const layerConfig: Layer.Layer<AgentConfig, Setting.InvalidSetting | ConfigError> = Layer.effect(
  AgentConfig,
  Effect.gen(function*() {
    const variables: Record<string, string> = {}
    for (const name of Setting.names(settings)) {
      const variable = Source.environmentVariable(name)
      const text = yield* Config.string(variable.slice("ORCHION_".length)).pipe(Config.nested("ORCHION"), Config.option)
      if (Option.isSome(text)) variables[variable] = text.value
    }
    return yield* fromSources([Source.environment(variables)])
  })
)
