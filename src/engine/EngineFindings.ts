/** What the agent finds out about engines that run. */
import { finding } from "../node/Findings.js"
import type { Finding } from "../node/NodeCapabilities.js"
import type { Diagnosis } from "./Diagnosis.js"

/** For an engine that does not get at its GPU. */
export const gpuRemedy =
  "Check that the container toolkit is set up and the driver loads in containers, then restart the engine."

/** It was given a GPU and does not see it. */
export const gpuNotSeen = (title: string): Finding =>
  finding({
    code: "engine.gpu-not-used",
    severity: "warning",
    subject: title,
    message: `${title} was given a GPU and computes on the CPU: it does not see the GPU inside its container.`,
    remedy: gpuRemedy
  })

/** It does not run now. */
export const failed = (title: string, { lasting, message, remedy }: Diagnosis): Finding =>
  finding({ code: "engine.failed", severity: lasting ? "error" : "warning", subject: title, message, remedy })

/** It runs on the CPU, as it could not be started with the GPU that this machine has. */
export const gpuStartFailed = (title: string, { message, remedy }: Diagnosis): Finding =>
  finding({
    code: "engine.gpu-start-failed",
    severity: "warning",
    subject: title,
    message: `${title} runs on the CPU: it could not be started with the GPU. ${message}`,
    remedy
  })
