/** The settings that all engines share, and the values of those of each engine. */
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"
import * as ExternalSettings from "./external/ExternalSettings.js"
import * as OllamaSettings from "./ollama/OllamaSettings.js"
import * as VllmSettings from "./vllm/VllmSettings.js"

const shared = Setting.group("Engine", {
  engineBindAddress: Setting.setting("engine-bind-address", Format.listenAddress, {
    description: "Address on which engine ports are published",
    default: "127.0.0.1"
  }),
  keepEngines: Setting.toggle("keep-engines", "Leave engines running at exit; the next start adopts them"),
  enginesOnDemand: Setting.toggle(
    "engines-on-demand",
    "Start the engine that a requested model's name asks for: vLLM for names with a slash, Ollama for others"
  )
})

/** Every setting of an engine. */
export const table = { ...VllmSettings.table, ...OllamaSettings.table, ...ExternalSettings.table, ...shared } as const

/** The values of {@link table}. */
export type EngineSettings = Setting.Settings<typeof table>
