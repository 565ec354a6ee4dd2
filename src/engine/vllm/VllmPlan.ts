/** vLLM's container: from the settings to its spec on a machine. */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as ContainerSpec from "../../docker/ContainerSpec.js"
import type { GpuInfo } from "../../node/NodeCapabilities.js"
import * as Bytes from "../../text/Bytes.js"
import * as Diagnosis from "../Diagnosis.js"
import * as EngineContainer from "../EngineContainer.js"
import * as EnginePlan from "../EnginePlan.js"
import type { EngineSettings } from "../EngineSettings.js"
import * as GpuSelection from "../GpuSelection.js"
import type { MachineFacts } from "../Machine.js"
import { optionOf, withoutSecrets } from "./VllmArguments.js"
import { name, title } from "./VllmSettings.js"

/** Inside the container; the image's default. */
const containerPort = 8000
/** What vLLM compiled for this node: executable, so it is shared with no other. */
const compileCache = (nodeId: string) => `${EngineContainer.name({ nodeId, engine: name })}-compile-cache`
/** vLLM's default share of a GPU's memory. */
const defaultUtilization = 0.9
/** What its CPU kernels need of `/dev/shm`, as its documentation says. */
const cpuShmBytes = 4 * 1024 ** 3

const refused = (problem: string, remedy: string) =>
  Either.left(new EnginePlan.EngineRefused({ title, problem, remedy }))

const cpuTags: Readonly<Record<string, string>> = { amd64: "latest-x86_64", arm64: "latest-arm64" }

/** The image that was given; the one for the hardware when none was. */
const imageFor = (
  settings: EngineSettings,
  selection: GpuSelection.GpuSelection | undefined,
  architecture: string
): string => {
  if (settings.provenance("vllmImage").isGiven) return settings.vllmImage
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

const sizeOf = (settings: EngineSettings, name: string): number =>
  Math.max(1, Number(optionOf(settings.vllmArgs, name) ?? 1) || 1)

/** The GPUs that all copies of the model are spread over. */
const gpusNeeded = (settings: EngineSettings): number =>
  settings.vllmTensorParallel * sizeOf(settings, "--pipeline-parallel-size") * sizeOf(settings, "--data-parallel-size")

/** The options that make it more than the setting says. */
const multipliers = (settings: EngineSettings): string =>
  ["--pipeline-parallel-size", "--data-parallel-size"].filter((name) => sizeOf(settings, name) > 1).join(" and ")

/** Paths of this machine are meaningless in a container, and would bypass the volumes. */
const isPlace = (name: string): boolean => /_(?:HOME|CACHE|ROOT|PATH|DIR)$/.test(name)

/** Where vLLM listens, which the agent decides. Kubernetes sets such variables for a service named vllm. */
const isAddress = (name: string): boolean => /^VLLM_(?:HOST_IP|PORT|SERVICE_)/.test(name)

const needsGpu = (gpus: ReadonlyArray<GpuInfo>) =>
  refused(
    `${
      gpus.length === 0
        ? "this machine has no GPU, as far as the agent can see"
        : "containers cannot use this machine's GPU"
    }, and vLLM needs one.`,
    "Set --vllm-gpus none to run it on the CPU (slow, with an image of its own), or use Ollama (--enable-ollama)."
  )

const tooFewGpus = (settings: EngineSettings, needed: number, count: number) =>
  refused(
    `--vllm-tensor-parallel is ${settings.vllmTensorParallel}${
      needed === settings.vllmTensorParallel ? "" : ` (${needed} GPUs with ${multipliers(settings)})`
    }, and there ${
      count === 1 ? "is 1 GPU" : `are ${count} GPUs`
    } to share the model (--vllm-gpus ${settings.vllmGpus}).`,
    `Give at most ${count}.`
  )

/** Instruction sets that its CPU kernels are built for. */
const cpuFeatures = ["avx512f", "avx2", "neon"]

/** Its GPUs, none for the CPU; or why this machine's hardware is not suitable. */
const hardwareFor = (
  settings: EngineSettings,
  { cpu, gpus }: MachineFacts["capabilities"]
): Either.Either<GpuSelection.GpuSelection | undefined, EnginePlan.EngineRefused> =>
  Either.gen(function*() {
    const selection = yield* Either.mapLeft(
      GpuSelection.select(settings.vllmGpus, gpus),
      ({ expected, problem }) =>
        new EnginePlan.EngineRefused({
          title,
          problem: `--vllm-gpus is ${settings.vllmGpus}, and ${problem}.`,
          remedy: `Give ${expected}.`
        })
    )
    if (selection === undefined) {
      if (settings.vllmGpus !== "none") return yield* needsGpu(gpus)
      if (cpuFeatures.some((feature) => cpu.features.includes(feature))) return undefined
      return yield* refused(
        "its CPU kernels need AVX2, AVX512 or NEON, and this processor has none of them.",
        "Use Ollama (--enable-ollama) on this machine."
      )
    }
    const needed = gpusNeeded(settings)
    if (needed > selection.count) return yield* tooFewGpus(settings, needed, selection.count)
    const old = selection.vendor !== "nvidia" || settings.provenance("vllmImage").isGiven
      ? undefined
      : selection.gpus.find(({ computeCapability }) => Number(computeCapability ?? 99) < 7.5)
    if (old === undefined) return selection
    return yield* refused(
      `${old.model} has compute capability ${old.computeCapability}, and vLLM needs 7.5 or more.`,
      "Use Ollama (--enable-ollama), or an older image with --vllm-image."
    )
  })

/** What the container may do, by what it runs on. */
const permissions = (
  vendor: GpuSelection.ContainerGpuVendor | undefined
): Partial<ContainerSpec.ContainerSpecInput> => {
  switch (vendor) {
    case undefined:
      // For memory that is local to a processor; with it Docker's seccomp profile allows mbind and set_mempolicy.
      return EnginePlan.confinement(["SYS_NICE"])
    case "nvidia":
      return EnginePlan.confinement()
    case "amd":
      // ROCm shares memory between processes by ptrace, and maps it with calls that Docker's profile refuses.
      return { ...EnginePlan.confinement(["SYS_PTRACE"]), securityOptions: ["seccomp=unconfined"] }
    case "intel":
      return { privileged: true, noNewPrivileges: false }
  }
}

/** The container, or why there can be none on this machine. */
export const plan = (
  settings: EngineSettings,
  machine: MachineFacts
): Either.Either<EnginePlan.ContainerPlan, EnginePlan.EngineRefused> =>
  Either.gen(function*() {
    const { capabilities, nodeId } = machine
    const selection = yield* hardwareFor(settings, capabilities)
    const { args, secrets } = withoutSecrets(settings.vllmArgs)
    const passed = EnginePlan.passedOn(machine.env, (name) =>
      /^(?:HF_|HUGGING_FACE_HUB_TOKEN$|VLLM_)/.test(name) && !isPlace(name) && !isAddress(name))
    const apiKey = secrets["VLLM_API_KEY"] ?? machine.env["VLLM_API_KEY"]
    const parts = selection === undefined ? undefined : EnginePlan.gpuParts(selection, machine)
    const spec = yield* EnginePlan.specOf({ nodeId, engine: name, title }, {
      image: imageFor(settings, selection, capabilities.cpu.architecture),
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
        { _tag: "Volume", name: compileCache(nodeId), target: "/root/.cache/vllm" },
        ...(selection?.vendor === "intel"
          ? [{ _tag: "Bind", source: "/dev/dri/by-path", target: "/dev/dri/by-path", readOnly: true } as const]
          : [])
      ],
      ...(parts?.gpus === undefined ? {} : { gpus: parts.gpus }),
      ...(parts?.devices === undefined ? {} : { devices: parts.devices }),
      ...(parts?.groups === undefined ? {} : { groups: parts.groups }),
      // Its processes, and NCCL between GPUs, talk through shared memory.
      ...(selection === undefined ? { shmBytes: cpuShmBytes } : { ipc: "host" as const }),
      ...permissions(selection?.vendor),
      ...(Option.isSome(settings.vllmMemory) ? { memoryBytes: settings.vllmMemory.value } : {}),
      stopTimeoutSeconds: EnginePlan.stopTimeoutSeconds
    })
    return {
      _tag: "Container",
      name,
      spec,
      baseUrl: EnginePlan.baseUrl(settings, settings.vllmPort),
      model: settings.vllmModel,
      ...(apiKey === undefined || apiKey === "" ? {} : { apiKey: Redacted.make(apiKey) }),
      gpus: selection,
      findings: []
    }
  })

/** Why there is too little free GPU memory for vLLM; `undefined` when there is enough, or it is unknown. */
export const memoryShortage = (
  settings: EngineSettings,
  plan: EnginePlan.EnginePlan
): Diagnosis.Diagnosis | undefined => {
  if (plan._tag !== "Container" || plan.gpus === undefined) return undefined
  const said = Number(optionOf(settings.vllmArgs, "--gpu-memory-utilization") ?? defaultUtilization)
  const share = said > 0 && said <= 1 ? said : defaultUtilization
  for (const gpu of plan.gpus.gpus.slice(0, gpusNeeded(settings))) {
    const { index, memoryFreeBytes, memoryTotalBytes, migInstances, model, unifiedMemory } = gpu
    // For a partitioned GPU only the total is known.
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

/** The model name that it will serve. */
export const servedName = (settings: EngineSettings): string =>
  optionOf(settings.vllmArgs, "--served-model-name") ?? settings.vllmModel
