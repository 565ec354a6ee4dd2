/** What nvidia-smi's remarks and exit codes mean, and what to do about it. */
import { known } from "../../node/Fields.js"
import { finding } from "../../node/Findings.js"
import type { Finding } from "../../node/NodeCapabilities.js"
import { wholeNumber } from "../Numbers.js"
import { pciAddress } from "./PciBus.js"

type Diagnosis = Omit<Parameters<typeof finding>[0], "subject">

const reload = "Reboot, or stop everything that uses the GPUs and reload the driver (nvidia_uvm, nvidia_drm, "
  + "nvidia_modeset, nvidia)."

/** What is wrong, by what the tool says; the first match counts. */
const diagnoses: ReadonlyArray<readonly [pattern: RegExp, exitCode: number | undefined, diagnosis: Diagnosis]> = [
  [/driver\/library version mismatch/i, 18, {
    code: "nvidia.driver-mismatch",
    severity: "error",
    message: "The kernel runs another version of the NVIDIA driver than the one that is installed "
      + "(driver/library version mismatch).",
    remedy: reload
  }],
  [/couldn't communicate with the nvidia driver|driver is not loaded/i, 9, {
    code: "nvidia.driver-not-loaded",
    severity: "error",
    message: "The NVIDIA driver is not loaded: nvidia-smi cannot reach it.",
    remedy: "Load it (modprobe nvidia); if that fails, install the driver for the running kernel and reboot."
  }],
  [/libnvidia-ml\.so|NVML shared library/i, 12, {
    code: "nvidia.nvml-missing",
    severity: "error",
    message: "NVIDIA's management library (libnvidia-ml) is not installed or cannot be found.",
    remedy: "Install the driver's compute package; in a container, set NVIDIA_DRIVER_CAPABILITIES to include utility."
  }],
  [/function not found/i, 13, {
    code: "nvidia.nvml-too-old",
    severity: "error",
    message: "NVIDIA's management library lacks a function that nvidia-smi needs.",
    remedy: "Install nvidia-smi and the driver in the same version."
  }],
  [/failed to initialize nvml: unknown error/i, undefined, {
    code: "nvidia.access-lost",
    severity: "error",
    message: "NVIDIA's devices can no longer be opened (Failed to initialize NVML: Unknown Error).",
    remedy: "If the agent runs in a container, restart it: its device rules were reset while it ran. Otherwise, reboot."
  }],
  [/insufficient permissions|gpu access blocked/i, 4, {
    code: "nvidia.permission",
    severity: "error",
    message: "nvidia-smi may not open NVIDIA's devices.",
    remedy: "Let the user that runs the agent read and write /dev/nvidia* (group video, on most systems)."
  }],
  [/no devices were found/i, 6, {
    code: "nvidia.no-gpu",
    severity: "warning",
    message: "The NVIDIA driver is loaded, but finds no working GPU.",
    remedy: "Check the kernel log (dmesg | grep -i nvrm) for the reason."
  }],
  [/fallen off the bus|gpu is lost|unable to determine the device handle/i, 15, {
    code: "nvidia.gpu-lost",
    severity: "error",
    message: "A GPU fell off the bus or cannot be reached.",
    remedy: "Reboot; if it happens again, check the GPU's seat, power and cooling, and the kernel log for Xid 79."
  }],
  [/requires reset/i, undefined, {
    code: "nvidia.needs-reset",
    severity: "error",
    message: "A GPU must be reset before it works again.",
    remedy: "Stop what uses it and run nvidia-smi --gpu-reset, or reboot."
  }],
  [/inforom is corrupted/i, 14, {
    code: "nvidia.inforom-corrupted",
    severity: "warning",
    message: "The infoROM of a GPU is corrupted: it works, but some of its facts may be wrong.",
    remedy: "Have the GPU's infoROM flashed by its vendor, or the GPU replaced under warranty."
  }],
  [/power cables?/i, 8, {
    code: "nvidia.power-cable",
    severity: "error",
    message: "A GPU's power cables are not properly attached.",
    remedy: "Check the power cables of the GPUs."
  }],
  [/interrupt/i, 10, {
    code: "nvidia.interrupt-issue",
    severity: "error",
    message: "The kernel detected an interrupt issue with a GPU.",
    remedy: "Reboot; if it happens again, update the machine's firmware."
  }],
  [/not supported|not available on target/i, 3, {
    code: "nvidia.unsupported",
    severity: "warning",
    message: "A GPU does not support what was queried.",
    remedy: "Update the NVIDIA driver."
  }]
]

/** Which GPU a remark is about: by its index, its PCI address, or both. */
const aboutGpu = (remark: string): { readonly index?: number; readonly address?: string } => {
  const [, index] = /\bGPU ?(\d{1,3})(?=:? |:|$)/i.exec(remark) ?? []
  const address = pciAddress(/(?:[0-9a-f]{4,8}:)[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i.exec(remark)?.[0])
  return known({ index: wholeNumber(index), address })
}

/** A remark of nvidia-smi, understood as far as it can be. */
export interface NvidiaProblem {
  readonly finding: Finding
  /** The GPU that it is about, where it says so. */
  readonly index?: number
  readonly address?: string
}

/**
 * What the tool's remarks and its exit code mean: one problem per remark that is understood, or else one for the exit
 * code. Empty when nothing is wrong. `indexOf` knows the GPUs by their PCI address.
 */
export const diagnose = (
  remarks: ReadonlyArray<string>,
  exitCode: number | undefined,
  indexOf: (address: string) => number | undefined = () => undefined
): ReadonlyArray<NvidiaProblem> => {
  const problems = new Map<string, NvidiaProblem>()
  for (const line of remarks) {
    // What is meant for a person is not longer.
    const remark = line.slice(0, 1000)
    const diagnosis = diagnoses.find(([pattern]) => pattern.test(remark))?.[2]
    if (diagnosis === undefined) continue
    const named = aboutGpu(remark)
    const about = known({
      address: named.address,
      index: named.index ?? (named.address === undefined ? undefined : indexOf(named.address))
    })
    const subject = about.index !== undefined
      ? `gpu ${about.index}`
      : about.address !== undefined
      ? `gpu ${about.address}`
      : "NVIDIA GPUs"
    const where = [about.index, about.address === undefined ? undefined : `at ${about.address}`]
      .filter((part) => part !== undefined).join(" ")
    const message = where === "" ? diagnosis.message : diagnosis.message.replace(/\b[Aa] GPU\b/, `GPU ${where}`)
    problems.set(`${diagnosis.code} ${subject}`, { ...about, finding: finding({ ...diagnosis, subject, message }) })
    if (problems.size >= 64) break
  }
  if (problems.size === 0 && exitCode !== undefined && exitCode !== 0) {
    const diagnosis = diagnoses.find(([, code]) => code === exitCode)?.[2]
    if (diagnosis !== undefined) return [{ finding: finding({ ...diagnosis, subject: "NVIDIA GPUs" }) }]
  }
  return [...problems.values()]
}
