/** The GPUs of a machine, from what the vendors' probes know: pure. */
import { finding } from "../node/Findings.js"
import type { Finding, GpuInfo, MemoryInfo } from "../node/NodeCapabilities.js"
import type { RuntimeFacts } from "./ContainerRuntime.js"
import { describeGpu, type GpuFacts } from "./gpu/Gpu.js"

/** The memory of a GPU that has none of its own is the system's. */
const withSystemMemory = (gpu: GpuInfo, memory: MemoryInfo): GpuInfo =>
  gpu.unifiedMemory && gpu.memoryTotalBytes === undefined
    ? describeGpu({
      ...gpu,
      memoryTotalBytes: memory.totalBytes,
      memoryUsedBytes: memory.totalBytes - memory.availableBytes,
      memoryFreeBytes: memory.availableBytes
    })
    : gpu

/** All GPUs, each with the programs that use it and are not the agent's own. */
export const join = (
  vendors: ReadonlyArray<GpuFacts>,
  memory: MemoryInfo,
  ownPids: ReadonlySet<number>
): ReadonlyArray<GpuInfo> =>
  vendors.flatMap(({ gpus, users }) =>
    gpus.map((gpu) => {
      const foreignProcesses = [...(users.get(gpu.uuid ?? "") ?? []), ...(users.get(gpu.pciAddress ?? "") ?? [])]
        .filter(({ pid }) => !ownPids.has(pid))
      const whole = foreignProcesses.length === 0 ? gpu : describeGpu({ ...gpu, foreignProcesses })
      return withSystemMemory(whole, memory)
    })
  )

/** The finding `gpu.unknown`, while some vendor's probe does not know which GPUs there are. */
export const unknown = (
  vendors: ReadonlyArray<{ readonly subject: string; readonly hasRun: boolean; readonly isKnown: boolean }>
): ReadonlyArray<Finding> => {
  const missing = vendors.filter(({ isKnown }) => !isKnown)
  if (missing.length === 0) return []
  const tried = missing.filter(({ hasRun }) => hasRun)
  return [finding(
    tried.length === 0
      ? {
        code: "gpu.unknown",
        severity: "info",
        subject: "GPUs",
        message: "GPUs are not known yet: detection is still running.",
        remedy: ""
      }
      : {
        code: "gpu.unknown",
        severity: "warning",
        subject: "GPUs",
        message: `GPUs are not known yet: no answer about ${tried.map(({ subject }) => subject).join(", ")}.`,
        remedy: "Detection continues; engines that may use a GPU wait for it. The other findings say what is slow."
      }
  )]
}

/** Whether containers can have these GPUs, and the finding where they cannot. */
export const containerAccess = (
  { kind, nvidiaReady }: RuntimeFacts,
  gpus: ReadonlyArray<GpuInfo>,
  platform: NodeJS.Platform
): { readonly gpuReady: boolean; readonly findings: ReadonlyArray<Finding> } => {
  if (gpus.some(({ vendor }) => vendor === "nvidia") && !nvidiaReady && platform === "linux") {
    return {
      gpuReady: false,
      findings: [finding({
        code: "runtime.no-gpu-support",
        severity: "warning",
        subject: "container runtime",
        message: `${kind === "docker" ? "Docker" : "Podman"} cannot give this machine's NVIDIA GPUs to containers.`,
        remedy: "Install nvidia-container-toolkit, then run: sudo nvidia-ctk "
          + (kind === "docker"
            ? "runtime configure --runtime=docker && sudo systemctl restart docker"
            : "cdi generate --output=/etc/cdi/nvidia.yaml")
      })]
    }
  }
  // The other vendors' GPUs are given to containers as plain devices.
  const plain = platform === "linux" && gpus.some(({ vendor }) => vendor === "amd" || vendor === "intel")
  return { gpuReady: platform !== "darwin" && (nvidiaReady || plain), findings: [] }
}
