/** The engines of this package, one line each. Cheap to load: an engine's code is loaded when it is enabled. */
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type { InvalidSetting } from "../config/Setting.js"
import { type EngineName, EngineNotStarted } from "./Engine.js"
import type { EngineDriver } from "./EngineDriver.js"
import type { EngineSettings } from "./EngineSettings.js"
import * as ExternalSettings from "./external/ExternalSettings.js"
import * as OllamaSettings from "./ollama/OllamaSettings.js"
import type * as SettingsCheck from "./SettingsCheck.js"
import * as VllmSettings from "./vllm/VllmSettings.js"

/** A folder of this room: which engines its settings ask for, and how their drivers are made. */
interface DriverModule {
  /** The settings of an engine that the agent starts: of use only while its flag enables it. */
  readonly owns?: {
    readonly name: EngineName
    readonly title: string
    readonly table: Readonly<Record<string, { readonly name: string }>>
    readonly flag: string
  }
  /** The engines that the settings ask for. */
  readonly enabled: (settings: EngineSettings) => ReadonlyArray<EngineName>
  /** Loads the folder, and makes the drivers of {@link enabled}; or finds a setting that contradicts another. */
  readonly load: () => Promise<
    (settings: EngineSettings) => Either.Either<EngineDriver | ReadonlyArray<EngineDriver>, InvalidSetting>
  >
  /** The engine can pull models. */
  readonly pulls?: true
  /** For engines on demand: the settings that run the engine with a model, if the model's name asks for this engine. */
  readonly withModel?: (settings: EngineSettings, model: string) => EngineSettings | undefined
}

const modules: ReadonlyArray<DriverModule> = [
  {
    owns: { ...VllmSettings, flag: "--enable-vllm" },
    enabled: ({ enableVllm }) => enableVllm ? [VllmSettings.name] : [],
    load: async () => (await import("./vllm/VllmDriver.js")).make,
    // The same rule as Orchion's own agent: names on Hugging Face have an owner.
    withModel: (settings, model) => model.includes("/") ? { ...settings, vllmModel: model } : undefined
  },
  {
    owns: { ...OllamaSettings, flag: "--enable-ollama" },
    enabled: ({ enableOllama }) => enableOllama ? [OllamaSettings.name] : [],
    load: async () => (await import("./ollama/OllamaDriver.js")).make,
    pulls: true,
    withModel: (settings, model) => model.includes("/") ? undefined : { ...settings, ollamaModel: model }
  },
  { enabled: ExternalSettings.enabled, load: async () => (await import("./external/ExternalDriver.js")).make }
]

const owned = modules.flatMap(({ owns }) => owns ?? [])

/** A sentence for each engine that has settings but is not enabled. */
export const unusedSettings = (settings: EngineSettings): ReadonlyArray<string> => {
  const names = enabled(settings)
  if (settings.enginesOnDemand) return []
  return owned.filter(({ name }) => !names.includes(name)).flatMap(({ flag, table, title }) => {
    const given = Object.entries(table)
      .filter(([key]) => settings.provenance(key as Exclude<keyof EngineSettings, "provenance" | "refuse">).isGiven)
      .map(([, setting]) => `--${setting.name}`)
      .filter((name) => name !== flag)
    if (given.length === 0) return []
    return [`${given.join(", ")} ${given.length === 1 ? "has" : "have"} no effect: ${title} is not enabled (${flag})`]
  })
}

const titles = new Map(owned.map(({ name, title }) => [name, title]))

/** Whether an engine of this name may pull a model that it does not have, where its node's settings let it. */
export const mayPull = (name: EngineName): boolean =>
  modules.some(({ owns, pulls }) => owns?.name === name && pulls === true)

/** An engine's name as people write it; the name itself for an engine that is not of this package. */
export const titleOf = (name: EngineName): string => titles.get(name) ?? name

/** The engines that the settings ask for. Loads nothing. */
export const enabled = (settings: EngineSettings): ReadonlyArray<EngineName> =>
  modules.flatMap(({ enabled }) => enabled(settings))

/** The drivers that the settings ask for; or the setting that contradicts another, whatever the machine. */
export const make = (
  settings: EngineSettings,
  agentPorts: SettingsCheck.Ports = {}
): Effect.Effect<ReadonlyArray<EngineDriver>, InvalidSetting> =>
  Effect.gen(function*() {
    const asked = modules.filter(({ enabled }) => enabled(settings).length > 0)
    if (asked.length === 0) return []
    const drivers: Array<EngineDriver> = []
    for (const { load } of asked) {
      const make = yield* Effect.promise(load)
      drivers.push(...[yield* make(settings)].flat())
    }
    const { portProblem } = yield* Effect.promise(() => import("./SettingsCheck.js"))
    const problem = portProblem(drivers, agentPorts)
    return problem === undefined ? drivers : yield* problem
  })

/** The driver that a model's name asks for. */
export const forModel = (settings: EngineSettings) =>
  Effect.fn("drivers.forModel")(function*(model: string): Effect.fn.Return<EngineDriver, EngineNotStarted> {
    const notStarted = (reason: string) => new EngineNotStarted({ reason, isTransient: false })
    if (!/^\w[\w.:/@-]{0,199}$/.test(model)) return yield* notStarted("no engine has a model of that name")
    for (const { load, withModel } of modules) {
      const own = withModel?.(settings, model)
      if (own === undefined) continue
      const make = yield* Effect.promise(load)
      const [driver] = [yield* Effect.mapError(make(own), ({ message }) => notStarted(message))].flat()
      if (driver !== undefined) return driver
    }
    return yield* notStarted("no engine serves models of that kind")
  })
