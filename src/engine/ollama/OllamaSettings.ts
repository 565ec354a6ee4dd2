/** The settings of Ollama. */
import * as Setting from "../../config/Setting.js"
import * as Format from "../../config/SettingFormat.js"

export const name = "ollama"
export const title = "Ollama"

export const table = Setting.group("Ollama", {
  enableOllama: Setting.toggle("enable-ollama", "Run Ollama"),
  ollamaModel: Setting.setting("ollama-model", Format.modelName, {
    description: "Model to serve, as Ollama's library names it, for example llama3.2 or qwen3",
    default: "llama2"
  }),
  ollamaPort: Setting.setting("ollama-port", Format.fixedPort, {
    description: "Port on which Ollama is published",
    default: "11434"
  }),
  ollamaGpus: Setting.setting("ollama-gpus", Format.gpuSelection, {
    description: "GPUs to use: all, none, indexes (0,1) or UUIDs",
    default: "all"
  }),
  ollamaImage: Setting.setting("ollama-image", Format.imageName, {
    description: "Container image of Ollama",
    default: "ollama/ollama:latest"
  }),
  ollamaVolume: Setting.setting("ollama-volume", Format.volumeSource, {
    description: "Volume or directory for models",
    default: "orchion-ollama-models"
  }),
  ollamaMemory: Setting.optional("ollama-memory", Format.byteSize(64 * 1024 ** 2), {
    description: "Memory limit of the Ollama container, for example 16GiB",
    note: "unlimited"
  }),
  ollamaPullOnDemand: Setting.toggle("ollama-pull-on-demand", "Pull missing models on request")
})

/** Whether a model that is requested and not there is pulled. Starting engines on demand includes it. */
export const pullsOnDemand = (
  { enginesOnDemand, ollamaPullOnDemand }: { readonly enginesOnDemand: boolean; readonly ollamaPullOnDemand: boolean }
): boolean => ollamaPullOnDemand || enginesOnDemand
