/** vLLM: from its settings to a container, and what its log lines and its API say. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { EngineSettings } from "../EngineSettings.js"
import { table } from "./VllmSettings.js"
import * as Bytes from "../../text/Bytes.js"
import * as Diagnosis from "../Diagnosis.js"
import * as EngineContainer from "../EngineContainer.js"
import * as EnginePlan from "../EnginePlan.js"
import * as GpuSelection from "../GpuSelection.js"
import type { MachineFacts } from "../Machine.js"

/** Inside the container; the image's default. */
const containerPort = 8000
/** What vLLM compiled for this node: executable, so it is shared with no other. */
const compileCache = (nodeId: string) => `${EngineContainer.name({ nodeId, engine: "vllm" })}-compile-cache`
/** The share of a GPU's memory that vLLM takes when nothing is said. */
const defaultUtilization = 0.9
/** What its CPU kernels need of `/dev/shm`, as its documentation says. */
const cpuShmBytes = 4 * 1024 ** 3

const refused = (problem: string, remedy: string) =>
  Either.left(new EnginePlan.EngineRefused({ engine: "vllm", problem, remedy }))

const cpuTags: Readonly<Record<string, string>> = { amd64: "latest-x86_64", arm64: "latest-arm64" }

/** The image for where it runs, when the settings name none of their own. */
const imageFor = (
  settings: EngineSettings,
  selection: GpuSelection.GpuSelection | undefined,
  architecture: string
): string => {
  if (settings.vllmImage !== table.vllmImage.defaultText) return settings.vllmImage
  switch (selection?.vendor) {
    case "nvidia":
      return settings.vllmImage
    case "amd":
      return "vllm/vllm-openai-rocm:latest"
    case "intel":
      return "vllm/vllm-openai-xpu:latest"
    case undefined:
      return `vllm/vllm-openai-cpu:${cpuTags[architecture] ?? "latest"}`
  }
}

/** Short forms of options that matter here. */
const longForms: Readonly<Record<string, string>> = {
  "-tp": "--tensor-parallel-size",
  "-pp": "--pipeline-parallel-size",
  "-dp": "--data-parallel-size"
}

/** The option that an argument is, in its long form: vLLM takes underscores for dashes. */
const nameOf = (arg: string): string => {
  const name = arg.split("=")[0] ?? ""
  return longForms[name] ?? (name.startsWith("--") ? name.replaceAll("_", "-") : name)
}

/** The value of an option among vLLM's own arguments: `--name value` or `--name=value`. The last one holds. */
export const optionOf = (args: ReadonlyArray<string>, name: string): string | undefined => {
  let found: string | undefined
  for (const [index, arg] of args.entries()) {
    if (nameOf(arg) === name) found = arg.includes("=") ? arg.slice(arg.indexOf("=") + 1) : args[index + 1]
  }
  return found
}

/** Options that the agent's own settings give, and the setting that does. */
const ownOptions: ReadonlyMap<string, string> = new Map([
  ["--model", "--vllm-model"],
  ["--host", "--engine-bind-address"],
  ["--port", "--vllm-port"],
  ["--tensor-parallel-size", "--vllm-tensor-parallel"],
  ["--max-model-len", "--vllm-max-model-len"]
])

/** An argument that cannot be given. Only its name is told: what follows may be a secret. */
export interface BadArgument {
  readonly name: string
  readonly problem: string
  /** What would be valid, to follow "give". */
  readonly expected: string
}

/** What is wrong with further arguments, whatever the machine. */
export const badArgument = (args: ReadonlyArray<string>): BadArgument | undefined => {
  if (args[0] === "serve") {
    return { name: "serve", problem: "it is the image's own first argument", expected: "options of vllm serve" }
  }
  for (const arg of args) {
    const [name = ""] = arg.split(/[=\s]/)
    const setting = ownOptions.get(nameOf(arg))
    if (setting !== undefined) return { name, problem: `that is given by ${setting}`, expected: "other arguments" }
    if (/^--(?:ssl-|uds$)/.test(nameOf(arg))) {
      return { name, problem: "the agent asks vLLM over plain HTTP, on its port", expected: "other arguments" }
    }
    // vLLM would take it for one option of that name; and a secret in it would not be known for one.
    if (/^--?[\w-]+\s/.test(arg)) {
      return { name, problem: "option and value are one argument", expected: `--vllm-arg=${name}=VALUE` }
    }
  }
  return undefined
}

const sizeOf = (settings: EngineSettings, name: string): number =>
  Math.max(1, Number(optionOf(settings.vllmArgs, name) ?? 1) || 1)

/** The GPUs that all copies of the model are spread over. */
const gpusNeeded = (settings: EngineSettings): number =>
  settings.vllmTensorParallel * sizeOf(settings, "--pipeline-parallel-size") * sizeOf(settings, "--data-parallel-size")

/** The options that make it more than the setting says. */
const multipliers = (settings: EngineSettings): string =>
  ["--pipeline-parallel-size", "--data-parallel-size"].filter((name) => sizeOf(settings, name) > 1).join(" and ")

/** Options whose values are secrets, and the variables that say the same. */
const secretOptions: ReadonlyMap<string, string> = new Map([["--api-key", "VLLM_API_KEY"], ["--hf-token", "HF_TOKEN"]])

/** Arguments without secrets, and these by their variables: an argument can be read by everybody on the machine. */
const withoutSecrets = (
  args: ReadonlyArray<string>
): { readonly args: ReadonlyArray<string>; readonly secrets: Readonly<Record<string, string>> } => {
  const kept: Array<string> = []
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? ""
    if (!secretOptions.has(nameOf(arg))) kept.push(arg)
    else if (!arg.includes("=")) index++
  }
  const secrets: Record<string, string> = {}
  for (const [option, variable] of secretOptions) {
    const value = optionOf(args, option)
    if (value !== undefined && value !== "") secrets[variable] = value
  }
  return { args: kept, secrets }
}

/** Where things are on this machine means nothing in a container, and would lead past the volumes. */
const isPlace = (name: string): boolean => /_(?:HOME|CACHE|ROOT|PATH|DIR)$/.test(name)

/** Where vLLM would listen: the agent's to say. Kubernetes sets the like for a service that is called vllm. */
const isAddress = (name: string): boolean => /^VLLM_(?:HOST_IP|PORT|SERVICE_)/.test(name)

/** The container, or why there can be none on this machine. */
export const plan = (
  settings: EngineSettings,
  machine: MachineFacts
): Either.Either<EnginePlan.EnginePlan, EnginePlan.EngineRefused> =>
  Either.gen(function*() {
    const { cpu, gpus } = machine.capabilities
    const selection = yield* Either.mapLeft(GpuSelection.select(settings.vllmGpus, gpus), ({ expected, problem }) =>
      new EnginePlan.EngineRefused({
        engine: "vllm",
        problem: `--vllm-gpus is ${settings.vllmGpus}, and ${problem}.`,
        remedy: `Give ${expected}.`
      }))
    if (selection === undefined && settings.vllmGpus !== "none") {
      const seen = gpus.length === 0
        ? "this machine has no GPU, as far as the agent can see"
        : "containers cannot use this machine's GPU"
      return yield* refused(
        `${seen}, and vLLM needs one.`,
        "Set --vllm-gpus none to run it on the CPU (slow, with an image of its own), or use Ollama (--enable-ollama)."
      )
    }
    const needed = gpusNeeded(settings)
    if (selection === undefined) {
      if (
        !cpu.features.some((feature) =>
          feature === "avx512f" || feature === "avx2" || feature === "neon"
        )
      ) {
        return yield* refused(
          "its CPU kernels need AVX2, AVX512 or NEON, and this processor has none of them.",
          "Use Ollama (--enable-ollama) on this machine."
        )
      }
    } else if (needed > selection.count) {
      return yield* refused(
        `--vllm-tensor-parallel is ${settings.vllmTensorParallel}${
          needed === settings.vllmTensorParallel ? "" : ` (${needed} GPUs with ${multipliers(settings)})`
        }, and there ${
          selection.count === 1 ? "is 1 GPU" : `are ${selection.count} GPUs`
        } to share the model (--vllm-gpus ${settings.vllmGpus}).`,
        `Give at most ${selection.count}.`
      )
    } else if (selection.vendor === "nvidia") {
      const old = selection.gpus.find(({ computeCapability }) => Number(computeCapability ?? 99) < 7.5)
      if (old !== undefined && settings.vllmImage === table.vllmImage.defaultText) {
        return yield* refused(
          `${old.model} has compute capability ${old.computeCapability}, and vLLM needs 7.5 or more.`,
          "Use Ollama (--enable-ollama), or an older image with --vllm-image."
        )
      }
    }

    const { args, secrets } = withoutSecrets(settings.vllmArgs)
    const passed = EnginePlan.passedOn(machine.env, (name) =>
      /^(?:HF_|HUGGING_FACE_HUB_TOKEN$|VLLM_)/.test(name) && !isPlace(name) && !isAddress(name))
    const apiKey = secrets["VLLM_API_KEY"] ?? passed.secrets["VLLM_API_KEY"]
    const parts = selection === undefined ? undefined : EnginePlan.gpuParts(selection, machine)
    const spec = yield* EnginePlan.specOf({ nodeId: machine.nodeId, engine: "vllm" }, {
      image: imageFor(settings, selection, cpu.architecture),
      // The image's entry point is "vllm serve".
      command: [
        settings.vllmModel,
        "--max-model-len",
        String(settings.vllmMaxModelLen),
        ...(settings.vllmTensorParallel === 1 ? [] : ["--tensor-parallel-size", String(settings.vllmTensorParallel)]),
        ...args
      ],
      env: {
        ...passed.env,
        ...parts?.env,
        ...(selection === undefined && passed.env["VLLM_CPU_KVCACHE_SPACE"] === undefined
          ? { VLLM_CPU_KVCACHE_SPACE: "4" }
          : {})
      },
      secrets: { ...passed.secrets, ...secrets },
      ports: [{ container: containerPort, hostIp: EnginePlan.bindIp(settings), host: settings.vllmPort }],
      mounts: [
        EnginePlan.mountOf(settings.vllmVolume, "/root/.cache/huggingface"),
        { _tag: "Volume", name: compileCache(machine.nodeId), target: "/root/.cache/vllm" },
        ...(selection?.vendor === "intel"
          ? [{ _tag: "Bind", source: "/dev/dri/by-path", target: "/dev/dri/by-path", readOnly: true } as const]
          : [])
      ],
      ...(parts?.gpus === undefined ? {} : { gpus: parts.gpus }),
      ...(parts?.devices === undefined ? {} : { devices: parts.devices }),
      ...(parts?.groups === undefined ? {} : { groups: parts.groups }),
      // Its processes, and NCCL between GPUs, talk through shared memory.
      ...(selection === undefined ? { shmBytes: cpuShmBytes } : { ipc: "host" as const }),
      ...(selection === undefined
        ? { capAdd: ["SYS_NICE"], securityOptions: ["seccomp=unconfined"] }
        : selection.vendor === "amd"
        ? { capAdd: ["SYS_PTRACE"], securityOptions: ["seccomp=unconfined"] }
        : selection.vendor === "intel"
        ? { privileged: true, noNewPrivileges: false }
        : {}),
      ...(Option.isSome(settings.vllmMemory) ? { memoryBytes: settings.vllmMemory.value } : {}),
      stopTimeoutSeconds: EnginePlan.stopTimeoutSeconds
    })
    return {
      name: "vllm",
      spec,
      baseUrl: EnginePlan.baseUrl(settings, settings.vllmPort),
      model: settings.vllmModel,
      ...(apiKey === undefined ? {} : { apiKey: Redacted.make(apiKey) }),
      gpus: selection,
      findings: []
    }
  })

/** Why there is not enough free GPU memory for what vLLM will ask for; `undefined` when there is, or nobody knows. */
export const memoryShortage = (
  settings: EngineSettings,
  { gpus }: EnginePlan.EnginePlan
): Diagnosis.Diagnosis | undefined => {
  if (gpus === undefined) return undefined
  const said = Number(optionOf(settings.vllmArgs, "--gpu-memory-utilization") ?? defaultUtilization)
  const share = said > 0 && said <= 1 ? said : defaultUtilization
  for (const gpu of gpus.gpus.slice(0, gpusNeeded(settings))) {
    const { index, memoryFreeBytes, memoryTotalBytes, migInstances, model, unifiedMemory } = gpu
    // Of a GPU that is cut up only the whole is known.
    if (unifiedMemory || migInstances.length > 0) continue
    if (memoryFreeBytes === undefined || memoryTotalBytes === undefined || memoryTotalBytes === 0) continue
    const wanted = memoryTotalBytes * share
    if (memoryFreeBytes >= wanted) continue
    const holders = Diagnosis.holdersOf([gpu])
    const fits = Math.floor((memoryFreeBytes / memoryTotalBytes) * 20) / 20
    return {
      cause: "gpu-memory-busy",
      message:
        `GPU ${index ?? ""} (${model}) has ${Bytes.format(memoryFreeBytes)} of memory free, and vLLM will ask for `
        + `${Bytes.format(wanted)} (${Math.round(share * 100)} % of it)${
          holders === "" ? "" : `; it is held by ${holders}`
        }.`,
      remedy: fits >= 0.1
        ? `Free it, or let vLLM ask for less: --vllm-arg=--gpu-memory-utilization=${fits.toFixed(2)}`
        : "Free it, or choose another GPU with --vllm-gpus.",
      lasting: true
    }
  }
  return undefined
}

/** The names that it will answer to. */
export const servedNames = (settings: EngineSettings): ReadonlyArray<string> => {
  const name = optionOf(settings.vllmArgs, "--served-model-name")
  return [name ?? settings.vllmModel]
}

/** What a log line says of how far the start is. */
const stages: ReadonlyArray<readonly [RegExp, string]> = [
  [/Loading safetensors checkpoint shards:\s+(\d+)% Completed/, "Loading the weights ($1 %)"],
  [/Loading weights took ([\d.]+)/, "The weights are loaded ($1 s)"],
  [/Model loading took/, "The model is loaded"],
  [/Starting to load model|Loading model from scratch/, "Loading the model"],
  [/torch\.compile takes ([\d.]+)/, "Compiled ($1 s)"],
  [/Dynamo bytecode transform|Compiling a graph|Cache the graph/, "Compiling the model"],
  [/Capturing CUDA graph.*?(\d+)%/, "Capturing CUDA graphs ($1 %)"],
  [/Graph capturing finished in (\d+)/, "CUDA graphs are captured ($1 s)"],
  [/GPU KV cache size: ([\d,]+) tokens/, "Memory for $1 tokens of context is set aside"],
  [/init engine .*took ([\d.]+)/, "The engine is initialized ($1 s)"],
  [/Application startup complete/, "Started"]
]

export const stageOf = (line: string): string | undefined => {
  for (const [pattern, text] of stages) {
    const match = pattern.exec(line)
    if (match !== null) return text.replace("$1", match[1] ?? "")
  }
  return undefined
}

/** Lines that only say that the agent itself asked. */
export const isNoise = (line: string): boolean => /"(?:GET|HEAD) \/(?:health|metrics|v1\/models)[ ?]/.test(line)

/** The platform that it found, as its log says: `cuda`, `rocm`, `cpu`. */
export const platformOf = (line: string): string | undefined =>
  /Automatically detected platform (\w{1,20})/.exec(line)?.[1]?.toLowerCase()

/** Figures of its `/metrics`, summed over its engines; `undefined` where the page has none. */
export interface Load {
  readonly running: number
  /** Prompt and generated tokens since its start. */
  readonly tokens: number
  /** The part of the memory for contexts that is in use: it grows while a long prompt is read, before any token counts. */
  readonly cacheUsage: number
}

const sumOf = (page: string, name: string): number | undefined => {
  let sum: number | undefined
  for (const match of page.matchAll(new RegExp(`^${name}(?:\\{.*\\})? ([0-9.eE+-]+)$`, "gm"))) {
    const value = Number(match[1])
    if (Number.isFinite(value)) sum = (sum ?? 0) + value
  }
  return sum
}

export const loadOf = (page: string): Load | undefined => {
  const running = sumOf(page, "vllm:num_requests_running")
  const prompt = sumOf(page, "vllm:prompt_tokens_total")
  const generated = sumOf(page, "vllm:generation_tokens_total")
  return running === undefined || prompt === undefined || generated === undefined
    ? undefined
    : {
      running,
      tokens: prompt + generated,
      cacheUsage: sumOf(page, "vllm:kv_cache_usage_perc") ?? sumOf(page, "vllm:gpu_cache_usage_perc") ?? 0
    }
}
