/** A container's life: created, started, and at the end stopped and removed, whatever comes between. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Container from "./api/Container.js"
import type * as DockerError from "./api/DockerError.js"
import * as ContainerCreation from "./ContainerCreation.js"
import * as ContainerFailure from "./ContainerFailure.js"
import * as ContainerRemoval from "./ContainerRemoval.js"
import type * as ContainerSpec from "./ContainerSpec.js"
import * as GpuMethod from "./GpuMethod.js"

/** What running containers needs. */
export interface Dependencies extends Omit<ContainerCreation.Dependencies, "remove"> {
  readonly version: Effect.Effect<Container.DockerVersion, DockerError.DockerError>
  readonly info: Effect.Effect<Container.DockerInfo, DockerError.DockerError>
}

export type ReleaseOptions = ContainerRemoval.ReleaseOptions

export interface ContainerRun extends Pick<ContainerRemoval.ContainerRemoval, "stop" | "remove"> {
  readonly run: (
    spec: ContainerSpec.ContainerSpec
  ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError>
  readonly runScoped: (
    spec: ContainerSpec.ContainerSpec,
    options?: ReleaseOptions
  ) => Effect.Effect<Container.ContainerInfo, DockerError.RunError, Scope.Scope>
  readonly adoptScoped: (
    container: string,
    options?: ReleaseOptions
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound, Scope.Scope>
}

export const make = ({ info, inspect, list, transport, version }: Dependencies): ContainerRun => {
  const { release, remove, stop } = ContainerRemoval.make({ inspect, transport })
  const { attempt, checkPaths } = ContainerCreation.make({ inspect, list, remove, transport })

  const launch = (
    spec: ContainerSpec.ContainerSpec,
    restore: ContainerCreation.Restore
  ): Effect.Effect<Container.ContainerInfo, DockerError.RunError> =>
    Effect.gen(function*() {
      const docker = yield* restore(Effect.zipRight(checkPaths(spec), version))
      const { kind } = docker
      const gpuMethod = yield* GpuMethod.choose(spec, docker)
      const first = attempt(spec, { kind, gpuMethod }, restore)
      if (spec.gpus === undefined || spec.gpus.method !== "auto" || gpuMethod !== "hook") return yield* first
      // Newer versions give out by CDI what they have no hook for.
      return yield* Effect.catchIf(first, ContainerFailure.isNoDriver, (error) =>
        Effect.gen(function*() {
          const { cdi } = yield* restore(info)
          if (!cdi || !GpuMethod.knowsCdi(docker)) return yield* Effect.fail(error)
          return yield* Effect.catchTag(
            attempt(spec, { kind, gpuMethod: "cdi" }, restore),
            "GpuUnavailable",
            // The first failure says what is missing.
            () => Effect.fail(error)
          )
        }))
    })

  return {
    stop,
    remove,
    run: (spec) => Effect.uninterruptibleMask((restore) => launch(spec, restore)),
    runScoped: (spec, options = {}) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.tap(launch(spec, restore), (container) => Effect.addFinalizer(() => release(container, options)))
      ),
    adoptScoped: (container, options = {}) =>
      Effect.uninterruptibleMask((restore) =>
        Effect.tap(restore(inspect(container)), (found) => Effect.addFinalizer(() => release(found, options)))
      )
  }
}
