/** How a container is given its GPUs. */
import * as Effect from "effect/Effect"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import type * as DockerError from "./api/DockerError.js"
import * as ContainerFailure from "./ContainerFailure.js"
import type * as ContainerSpec from "./ContainerSpec.js"

/** By the vendor's runtime hook, or by the Container Device Interface. */
export type GpuMethod = "hook" | "cdi"

/** Whether Docker gives out GPUs by the Container Device Interface; older ones accept such requests and ignore them. */
export const knowsCdi = ({ apiVersion, kind }: Container.DockerVersion): boolean =>
  kind === "podman" || DockerApi.atLeast(apiVersion, "1.44")

/** The first method to try, or why there is none. */
export const choose = (
  spec: ContainerSpec.ContainerSpec,
  docker: Container.DockerVersion
): Effect.Effect<GpuMethod, DockerError.GpuUnavailable> => {
  const { gpus } = spec
  if (gpus === undefined) return Effect.succeed("hook")
  const method = gpus.method !== "auto"
    ? gpus.method
    : docker.kind === "podman" || gpus.vendor === "amd"
    ? "cdi"
    : "hook"
  if (method === "cdi" && !knowsCdi(docker)) {
    return Effect.fail(ContainerFailure.gpuUnavailable(
      spec,
      gpus,
      `Docker ${docker.version} does not support the Container Device Interface, which they need`,
      "Install Docker Engine 25 or newer, or name the devices themselves."
    ))
  }
  // Podman accepts what it does not understand, and starts the container without GPUs.
  if (method === "hook" && docker.kind === "podman") {
    return Effect.fail(ContainerFailure.gpuUnavailable(
      spec,
      gpus,
      "Podman has no runtime hook for them",
      "Use the Container Device Interface instead."
    ))
  }
  return Effect.succeed(method)
}
