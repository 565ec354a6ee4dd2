import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type * as ContainerEvents from "../../src/docker/ContainerEvents.js"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import { Docker } from "../../src/docker/Docker.js"
import type * as dockerd from "../support/dockerd.js"
import { describeDocker, layer } from "../support/DockerTest.js"
import * as Registry from "./Registry.js"

await describeDocker("A Docker daemon that restarts", (engine) => {
  const daemon = Effect.sync((): dockerd.Engine => {
    const { daemon } = engine()
    if (daemon === undefined) throw new Error("the suite has a daemon of its own")
    return daemon
  })

  const restart = (signal: NodeJS.Signals) =>
    Effect.flatMap(daemon, (daemon) => Effect.promise(() => daemon.restart(signal)))
  const down = Effect.flatMap(daemon, (daemon) => Effect.promise(() => daemon.down()))
  const up = Effect.flatMap(daemon, (daemon) => Effect.promise(() => daemon.up()))

  const make = Effect.suspend(() =>
    ContainerSpec.make({
      name: engine().nodeId,
      labels: { owner: engine().nodeId },
      image: engine().image,
      command: ["sh", "-c", "echo up; exec sleep 600"],
      stopTimeoutSeconds: 1
    })
  )

  const selector = () => ({ owner: engine().nodeId })

  const provided = Effect.provide(layer(engine))

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    it.scopedLive(`is waited for after ${signal}, and nobody is left in the dark`, () =>
      Effect.gen(function*() {
        const docker = yield* Docker
        const seen: Array<ContainerEvents.ContainerEvent> = []
        const lines: Array<string> = []
        yield* Effect.forkScoped(
          Stream.runForEach(docker.events(selector()), (event) => Effect.sync(() => seen.push(event)))
        )
        const container = yield* docker.runScoped(yield* make)
        const waiting = yield* Effect.fork(docker.wait(container.id))
        const following = yield* Effect.fork(
          Stream.runForEach(docker.logs(container.id, { follow: true }), ({ text }) =>
            Effect.sync(() => lines.push(text)))
        )
        yield* Effect.repeat(Effect.sleep("10 millis"), {
          until: () =>
            lines.length === 1
        })
        yield* restart(signal)
        // Without live restore a daemon ends its containers, at its end or at its next start.
        const exit = yield* Fiber.join(waiting)
        assert.notStrictEqual(exit.exitCode, 0)
        yield* Fiber.join(following)
        assert.deepStrictEqual(lines, ["up"])
        yield* Effect.repeat(Effect.sleep("10 millis"), {
          until: () => {
            const snapshot = seen.findLast((event) => event._tag === "Snapshot")
            return snapshot?._tag === "Snapshot"
              && snapshot.containers.some(({ id, state }) => id === container.id && state === "exited")
          }
        })
        yield* docker.ping
      }).pipe(provided), 60_000)
  }

  it.live("keeps a container from being released no longer than it takes", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      yield* Effect.scoped(Effect.gen(function*() {
        yield* docker.runScoped(yield* make)
        yield* down
        yield* Effect.forkDaemon(Effect.zipRight(Effect.sleep("1 second"), up))
      }))
      assert.deepStrictEqual(yield* docker.list(selector()), [])
    }).pipe(provided), 60_000)

  it.scopedLive("restarts its pull", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const registry = yield* Registry.make({ bytes: 2_000_000, pause: 100 })
      const phases = new Set<string>()
      yield* docker.pull(registry.image).pipe(
        Stream.tap(({ downloadedBytes, phase, attempt }) => {
          phases.add(`${phase} ${attempt}`)
          return downloadedBytes > 0 && attempt === 1 && !phases.has("restarted")
            ? Effect.zipRight(Effect.sync(() => phases.add("restarted")), restart("SIGKILL"))
            : Effect.void
        }),
        Stream.runDrain
      )
      assert.isTrue(phases.has("restarted"))
      assert.isFalse(phases.has("complete 1"))
      yield* docker.inspectImage(registry.image)
    }).pipe(provided), 60_000)
}, { ownDaemon: true })
