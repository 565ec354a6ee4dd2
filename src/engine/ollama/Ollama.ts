/** Ollama: from its settings to a container, and what its log lines and its API say. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Finding } from "../../node/NodeCapabilities.js"
import type { EngineSettings } from "../EngineSettings.js"
import { table } from "./OllamaSettings.js"
import * as Bytes from "../../text/Bytes.js"
import type { Diagnosis } from "../Diagnosis.js"
import * as EngineFindings from "../EngineFindings.js"
import * as EnginePlan from "../EnginePlan.js"
import * as GpuSelection from "../GpuSelection.js"
import type { MachineFacts } from "../Machine.js"

export { withTag } from "../../chat/ModelName.js"

/** Inside the container; the image's default. */
const containerPort = 11434

/** The agent gives these itself. */
const own = new Set(["OLLAMA_HOST", "OLLAMA_MODELS"])

const onCpu = (why: string, remedy: string) =>
  new Finding({
    code: "engine.on-cpu",
    severity: "info",
    subject: "Ollama",
    message: `Ollama runs on the CPU: ${why}.`,
    remedy
  })

const imageFor = (settings: EngineSettings, selection: GpuSelection.GpuSelection | undefined): string =>
  selection?.vendor === "amd" && settings.ollamaImage === table.ollamaImage.defaultText
    ? "ollama/ollama:rocm"
    : settings.ollamaImage

/** Ollama uses Intel's GPUs through Vulkan, which has a choice of its own. */
const vulkan = ({ devices }: GpuSelection.GpuSelection): Record<string, string> => ({
  OLLAMA_VULKAN: "1",
  ...(devices === "all" ? {} : { GGML_VK_VISIBLE_DEVICES: devices.join(",") })
})

/** The container, or why there can be none on this machine. */
export const plan = (
  settings: EngineSettings,
  machine: MachineFacts
): Either.Either<EnginePlan.EnginePlan, EnginePlan.EngineRefused> =>
  Either.gen(function*() {
    const { gpus } = machine.capabilities
    const selection = yield* Either.mapLeft(GpuSelection.select(settings.ollamaGpus, gpus), ({ expected, problem }) =>
      new EnginePlan.EngineRefused({
        engine: "ollama",
        problem: `--ollama-gpus is ${settings.ollamaGpus}, and ${problem}.`,
        remedy: `Give ${expected}.`
      }))
    const passed = EnginePlan.passedOn(machine.env, (name) =>
      name.startsWith("OLLAMA_") && !own.has(name))
    const parts = selection === undefined ? undefined : EnginePlan.gpuParts(selection, machine)
    const spec = yield* EnginePlan.specOf({ nodeId: machine.nodeId, engine: "ollama" }, {
      image: imageFor(settings, selection),
      env: {
        ...passed.env,
        ...parts?.env,
        // The image asks for all of NVIDIA's, which a default runtime of NVIDIA's would grant.
        ...(selection === undefined ? { NVIDIA_VISIBLE_DEVICES: "void" } : {}),
        ...(selection?.vendor === "intel" ? vulkan(selection) : {})
      },
      secrets: passed.secrets,
      ports: [{ container: containerPort, hostIp: EnginePlan.bindIp(settings), host: settings.ollamaPort }],
      mounts: [EnginePlan.mountOf(settings.ollamaVolume, "/root/.ollama")],
      ...(parts?.gpus === undefined ? {} : { gpus: parts.gpus }),
      ...(parts?.devices === undefined ? {} : { devices: parts.devices }),
      ...(parts?.groups === undefined ? {} : { groups: parts.groups }),
      ...(Option.isSome(settings.ollamaMemory) ? { memoryBytes: settings.ollamaMemory.value } : {}),
      stopTimeoutSeconds: EnginePlan.stopTimeoutSeconds
    })
    const findings = selection !== undefined || settings.ollamaGpus === "none"
      ? []
      : gpus.length === 0
      ? [onCpu("this machine has no GPU, as far as the agent can see", "")]
      : [onCpu("containers on this machine cannot use its GPU", "Run Ollama outside of containers to use it.")]
    return {
      name: "ollama",
      spec,
      baseUrl: EnginePlan.baseUrl(settings, settings.ollamaPort),
      model: settings.ollamaModel,
      gpus: selection,
      findings
    }
  })

/** What a log line says of how far the start is. */
export const stageOf = (line: string): string | undefined =>
  /Listening on /.test(line)
    ? "Ollama listens"
    : /inference compute/.test(line)
    ? "Ollama found its devices"
    : undefined

/** Lines that only say that the agent itself asked. */
export const isNoise = (line: string): boolean =>
  /\[GIN\].*\b(?:GET|HEAD)\s+"\/(?:api\/version|api\/ps|api\/tags|v1\/models)?"/.test(line)

/** The kind of device that it computes on, as the line about it says; `undefined` for other lines. */
export const libraryOf = (line: string): string | undefined =>
  /inference compute.*?\blibrary=(\w+)/.exec(line)?.[1]?.toLowerCase()

const decodePs = Schema.decodeUnknownEither(Schema.parseJson(Schema.Struct({
  models: Schema.Array(Schema.Struct({
    name: Schema.String,
    size: Schema.Number,
    size_vram: Schema.optional(Schema.Number)
  }))
})))

/** What `/api/ps` says of models that do not fit the GPU; `undefined` when none is loaded. */
export const partlyOnCpu = (body: string): ReadonlyArray<Finding> | undefined => {
  const decoded = decodePs(body)
  if (Either.isLeft(decoded) || decoded.right.models.length === 0) return undefined
  return decoded.right.models.flatMap(({ name, size, size_vram = 0 }) =>
    size <= 0 || size_vram >= size ? [] : [
      new Finding({
        code: size_vram === 0 ? "engine.gpu-not-used" : "engine.partly-on-cpu",
        severity: "warning",
        subject: "Ollama",
        message: size_vram === 0
          ? `${name} runs on the CPU although Ollama was given a GPU.`
          : `${Bytes.format(size - size_vram)} of ${name}'s ${
            Bytes.format(size)
          } do not fit the GPU and run on the CPU.`,
        remedy: size_vram === 0
          ? EngineFindings.gpuRemedy
          : "Take a smaller or more quantized model, a shorter context (OLLAMA_CONTEXT_LENGTH), or free GPU memory."
      })
    ]
  )
}

const decodeTags = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Struct({ models: Schema.NullOr(Schema.Array(Schema.Struct({ name: Schema.String }))) }))
)

/** The models on its disk, as `/api/tags` lists them; `undefined` for an answer that is none. */
export const modelsOf = (body: string): ReadonlyArray<string> | undefined =>
  Either.getOrUndefined(Either.map(decodeTags(body), ({ models }) => (models ?? []).map(({ name }) => name)))

/** One line of a pull's progress. */
export const PullLine = Schema.parseJson(Schema.Struct({
  status: Schema.optional(Schema.String),
  error: Schema.optional(Schema.String),
  digest: Schema.optional(Schema.String),
  total: Schema.optional(Schema.Number),
  completed: Schema.optional(Schema.Number)
}))
export type PullLine = typeof PullLine.Type

/** Why a model could not be pulled. */
export const pullDiagnosis = (model: string, error: string): Diagnosis => {
  const name = JSON.stringify(model)
  if (/permission denied/i.test(error)) {
    return {
      cause: "no-permission",
      message: `Ollama may not write where it keeps its models (${error}).`,
      remedy: "Give the directory of --ollama-volume to root, or use a volume by its name.",
      lasting: true
    }
  }
  if (/file does not exist|not found|invalid model name|name is invalid|manifest unknown/i.test(error)) {
    return {
      cause: "model-not-found",
      message: `Ollama's library has no model ${name} (${error}).`,
      remedy: "Check --ollama-model; https://ollama.com/library lists what there is.",
      lasting: true
    }
  }
  if (/unauthori[sz]ed|forbidden|denied/i.test(error)) {
    return {
      cause: "model-access",
      message: `The registry does not give out ${name} (${error}).`,
      remedy: "Choose a public model, or one that this machine's key may pull.",
      lasting: true
    }
  }
  if (/no space left|disk quota/i.test(error)) {
    return {
      cause: "disk-full",
      message: `There is no room for ${name} (${error}).`,
      remedy: "Free some space, or keep the models elsewhere: --ollama-volume.",
      lasting: true
    }
  }
  if (/requires a newer version|newer version of Ollama/i.test(error)) {
    return {
      cause: "model-unsupported",
      message: `This Ollama is too old for ${name} (${error}).`,
      remedy: "Take a newer image with --ollama-image.",
      lasting: true
    }
  }
  return {
    cause: "network",
    message: `Ollama could not pull ${name}: ${error}.`,
    remedy: "Check this machine's way to the registry (network, DNS, proxy; HTTPS_PROXY is passed on).",
    lasting: false
  }
}
