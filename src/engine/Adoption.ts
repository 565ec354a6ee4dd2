/**
 * Containers that an earlier agent of this node left behind: adopted or removed. Labels say whose they are; containers
 * without our labels, or with those of another node, are never touched.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { ContainerSummary } from "../docker/api/Container.js"
import * as ContainerSpec from "../docker/ContainerSpec.js"
import type { Docker } from "../docker/Docker.js"
import type * as DockerError from "../docker/api/DockerError.js"
import type { EngineName } from "./Engine.js"
import * as EngineContainer from "./EngineContainer.js"

type DockerService = Context.Tag.Service<Docker>

const remove = (docker: DockerService, container: ContainerSummary, reason: string) =>
  Effect.gen(function*() {
    yield* Effect.logInfo(`Removing container ${container.name}, left by an earlier run: ${reason}`)
    if (container.state === "running") yield* docker.stop(container.id)
    yield* docker.remove(container.id, { force: true })
  })

/**
 * The running container that matches the spec, to be adopted. This engine's other containers are stopped and removed.
 */
export const adoptable = (
  docker: DockerService,
  of: EngineContainer.EngineIdentity,
  spec: ContainerSpec.ContainerSpec
): Effect.Effect<ContainerSummary | undefined, DockerError.DockerError> =>
  Effect.gen(function*() {
    const wanted = ContainerSpec.hash(spec)
    const found = yield* docker.list(EngineContainer.selector(of))
    const same = found.find(({ labels, state }) =>
      state === "running" && labels[ContainerSpec.Label.specHash] === wanted
    )
    for (const container of found) {
      if (container === same) continue
      yield* remove(
        docker,
        container,
        container.state !== "running"
          ? `it is ${container.state}`
          : container.labels[ContainerSpec.Label.specHash] === wanted
          ? "it is a duplicate"
          : "it was created with other settings"
      )
    }
    return same
  })

/** Stops and removes the containers of engines that the settings no longer ask for. */
export const sweep = (
  docker: DockerService,
  nodeId: string,
  enabled: ReadonlyArray<EngineName>
): Effect.Effect<void, DockerError.DockerError> =>
  Effect.gen(function*() {
    for (const container of yield* docker.list(EngineContainer.selector({ nodeId }))) {
      const engine = container.labels[EngineContainer.Label.engine] ?? ""
      if (enabled.some((name) => name === engine)) continue
      yield* remove(docker, container, `${engine === "" ? "it" : engine} is not enabled`)
    }
  })
