/** What can be found wrong with a machine: the codes, which never change their meaning, and how a finding is made. */
import { unchecked } from "./Fields.js"
import { Finding, type Severity } from "./NodeCapabilities.js"

/** Every code with what it stands for. Programs match on the code; the messages may change. */
export const findingCodes = {
  "gpu.unknown": "Which GPUs there are is not known yet: detection has not ended, or a vendor's tool does not answer.",
  "file.unreadable": "A file that tells a fact is there but cannot be read.",
  "probe.timed-out": "Facts were not found in time: a device, a file system or a service does not answer.",
  "probe.failed": "A probe of the agent has a mistake; please report it.",
  "tool.timed-out": "A vendor's tool did not end in time and was killed.",
  "tool.unkillable": "A vendor's tool was killed and does not end: its driver holds it.",
  "tool.slow": "A vendor's tool takes longer than it should; it is given more time in the background.",
  "tool.failed": "A vendor's tool failed in a way that has no code of its own.",
  "tool.excessive-output": "A vendor's tool printed far more than it should and was killed.",
  "tool.unexpected-output": "A vendor's tool printed something that is not its documented output.",
  "memory.unknown": "The system does not say how much memory there is or is available.",
  "disk.nearly-full": "A disk that the agent or its engines write to is nearly full.",
  "network.unreachable": "There is no address of this machine that reaches the orchestrator.",
  "runtime.permission": "The container runtime is there, but the agent may not use it.",
  "runtime.not-running": "The container runtime is installed, but does not answer.",
  "runtime.endpoint-invalid": "What is set as the container runtime's endpoint cannot be used.",
  "runtime.no-gpu-support": "There is a GPU, but the container runtime cannot hand it to containers.",
  "nvidia.driver-mismatch": "The kernel runs another version of NVIDIA's driver than the one that is installed.",
  "nvidia.driver-not-loaded": "NVIDIA's driver is installed but not loaded.",
  "nvidia.driver-missing": "There is an NVIDIA GPU, but no driver of NVIDIA's for it.",
  "nvidia.tool-missing": "NVIDIA's driver holds a GPU, but nvidia-smi is not installed.",
  "nvidia.passed-through": "An NVIDIA GPU is set aside for virtual machines.",
  "nvidia.not-in-container": "The machine has NVIDIA GPUs that were not given to this container.",
  "nvidia.access-lost":
    "NVIDIA's devices cannot be opened any more, as happens to containers whose device rules were reset.",
  "nvidia.nvml-missing": "NVIDIA's management library is not installed.",
  "nvidia.nvml-too-old": "NVIDIA's management library lacks a function that nvidia-smi wants.",
  "nvidia.permission": "nvidia-smi may not open NVIDIA's devices.",
  "nvidia.no-gpu": "NVIDIA's driver is loaded, but finds no GPU that works.",
  "nvidia.unsupported": "A GPU does not support what was asked.",
  "nvidia.power-cable": "A GPU's power cables are not attached as they should be.",
  "nvidia.interrupt-issue": "The kernel has trouble with the interrupts of a GPU.",
  "nvidia.inforom-corrupted": "A GPU's infoROM is corrupted; it works, but some of its facts may be wrong.",
  "nvidia.gpu-lost": "A GPU fell off the bus or cannot be reached.",
  "nvidia.needs-reset": "A GPU must be reset before it works again.",
  "nvidia.field-error": "A GPU does not tell some of its figures.",
  "nvidia.processes-unknown": "Which programs use the GPUs is not known.",
  "nvidia.mig-unknown": "How a GPU is cut up (MIG) is not known.",
  "amd.driver-missing": "There is an AMD GPU, but the driver amdgpu does not hold it.",
  "amd.passed-through": "An AMD GPU is set aside for virtual machines.",
  "amd.gpu-unresponsive": "An AMD GPU does not answer its driver.",
  "intel.driver-missing": "There is an Intel GPU, but neither of its drivers, i915 and xe, holds it.",
  "intel.passed-through": "An Intel GPU is set aside for virtual machines.",
  "intel.memory-unknown": "How much memory an Intel GPU has is not known without xpu-smi.",
  "apple.no-gpu-in-containers": "Containers on macOS cannot use the GPU."
} as const

/** One of {@link findingCodes}. */
export type FindingCode = keyof typeof findingCodes

/** Makes a finding; see {@link Finding} for the fields. */
export const finding = (fields: {
  readonly code: FindingCode
  readonly severity: Severity
  readonly subject: string
  readonly message: string
  readonly remedy: string
}): Finding => new Finding(fields, unchecked)

/**
 * Whether it is known which GPUs a machine has. Where it is not, an empty list of GPUs does not mean that there is none,
 * and what depends on it had better wait.
 */
export const gpusAreKnown = (node: { readonly findings: ReadonlyArray<{ readonly code: string }> }): boolean =>
  !node.findings.some(({ code }) => code === "gpu.unknown")
