/** What the agent finds out about engines that run. */
import { Finding } from "../node/NodeCapabilities.js"
import { type EngineName, titles } from "./Engine.js"

/** For an engine that does not get at its GPU. */
export const gpuRemedy =
  "Check that the container toolkit is set up and the driver loads in containers; a restart of the engine looks again."

/** It was given a GPU and does not see it. */
export const gpuNotSeen = (engine: EngineName): Finding =>
  new Finding({
    code: "engine.gpu-not-used",
    severity: "warning",
    subject: titles[engine],
    message: `${titles[engine]} was given a GPU and computes on the CPU: it does not see the GPU inside its container.`,
    remedy: gpuRemedy
  })
