/** Findings: the codes, which never change their meaning, and how a finding is made. */
import { Finding, type Severity } from "./NodeCapabilities.js"

/** Every code with its meaning. Programs match on the code; messages may change. */
export const findingCodes = {
  "gpu.unknown": "The GPUs are not known yet: detection is still running, or a vendor's tool does not answer.",
  "file.unreadable": "A file that holds a fact exists but cannot be read.",
  "probe.timed-out": "Detection was cut off: a device, a file system or a service does not answer.",
  "probe.failed": "A bug in the agent's detection; please report it.",
  "tool.timed-out": "A vendor's tool did not end in time and was killed.",
  "tool.unkillable": "A vendor's tool was killed and does not end: its driver holds it.",
  "tool.not-started": "The system refused to start a vendor's tool.",
  "tool.slow": "A vendor's tool takes longer than it should.",
  "tool.failed": "A vendor's tool failed in a way that has no code of its own.",
  "tool.excessive-output": "A vendor's tool printed far more than it should and was killed.",
  "tool.unexpected-output": "A vendor's tool printed something other than its documented output.",
  "memory.unknown": "The system does not say how much memory there is or is available.",
  "disk.nearly-full": "A disk that the agent or its engines write to is nearly full.",
  "network.unreachable": "No address of this machine reaches the orchestrator.",
  "runtime.permission": "The container runtime is there, but the agent may not use it.",
  "runtime.not-running": "The container runtime is installed, but does not answer.",
  "runtime.endpoint-invalid": "What is set as the container runtime's endpoint cannot be used.",
  "runtime.no-gpu-support": "There is a GPU, but the container runtime cannot give it to containers.",
  "nvidia.driver-mismatch": "The kernel runs another version of the NVIDIA driver than the one that is installed.",
  "nvidia.driver-not-loaded": "The NVIDIA driver is installed but not loaded.",
  "nvidia.driver-missing": "There is an NVIDIA GPU, but no NVIDIA driver for it.",
  "nvidia.tool-missing": "The NVIDIA driver holds a GPU, but nvidia-smi is not installed.",
  "nvidia.passed-through": "An NVIDIA GPU is set aside for virtual machines.",
  "nvidia.not-in-container": "The machine has NVIDIA GPUs that this container was not given.",
  "nvidia.access-lost":
    "NVIDIA's devices can no longer be opened, as happens in containers whose device rules were reset.",
  "nvidia.nvml-missing": "NVIDIA's management library (NVML) is not installed.",
  "nvidia.nvml-too-old": "NVIDIA's management library lacks a function that nvidia-smi needs.",
  "nvidia.permission": "nvidia-smi may not open NVIDIA's devices.",
  "nvidia.no-gpu": "The NVIDIA driver is loaded, but finds no working GPU.",
  "nvidia.unsupported": "A GPU does not support what was queried.",
  "nvidia.power-cable": "A GPU's power cables are not properly attached.",
  "nvidia.interrupt-issue": "The kernel detected an interrupt issue with a GPU.",
  "nvidia.inforom-corrupted": "A GPU's infoROM is corrupted; it works, but some of its facts may be wrong.",
  "nvidia.gpu-lost": "A GPU fell off the bus or cannot be reached.",
  "nvidia.needs-reset": "A GPU must be reset before it works again.",
  "nvidia.field-error": "A GPU does not report some of its readings.",
  "nvidia.processes-unknown": "It is not known which programs use the GPUs.",
  "nvidia.mig-unknown": "It is not known how a GPU is partitioned (MIG).",
  "amd.driver-missing": "There is an AMD GPU, but the driver amdgpu does not hold it.",
  "amd.passed-through": "An AMD GPU is set aside for virtual machines.",
  "amd.gpu-unresponsive": "An AMD GPU does not answer its driver.",
  "intel.driver-missing": "There is an Intel GPU, but neither of its drivers, i915 and xe, holds it.",
  "intel.passed-through": "An Intel GPU is set aside for virtual machines.",
  "intel.memory-unknown": "It is not known how much memory an Intel GPU has without xpu-smi.",
  "apple.no-gpu-in-containers": "Containers on macOS cannot use the GPU.",
  "engine.failed": "An inference engine does not run, or cannot be used.",
  "engine.on-cpu": "An engine runs on the CPU, as there is no GPU that it could use.",
  "engine.partly-on-cpu": "A model does not fit the GPU, and a part of it runs on the CPU.",
  "engine.gpu-not-used": "An engine was given a GPU and does not use it.",
  "engine.gpu-start-failed": "An engine could not be started with the GPU, and runs on the CPU.",
  "engine.setting-unused": "A setting of an engine is given, and the engine is not enabled."
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
}): Finding => new Finding(fields)

/**
 * Whether it is known which GPUs a machine has. Where it is not, an empty list of GPUs does not mean that there is none,
 * and what depends on it had better wait.
 */
export const gpusAreKnown = (node: { readonly findings: ReadonlyArray<{ readonly code: string }> }): boolean =>
  !node.findings.some(({ code }) => code === "gpu.unknown")
