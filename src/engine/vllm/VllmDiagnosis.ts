/** Why vLLM ends: the lines it writes then, and what to do about them. */
import type { EngineDiagnosis, Evidence, KnownLine } from "../Diagnosis.js"
import { holdersOf, lasting, transient } from "../Diagnosis.js"
import { title } from "./VllmSettings.js"

const busyRemedy = ({ gpus }: Evidence): string => {
  const holders = holdersOf(gpus)
  return `${holders === "" ? "Free memory on the GPU" : `Stop the programs that hold it (${holders})`}, `
    + "or lower what vLLM asks for: --vllm-arg=--gpu-memory-utilization=0.5"
}

const quoted = (text: string) => JSON.stringify(text)

const gpuMemory: ReadonlyArray<KnownLine> = [
  {
    markers: ["Free memory on device"],
    and: ["less than desired GPU memory utilization"],
    detail: /^[^(]*\(([^()]*)\)[^(]*(?:\(([^()]*)\))?/,
    explain: ({ detail }, evidence) =>
      lasting(
        "gpu-memory-busy",
        `vLLM found too little free GPU memory: ${detail?.[1] ?? ""}${
          detail?.[2] === undefined ? "" : `, it wants ${detail[2]}`
        }.`,
        busyRemedy(evidence)
      )
  },
  {
    markers: ["less than desired GPU memory utilization"],
    explain: (_, evidence) =>
      lasting("gpu-memory-busy", "vLLM found less free GPU memory than it is to use.", busyRemedy(evidence))
  },
  {
    markers: ["estimated maximum model length is "],
    detail: /is (\d{1,12})/,
    explain: ({ detail }) =>
      lasting(
        "kv-cache-too-small",
        `The GPU's memory is too small for this context length: at most ${detail?.[1] ?? "fewer"} tokens fit.`,
        `Set --vllm-max-model-len to ${detail?.[1] ?? "less"} or less.`
      )
  },
  {
    markers: ["No available memory for the cache blocks", "KV cache is needed, which is larger than the available"],
    explain: () =>
      lasting(
        "kv-cache-too-small",
        "The model's weights leave too little GPU memory for a context of this length.",
        "Set a smaller --vllm-max-model-len, or split the model across more GPUs with --vllm-tensor-parallel."
      )
  },
  {
    markers: ["CUDA out of memory", "HIP out of memory", "torch.OutOfMemoryError", "cudaMalloc failed: out of memory"],
    detail: /Tried to allocate ([\d.]{1,12} \wi?B)/,
    explain: ({ detail }) =>
      lasting(
        "gpu-out-of-memory",
        `The GPU ran out of memory${detail === null ? "" : `: it tried to allocate ${detail[1]}`}.`,
        "Use a smaller model, split it across more GPUs (--vllm-tensor-parallel), or shorten the context (--vllm-max-model-len)."
      )
  },
  {
    markers: [
      "Failed to infer device type",
      "libcuda.so.1: cannot open shared object file",
      "No CUDA GPUs are available",
      "Found no NVIDIA driver"
    ],
    explain: ({ excerpt }) =>
      lasting(
        "no-gpu-in-container",
        `There is no GPU inside the container (${
          excerpt.startsWith("libcuda") ? "libcuda.so.1 is missing" : "vLLM found no device"
        }).`,
        "Install and configure the NVIDIA container toolkit (nvidia-ctk runtime configure --runtime=docker, then restart Docker), "
          + "or run without a GPU: --vllm-gpus none"
      )
  }
]

const model: ReadonlyArray<KnownLine> = [
  {
    markers: ["gated repo", "401 Client Error", "403 Client Error", "Access to model "],
    explain: (_, { model }) =>
      lasting(
        "model-access",
        `Hugging Face denied access to ${quoted(model)}: the token is missing or has no access.`,
        `Accept the model's licence on https://huggingface.co/${model}, and give the agent a token in HF_TOKEN.`
      )
  },
  {
    markers: [
      "404 Client Error",
      "400 Client Error",
      "Repository Not Found",
      "is not a valid model identifier",
      "Invalid repository ID",
      "does not appear to have a file named config.json"
    ],
    explain: (_, { model }) =>
      lasting(
        "model-not-found",
        `Hugging Face has no model ${quoted(model)}, or the token has no access to it.`,
        "Check --vllm-model; a private model needs HF_TOKEN."
      )
  },
  {
    markers: ["Model architectures ", "Model architecture "],
    and: [" not supported"],
    detail: /^Model architectures? (.{1,200}?) (?:are|is) not supported/,
    explain: ({ detail }, { model }) =>
      lasting(
        "model-unsupported",
        `This vLLM does not support ${quoted(model)}${detail === null ? "" : ` (architecture ${detail[1]})`}.`,
        "Use another model, or a newer image with --vllm-image."
      )
  }
]

const rest: ReadonlyArray<KnownLine> = [
  {
    markers: ["unhandled system error"],
    and: ["NCCL"],
    explain: () => sharedMemory
  },
  { markers: ["ncclSystemError"], explain: () => sharedMemory },
  {
    markers: ["error: unrecognized arguments: ", "error: argument "],
    detail: /^error: (.{1,400})/,
    explain: ({ detail }) =>
      lasting(
        "bad-argument",
        `vLLM does not understand its command line: ${detail?.[1] ?? ""}.`,
        "Correct --vllm-arg."
      )
  }
]

const sharedMemory = lasting(
  "shared-memory",
  "The GPUs' processes could not talk to each other (NCCL: unhandled system error), as when shared memory is too small.",
  "Give the container the host's IPC or a larger /dev/shm."
)

const network: KnownLine = {
  markers: [
    "Temporary failure in name resolution",
    "Name or service not known",
    "Max retries exceeded",
    "Connection timed out",
    "no such host",
    "LocalEntryNotFoundError",
    "Network is unreachable"
  ],
  explain: () =>
    transient(
      "network",
      "vLLM could not reach the server that has its model.",
      "Check this machine's network, DNS and proxy (HTTPS_PROXY is passed on)."
    )
}

export const diagnosis: EngineDiagnosis = {
  title,
  known: [...gpuMemory, ...model, ...rest, network],
  flags: { enable: "--enable-vllm", memory: "--vllm-memory", volume: "--vllm-volume", port: "--vllm-arg" }
}
