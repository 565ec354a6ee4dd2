/** The settings of vLLM. */
import * as Setting from "../../config/Setting.js"
import * as Format from "../../config/SettingFormat.js"

export const name = "vllm"
export const title = "vLLM"

export const table = Setting.group("vLLM", {
  enableVllm: Setting.toggle("enable-vllm", "Run vLLM"),
  vllmModel: Setting.setting("vllm-model", Format.modelName, {
    description: "Model to serve, as Hugging Face names it, for example Qwen/Qwen3-8B",
    default: "mistralai/Mistral-7B-Instruct-v0.1"
  }),
  vllmPort: Setting.setting("vllm-port", Format.fixedPort, {
    description: "Port on which vLLM is published",
    default: "8000"
  }),
  vllmGpus: Setting.setting("vllm-gpus", Format.gpuSelection, {
    description: "GPUs to use: all, none, indexes (0,1) or UUIDs",
    default: "all"
  }),
  vllmTensorParallel: Setting.setting("vllm-tensor-parallel", Format.positiveInteger(1024), {
    description: "Number of GPUs that share one copy of the model",
    default: "1"
  }),
  vllmMaxModelLen: Setting.setting("vllm-max-model-len", Format.positiveInteger(100_000_000), {
    description: "Maximum context length, in tokens",
    default: "4096"
  }),
  vllmImage: Setting.setting("vllm-image", Format.imageName, {
    description: "Container image of vLLM",
    default: "vllm/vllm-openai:latest"
  }),
  vllmArgs: Setting.repeatable("vllm-arg", Format.text("argument", "an argument without control characters"), {
    description: "Extra argument for vLLM; may be repeated",
    // One of them may be --api-key.
    isSecret: true
  }),
  vllmVolume: Setting.setting("vllm-volume", Format.volumeSource, {
    description: "Volume or directory for downloaded weights",
    default: "orchion-vllm-weights"
  }),
  vllmMemory: Setting.optional("vllm-memory", Format.byteSize(64 * 1024 ** 2), {
    description: "Memory limit of the vLLM container, for example 16GiB",
    note: "unlimited"
  })
})
