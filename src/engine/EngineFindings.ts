/** Findings about running engines. */
import { finding } from "../node/Findings.js"
import type { Finding } from "../node/NodeCapabilities.js"
import type { Diagnosis } from "./Diagnosis.js"

/** The remedy for an engine that cannot use its GPU. */
export const gpuRemedy =
  "Check that the container toolkit is set up and the driver loads in containers, then restart the engine."

/** The engine does not see the GPU that it was given. */
export const gpuNotSeen = (title: string): Finding =>
  finding({
    code: "engine.gpu-not-used",
    severity: "warning",
    subject: title,
    message: `${title} was given a GPU but runs on the CPU: it cannot see the GPU inside its container.`,
    remedy: gpuRemedy
  })

/** The engine is not running. */
export const failed = (title: string, { lasting, message, remedy }: Diagnosis): Finding =>
  finding({ code: "engine.failed", severity: lasting ? "error" : "warning", subject: title, message, remedy })

/** The engine runs on the CPU because it failed to start with this machine's GPU. */
export const gpuStartFailed = (title: string, { message, remedy }: Diagnosis): Finding =>
  finding({
    code: "engine.gpu-start-failed",
    severity: "warning",
    subject: title,
    message: `${title} runs on the CPU: it failed to start with the GPU. ${message}`,
    remedy
  })
