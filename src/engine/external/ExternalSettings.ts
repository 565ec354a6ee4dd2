/** The settings of external engines, which the agent watches and relays requests to. */
import * as Option from "effect/Option"
import * as Setting from "../../config/Setting.js"
import * as Format from "../../config/SettingFormat.js"
import type { EngineName } from "../Engine.js"
import * as Ollama from "../ollama/OllamaSettings.js"
import * as Vllm from "../vllm/VllmSettings.js"

const keyFile = Format.text("file", "the path of a file")

export const table = Setting.group("External engines", {
  vllmUrl: Setting.optional("vllm-url", Format.httpUrl, {
    description: "URL of a running vLLM to use instead of starting one, for example http://127.0.0.1:8000",
    note: "none"
  }),
  vllmApiKeyFile: Setting.optional("vllm-api-key-file", keyFile, {
    description: "File with the API key for --vllm-url",
    note: "$VLLM_API_KEY, else no key"
  }),
  ollamaUrl: Setting.optional("ollama-url", Format.httpUrl, {
    description: "URL of a running Ollama to use instead of starting one, for example http://127.0.0.1:11434",
    note: "none"
  }),
  ollamaApiKeyFile: Setting.optional("ollama-api-key-file", keyFile, {
    description: "File with the API key for --ollama-url",
    note: "$OLLAMA_API_KEY, else no key"
  })
})

export type ExternalSettings = Setting.Settings<typeof table>

/** The engines that have a URL. */
export const enabled = (settings: Pick<ExternalSettings, "ollamaUrl" | "vllmUrl">): ReadonlyArray<EngineName> => [
  ...(Option.isSome(settings.vllmUrl) ? [Vllm.name] : []),
  ...(Option.isSome(settings.ollamaUrl) ? [Ollama.name] : [])
]
