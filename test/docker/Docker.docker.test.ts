import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import { Docker } from "../../src/docker/Docker.js"
import { describeDocker, layer, type TestEngine } from "../support/DockerTest.js"

const spec = (engine: TestEngine, input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
  ContainerSpec.make({ nodeId: engine.nodeId, engine: "test", image: engine.image, ...input })

await describeDocker("Docker against a real engine", (engine) => {
  it.scopedLive("smoke", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      yield* docker.ping
      console.log(yield* docker.version, yield* docker.info)
      const container = yield* docker.runScoped(yield* spec(engine(), { command: ["sh", "-c", "echo hi; echo err >&2; sleep 0.5; echo bye; sleep 2; exit 3"], ports: [{ container: 80 }] }))
      console.log(container)
      const fiber = yield* Effect.fork(Stream.runCollect(docker.logs(container.id, { follow: true })))
      console.log(yield* docker.stats(container.id))
      console.log(yield* docker.exec(container.id, ["sh", "-c", "id; echo x >&2; exit 4"]))
      console.log(yield* docker.wait(container.id))
      console.log(Array.from(yield* Fiber.join(fiber)))
      assert.strictEqual(1, 1)
    }).pipe(Effect.provide(layer(engine))), 30_000)
})
