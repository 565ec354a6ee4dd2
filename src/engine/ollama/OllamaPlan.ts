/** Ollama's container: from the settings to its spec on a machine. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { finding } from "../../node/Findings.js"
import type { Finding, GpuInfo } from "../../node/NodeCapabilities.js"
import * as EnginePlan from "../EnginePlan.js"
import type { EngineSettings } from "../EngineSettings.js"
import * as GpuSelection from "../GpuSelection.js"
import type { MachineFacts } from "../Machine.js"
import { name, title } from "./OllamaSettings.js"

/** Inside the container; the image's default. */
const containerPort = 11434

/** The agent sets these itself. */
const own = new Set(["OLLAMA_HOST", "OLLAMA_MODELS"])

const onCpu = (why: string, remedy: string) =>
  finding({
    code: "engine.on-cpu",
    severity: "info",
    subject: title,
    message: `Ollama runs on the CPU: ${why}.`,
    remedy
  })

/** The image that was given; the one for the hardware when none was. */
const imageFor = (settings: EngineSettings, selection: GpuSelection.GpuSelection | undefined): string =>
  selection?.vendor === "amd" && !settings.provenance("ollamaImage").isGiven
    ? "ollama/ollama:rocm"
    : settings.ollamaImage

/** Ollama uses Intel's GPUs through Vulkan, which has a choice of its own. */
const vulkan = ({ devices }: GpuSelection.GpuSelection): Record<string, string> => ({
  OLLAMA_VULKAN: "1",
  ...(devices === "all" ? {} : { GGML_VK_VISIBLE_DEVICES: devices.join(",") })
})

const findingsOf = (
  settings: EngineSettings,
  selection: GpuSelection.GpuSelection | undefined,
  gpus: ReadonlyArray<GpuInfo>
): ReadonlyArray<Finding> =>
  selection !== undefined || settings.ollamaGpus === "none"
    ? []
    : gpus.length === 0
    ? [onCpu("this machine has no GPU, as far as the agent can see", "")]
    : [onCpu(
      "containers on this machine cannot use its GPU",
      "Run Ollama outside of containers, where it can, and give the agent its address: --ollama-url http://127.0.0.1:11434"
    )]

/** The container, or why there can be none on this machine. */
export const plan = (
  settings: EngineSettings,
  machine: MachineFacts
): Either.Either<EnginePlan.ContainerPlan, EnginePlan.EngineRefused> =>
  Either.gen(function*() {
    const { gpus } = machine.capabilities
    const selection = yield* Either.mapLeft(GpuSelection.select(settings.ollamaGpus, gpus), ({ expected, problem }) =>
      new EnginePlan.EngineRefused({
        title,
        problem: `--ollama-gpus is ${settings.ollamaGpus}, and ${problem}.`,
        remedy: `Give ${expected}.`
      }))
    const passed = EnginePlan.passedOn(machine.env, (name) =>
      name.startsWith("OLLAMA_") && !own.has(name))
    const parts = selection === undefined ? undefined : EnginePlan.gpuParts(selection, machine)
    const spec = yield* EnginePlan.specOf({ nodeId: machine.nodeId, engine: name, title }, {
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
      ...EnginePlan.confinement(),
      ...(Option.isSome(settings.ollamaMemory) ? { memoryBytes: settings.ollamaMemory.value } : {}),
      stopTimeoutSeconds: EnginePlan.stopTimeoutSeconds
    })
    return {
      _tag: "Container",
      name,
      spec,
      baseUrl: EnginePlan.baseUrl(settings, settings.ollamaPort),
      model: settings.ollamaModel,
      gpus: selection,
      findings: findingsOf(settings, selection, gpus)
    }
  })
