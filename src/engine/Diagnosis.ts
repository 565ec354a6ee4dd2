/**
 * Why an engine ended or could not start, and what to do about it: from its exit and the last lines that it wrote.
 *
 * The last line is rarely the cause. vLLM ends with a generic one whatever happened before, so the lines are searched
 * from the end for one that is known.
 */
import type * as Duration from "effect/Duration"
import type { GpuInfo } from "../node/NodeCapabilities.js"
import * as GoDuration from "../text/GoDuration.js"
import type { ContainerExit } from "../docker/api/Container.js"
import type * as DockerError from "../docker/api/DockerError.js"
import * as Bytes from "../text/Bytes.js"
import { type EngineName, titles } from "./Engine.js"

/** Stable, for programs. */
export type Cause =
  | "refused"
  | "docker"
  | "gpu-memory-busy"
  | "kv-cache-too-small"
  | "gpu-out-of-memory"
  | "no-gpu-in-container"
  | "model-access"
  | "model-unsupported"
  | "model-not-found"
  | "shared-memory"
  | "bad-argument"
  | "disk-full"
  | "no-permission"
  | "network"
  | "port-in-container"
  | "memory-limit"
  | "killed"
  | "removed"
  | "stalled"
  | "unhealthy"
  | "crashed"
  | "ended"

export interface Diagnosis {
  readonly cause: Cause
  /** What happened, in a sentence. */
  readonly message: string
  /** What to do, in a sentence; empty when there is nothing to do. */
  readonly remedy: string
  /** The next start will most likely end the same way unless somebody acts. */
  readonly lasting: boolean
}

/** It in full, as sentences. */
export const text = ({ message, remedy }: Diagnosis): string =>
  [message, remedy].filter((part) => part !== "").map((part) => /[.!?…]$/.test(part) ? part : `${part}.`).join(" ")

/** What is known about an end. */
export interface Death {
  readonly engine: EngineName
  readonly model: string
  /** Absent when the container was gone before it could be asked. */
  readonly exit: ContainerExit | undefined
  /** The last ones, oldest first. */
  readonly lines: ReadonlyArray<string>
  /** Bytes; absent when unlimited. */
  readonly memoryLimitBytes?: number
  /** Those that it was to use. */
  readonly gpus: ReadonlyArray<GpuInfo>
}

/** One kind of line that names a cause. */
interface Known {
  readonly pattern: RegExp
  /** Whose line it is; of both when absent. */
  readonly engine?: EngineName
  readonly explain: (match: RegExpExecArray, death: Death) => Diagnosis
}

/** Programs that hold memory of these GPUs, as a person names them: `python (pid 4711, 20.0 GiB)`. */
export const holdersOf = (gpus: ReadonlyArray<GpuInfo>): string =>
  gpus.flatMap(({ foreignProcesses }) => foreignProcesses).map(({ memoryUsedBytes, name, pid }) =>
    `${name} (pid ${pid}${memoryUsedBytes === undefined ? "" : `, ${Bytes.format(memoryUsedBytes)}`})`
  ).join(", ")

const busyRemedy = (death: Death): string => {
  const holders = holdersOf(death.gpus)
  return `${holders === "" ? "Free memory on the GPU" : `End what holds it (${holders})`}, `
    + "or lower what vLLM asks for: --vllm-arg=--gpu-memory-utilization=0.5"
}

const lasting = (cause: Cause, message: string, remedy: string): Diagnosis => ({
  cause,
  message,
  remedy,
  lasting: true
})

const quoted = (text: string) => JSON.stringify(text)

/** In the order of how much they say: the first that is found in any line wins. */
const known: ReadonlyArray<Known> = [
  {
    engine: "vllm",
    pattern: /Free memory on device[^(]*\(([^()]*)\).*less than desired GPU memory utilization(?:[^(]*\(([^()]*)\))?/,
    explain: (match, death) =>
      lasting(
        "gpu-memory-busy",
        `vLLM found too little free GPU memory: ${match[1] ?? ""}${
          match[2] === undefined ? "" : `, it wants ${match[2]}`
        }.`,
        busyRemedy(death)
      )
  },
  {
    engine: "vllm",
    pattern: /less than desired GPU memory utilization/,
    explain: (_, death) =>
      lasting("gpu-memory-busy", "vLLM found less free GPU memory than it is to use.", busyRemedy(death))
  },
  {
    engine: "vllm",
    pattern: /estimated maximum model length is (\d+)/,
    explain: (match) =>
      lasting(
        "kv-cache-too-small",
        `The GPU's memory does not hold so long a context: at most ${match[1]} tokens fit.`,
        `Set --vllm-max-model-len to ${match[1]} or less.`
      )
  },
  {
    engine: "vllm",
    pattern: /No available memory for the cache blocks|KV cache is needed, which is larger than the available/,
    explain: () =>
      lasting(
        "kv-cache-too-small",
        "Beside the model's weights the GPU's memory has no room for a context of this length.",
        "Set a smaller --vllm-max-model-len, or share the model between more GPUs with --vllm-tensor-parallel."
      )
  },
  {
    pattern: /CUDA out of memory|HIP out of memory|torch\.OutOfMemoryError|cudaMalloc failed: out of memory/,
    explain: ({ input }, { engine }) =>
      lasting(
        "gpu-out-of-memory",
        `The GPU ran out of memory${
          /Tried to allocate ([\d.]+ \wi?B)/.exec(input)?.[0].replace(/^T/, ": it t") ?? ""
        }.`,
        engine === "vllm"
          ? "Take a smaller model, share it between more GPUs (--vllm-tensor-parallel), or shorten the context (--vllm-max-model-len)."
          : "Take a smaller model, or a shorter context (OLLAMA_CONTEXT_LENGTH)."
      )
  },
  {
    engine: "vllm",
    pattern:
      /Failed to infer device type|libcuda\.so\.1: cannot open shared object file|No CUDA GPUs are available|Found no NVIDIA driver/,
    explain: ({ input }) =>
      lasting(
        "no-gpu-in-container",
        `There is no GPU inside the container (${
          /libcuda/.test(input) ? "libcuda.so.1 is missing" : "vLLM found no device"
        }).`,
        "Install and configure the NVIDIA container toolkit (nvidia-ctk runtime configure --runtime=docker, then restart Docker), "
          + "or run without a GPU: --vllm-gpus none"
      )
  },
  {
    engine: "vllm",
    pattern: /gated repo|401 Client Error|403 Client Error|Access to model .+ is restricted/,
    explain: (_, { model }) =>
      lasting(
        "model-access",
        `Hugging Face does not give out ${quoted(model)}: the token is missing or has no access.`,
        `Accept the model's licence on https://huggingface.co/${model}, and give the agent a token in HF_TOKEN.`
      )
  },
  {
    engine: "vllm",
    pattern:
      /404 Client Error|Repository Not Found|is not a valid model identifier|Invalid repository ID|does not appear to have a file named config\.json/,
    explain: (_, { model }) =>
      lasting(
        "model-not-found",
        `There is no model ${quoted(model)} on Hugging Face, or this token may not see it.`,
        "Check --vllm-model; a private model needs HF_TOKEN."
      )
  },
  {
    engine: "vllm",
    pattern: /Model architectures? (.+?) (?:are|is) not supported/,
    explain: (match, { model }) =>
      lasting(
        "model-unsupported",
        `This vLLM does not support ${quoted(model)} (architecture ${match[1]}).`,
        "Take another model, or a newer image with --vllm-image."
      )
  },
  {
    engine: "vllm",
    pattern: /NCCL.*unhandled system error|unhandled system error.*NCCL|ncclSystemError/,
    explain: () =>
      lasting(
        "shared-memory",
        "The GPUs' processes could not talk to each other (NCCL: unhandled system error), as when shared memory is too small.",
        "Give the container the host's IPC or a larger /dev/shm."
      )
  },
  {
    engine: "vllm",
    pattern: /error: (unrecognized arguments: .+|argument .+)$/,
    explain: (match) =>
      lasting("bad-argument", `vLLM does not understand its command line: ${match[1]}.`, "Correct --vllm-arg.")
  },
  {
    pattern: /No space left on device|Disk quota exceeded/i,
    explain: (_, { engine }) =>
      lasting(
        "disk-full",
        "The disk is full.",
        `Free some space ("docker system df" shows what Docker uses), or keep the weights elsewhere: --${engine}-volume.`
      )
  },
  {
    pattern: /bind: address already in use|Address already in use/i,
    explain: (_, { engine }) =>
      lasting(
        "port-in-container",
        `${titles[engine]} could not listen on its port inside the container.`,
        engine === "vllm"
          ? "Remove what changes its port (--vllm-arg)."
          : "Remove what changes its port (the image's OLLAMA_HOST)."
      )
  },
  {
    engine: "vllm",
    pattern:
      /Temporary failure in name resolution|Name or service not known|Max retries exceeded|Connection timed out|no such host|LocalEntryNotFoundError|Network is unreachable/,
    explain: () => ({
      cause: "network",
      message: "vLLM could not reach the server that has its model.",
      remedy: "Check this machine's network, DNS and proxy (HTTPS_PROXY is passed on).",
      lasting: false
    })
  }
]

/** Without the process that wrote it: `(EngineCore pid=123) `. */
export const withoutPrefix = (line: string): string =>
  line.replace(/\u001b\[[0-9;]*m/g, "").replace(/^(?:\([A-Za-z_][^()]*pid=\d+\)\s*)+/, "")

const isWarning = (line: string): boolean => /^(?:WARNING\b|WARN\b|time=\S+ level=WARN\b)/.test(line)

/** The cause that the lines name. */
export const ofLines = (death: Death): Diagnosis | undefined => {
  const lines = death.lines.map(withoutPrefix).filter((line) => !isWarning(line))
  for (const { engine, explain, pattern } of known) {
    if (engine !== undefined && engine !== death.engine) continue
    for (let index = lines.length - 1; index >= 0; index--) {
      const match = pattern.exec(lines[index] ?? "")
      if (match !== null) return explain(match, death)
    }
  }
  return undefined
}

const isError = (line: string): boolean =>
  /\b(?:ERROR|CRITICAL|FATAL|panic)\b|^[\w.]*(?:Error|Exception)\b/.test(line)
  && !/Engine core initialization failed/.test(line)

/** The line that says most when none is known. */
const lastWords = (lines: ReadonlyArray<string>): string => {
  const plain = lines.map(withoutPrefix).filter((line) => line.trim() !== "")
  const line = plain.findLast((text) => isError(text) && !isWarning(text)) ?? plain.at(-1) ?? ""
  return line.length > 300 ? `${line.slice(0, 300)}…` : line
}

const signalNames: Readonly<Record<number, string>> = { 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 15: "SIGTERM" }

/** Why a container ended. */
export const ofDeath = (death: Death): Diagnosis => {
  const { engine, exit, lines, memoryLimitBytes } = death
  const title = titles[engine]
  if (exit?.oomKilled === true) {
    return lasting(
      "memory-limit",
      memoryLimitBytes === undefined
        ? `${title} was ended by the kernel: the machine ran out of memory.`
        : `${title} was ended by the kernel: it needed more than its ${Bytes.format(memoryLimitBytes)} of memory.`,
      memoryLimitBytes === undefined
        ? "Free memory on this machine, or take a smaller model."
        : `Raise --${engine}-memory, or take a smaller model.`
    )
  }
  if (exit === undefined) return removed(engine)
  // One that was told to end has no other reason, whatever it complained of before.
  const named = exit.exitCode === 0 || exit.exitCode === 128 + 15 ? undefined : ofLines(death)
  if (named !== undefined) return named
  const words = lastWords(lines)
  const said = words === "" ? "" : ` Its last words: ${words}`
  if (exit.exitCode === 0) {
    return { cause: "ended", message: `${title} ended by itself, without an error.${said}`, remedy: "", lasting: false }
  }
  const signal = exit.exitCode > 128 ? exit.exitCode - 128 : undefined
  if (signal === 9 || signal === 15) {
    return {
      cause: "killed",
      message: `${title} was ended from outside (${signalNames[signal]}).${said}`,
      remedy: "",
      lasting: false
    }
  }
  return {
    cause: "crashed",
    message: `${title} ended with ${
      signal === undefined ? `exit code ${exit.exitCode}` : `signal ${signalNames[signal] ?? signal}`
    }${exit.error === undefined || exit.error === "" ? "" : ` (${exit.error})`}.${said}`,
    remedy: "The lines above it are in its log.",
    lasting: false
  }
}

/** A start during which nothing moved for too long. */
export const stalled = (engine: EngineName, silence: Duration.Duration, lines: ReadonlyArray<string>): Diagnosis => {
  const words = lastWords(lines)
  return {
    cause: "stalled",
    message: `${titles[engine]} has been silent for ${GoDuration.format(silence)} while starting${
      words === "" ? ": it wrote nothing" : `; its last line: ${words}`
    }.`,
    remedy: "Look whether the machine is overloaded, or a download hangs (network, proxy).",
    lasting: false
  }
}

/** It was ready, and answers no more. */
export const unhealthy = (engine: EngineName, failures: number, reason: string): Diagnosis => ({
  cause: "unhealthy",
  message: `${titles[engine]} failed ${failures} health checks in a row: ${reason}.`,
  remedy: "",
  lasting: false
})

/** It answers its health checks and works on nothing. */
export const hung = (engine: EngineName, running: number, silence: Duration.Duration): Diagnosis => ({
  cause: "unhealthy",
  message: `${titles[engine]} works on ${running} requests and has made no token for ${
    GoDuration.format(silence)
  }: its engine hangs.`,
  remedy: "",
  lasting: false
})

/** The settings ask for what this machine cannot do. */
export const refused = (engine: EngineName, problem: string, remedy: string): Diagnosis => ({
  cause: "refused",
  message: `${titles[engine]} cannot run here: ${problem}`,
  remedy,
  lasting: true
})

/** Errors of Docker that waiting alone does not mend. */
const lastingErrors: ReadonlySet<string> = new Set([
  "DockerNotFound",
  "DockerPermissionDenied",
  "DockerEndpointInvalid",
  "SpecInvalid",
  "ImageNotFound",
  "NameTaken",
  "PortTaken",
  "GpuUnavailable",
  "DeviceUnavailable",
  "VolumeUnavailable",
  "OutOfDisk"
])

/** Docker could not do what it was asked; its errors say what to do. */
export const ofDockerError = (
  engine: EngineName,
  error: DockerError.RunError | DockerError.PullError | DockerError.ContainerNotFound
): Diagnosis =>
  error._tag === "ContainerNotFound"
    ? removed(engine)
    : {
      cause: error._tag === "OutOfDisk" ? "disk-full" : "docker",
      message: error.message,
      remedy: "",
      lasting: lastingErrors.has(error._tag)
    }

const removed = (engine: EngineName): Diagnosis => ({
  cause: "removed",
  message: `${titles[engine]}'s container was removed by somebody else.`,
  remedy: `Stop the agent, or leave out --enable-${engine}, if it is not to run.`,
  lasting: false
})

/** The agent failed the engine. */
export const mistake = (engine: EngineName, what: string): Diagnosis => ({
  cause: "crashed",
  message: `The agent made a mistake while it looked after ${titles[engine]}: ${what}.`,
  remedy: "Please report it.",
  lasting: false
})
