import * as http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Duration from "effect/Duration"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Docker } from "../../src/docker/Docker.js"
import type { ContainerInfo } from "../../src/docker/api/Container.js"
import * as DockerError from "../../src/docker/api/DockerError.js"
import { defaults } from "../../src/engine/EngineTimes.js"
import { ContainerRuntimeInfo, type NodeCapabilities } from "../../src/node/NodeCapabilities.js"
import * as Machines from "../support/Machines.js"
import * as NoDocker from "../support/NoDocker.js"
import * as Ports from "../support/Ports.js"
import * as Supervised from "./Supervised.js"

/** A Docker in which no container starts. */
const failing = (onTry: Effect.Effect<void>) =>
  Layer.mock(Docker, {
    ping: Effect.void,
    list: () => Effect.succeed([]),
    pull: () => Stream.empty,
    runScoped: () =>
      Effect.zipRight(
        onTry,
        Effect.fail(new DockerError.ContainerStartFailed({ container: "orchion-ollama", image: "i", detail: "no" }))
      )
  })

describe("an engine that does not start", () => {
  it.scoped("is tried again after 1 s, 2 s, 4 s and so on, up to every 5 min, for ever", () =>
    Effect.gen(function*() {
      const tries: Array<number> = []
      const onTry = Effect.map(Clock.currentTimeMillis, (now) => {
        tries.push(now / 1000)
      })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-gpus": "none" },
        times: defaults
      }).pipe(Effect.provide(failing(onTry)))
      yield* TestClock.adjust("40 minutes")
      const waits = tries.slice(1).map((at, index) => Math.round(at - (tries[index] ?? 0)))
      assert.deepStrictEqual(waits.slice(0, 12), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300])
      const [report] = agent.engines.current()
      assert.strictEqual(report?.state, "restarting")
      // Told once, then in a short line each time.
      assert.lengthOf(agent.logs.matching(/did not start: no/), 1)
      assert.lengthOf(agent.logs.matching(/^Ollama failed again for the same reason; retrying in/), tries.length - 1)
    }).pipe(Effect.withRandom(Random.fixed([0.5]))))

  it.scoped("waits for a Docker that is away, which counts for nothing", () =>
    Effect.gen(function*() {
      let isAway = true
      const tries: Array<number> = []
      const away = new DockerError.DockerUnreachable({
        endpoint: "unix:///docker.sock",
        operation: "answer",
        reason: "connection refused",
        ambiguous: false,
        remedy: "Start it."
      })
      const docker = Layer.mock(Docker, {
        ping: Effect.suspend(() => isAway ? Effect.fail(away) : Effect.void),
        list: () => Effect.suspend(() => isAway ? Effect.fail(away) : Effect.succeed([])),
        pull: () => Stream.empty,
        runScoped: () =>
          Effect.zipRight(Effect.map(Clock.currentTimeMillis, (now) => void tries.push(now)), Effect.never)
      })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-gpus": "none" },
        times: defaults
      }).pipe(Effect.provide(docker))
      yield* TestClock.adjust("1 hour")
      assert.match(agent.engines.current()[0]?.detail ?? "", /^Waiting for Docker\. /)
      assert.lengthOf(agent.logs.matching(/is waiting for Docker/), 1)
      isAway = false
      yield* TestClock.adjust("30 seconds")
      assert.lengthOf(tries, 1)
      assert.strictEqual((yield* agent.seen).at(-1)?.restarts, 0)
      assert.deepStrictEqual(agent.findings(), [])
    }))
})

/** An Ollama in this process, which has one model. */
const serving = (model: string) =>
  Effect.gen(function*() {
    const port = yield* Ports.free
    yield* Effect.acquireRelease(
      Effect.async<http.Server>((resume) => {
        const server = http.createServer((request, response) => {
          response.end(request.url === "/api/tags" ? JSON.stringify({ models: [{ name: `${model}:latest` }] }) : "{}")
        }).listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    )
    return port
  })

/** A Docker in which every container starts, unless it asks for a GPU. */
const starting = (created: Array<"cpu" | "gpu">, more: Partial<Docker["Type"]> = {}) =>
  Layer.mock(Docker, {
    ping: Effect.void,
    list: () => Effect.succeed([]),
    pull: () => Stream.empty,
    remove: () => Effect.void,
    logs: () => Stream.never,
    wait: () => Effect.never,
    stats: () => Effect.never,
    runScoped: (spec) =>
      Effect.suspend(() => {
        created.push(spec.gpus === undefined ? "cpu" : "gpu")
        return spec.gpus === undefined
          ? Effect.succeed({ id: "c", name: spec.name, state: "running" } as ContainerInfo)
          : Effect.fail(
            new DockerError.ContainerStartFailed({ container: spec.name, image: spec.image, detail: "no GPU" })
          )
      }),
    ...more
  })

describe("a GPU that turns up while an engine serves on the CPU", () => {
  const withGpu = (gpuReady: boolean) =>
    Machines.machine({
      gpus: [Machines.gpu()],
      containerRuntime: new ContainerRuntimeInfo({ kind: "docker", gpuReady })
    })
  const start = (created: Array<"cpu" | "gpu">, capabilities: () => NodeCapabilities) =>
    Effect.flatMap(serving("m"), (port) =>
      Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-model": "m", "ollama-port": String(port) },
        times: { gpuInterval: Duration.millis(50) },
        capabilities
      })).pipe(Effect.provide(starting(created)))

  it.scopedLive("is left alone while containers cannot have it", () =>
    Effect.gen(function*() {
      const created: Array<"cpu" | "gpu"> = []
      let looks = 0
      let now = Supervised.plain
      const agent = yield* start(created, () => {
        looks++
        return now
      })
      yield* agent.until(({ state }) => state === "ready")
      now = withGpu(false)
      const before = looks
      yield* Effect.repeat(Effect.sleep(20), { until: () => looks > before + 5 })
      assert.strictEqual(agent.engines.current()[0]?.state, "ready")
      assert.deepStrictEqual(created, ["cpu"])
    }))

  it.scopedLive("is tried, and what served comes back when that fails", () =>
    Effect.gen(function*() {
      const created: Array<"cpu" | "gpu"> = []
      let looks = 0
      let now = Supervised.plain
      const agent = yield* start(created, () => {
        looks++
        return now
      })
      yield* agent.until(({ state }) => state === "ready")
      now = withGpu(true)
      yield* Effect.repeat(Effect.sleep(20), { until: () => created.length === 3 })
      const again = yield* agent.until(({ state }) => state === "ready")
      assert.strictEqual(again.restarts, 0)
      assert.deepStrictEqual(agent.findings().map(({ code }) => code), ["engine.gpu-start-failed"])
      // The same GPU is not tried a second time.
      const before = looks
      yield* Effect.repeat(Effect.sleep(20), { until: () => looks > before + 5 })
      assert.deepStrictEqual(created, ["cpu", "gpu", "cpu"])
    }))
})

describe("an engine that wants a GPU", () => {
  it.scoped("waits until it is known which there are", () =>
    Effect.gen(function*() {
      const created: Array<"cpu" | "gpu"> = []
      let pending: string | undefined = "nvidia-smi has not answered yet"
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true" },
        gpusPending: () => pending
      }).pipe(Effect.provide(starting(created)))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(created, [])
      assert.strictEqual(agent.engines.current()[0]?.detail, "Waiting for the GPUs: nvidia-smi has not answered yet")
      pending = undefined
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(created, ["cpu"])
    }))
})

describe("an engine that says that it is up", () => {
  it.scopedLive("and cannot be connected to is named within seconds, with the ways out", () =>
    Effect.gen(function*() {
      const port = yield* Ports.free
      const docker = starting([], {
        logs: () =>
          Stream.concat(
            Stream.succeed({ stream: "stdout" as const, text: "msg=\"Listening on [::]:11434\"", truncated: false }),
            Stream.never
          )
      })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-port": String(port) }
      }).pipe(Effect.provide(docker))
      const failed = yield* agent.until(({ state }) => state === "failed")
      assert.match(
        failed.detail,
        new RegExp(`^Ollama is up, and the agent cannot connect to it at http://127.0.0.1:${port}: `)
      )
      assert.match(failed.detail, /--engine-bind-address/)
    }))
})

describe("a shutdown", () => {
  it.scopedLive("ends within its budget when Docker freezes, and says what is left", () =>
    Effect.gen(function*() {
      let isFrozen = false
      const frozen = Effect.suspend(() => isFrozen ? Effect.never : Effect.void)
      const port = yield* serving("m")
      const docker = starting([], {
        list: () => Effect.zipRight(frozen, Effect.succeed([])),
        runScoped: (spec) =>
          Effect.as(
            Effect.addFinalizer(() => frozen),
            { id: "c", name: spec.name, state: "running" } as ContainerInfo
          )
      })
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { "enable-ollama": "true", "ollama-model": "m", "ollama-port": String(port) },
        supervisor: { budget: Duration.millis(300) }
      }).pipe(Effect.provide(docker))
      yield* agent.until(({ state }) => state === "ready")
      isFrozen = true
      const left = yield* agent.shutdown.pipe(Effect.provide(agent.logs.layer), Effect.timeout("20 seconds"))
      assert.lengthOf(left, 1)
      assert.match(left[0] ?? "", /^orchion-node-ollama-/)
      assert.lengthOf(agent.logs.matching(/^Could not remove orchion-node-ollama-/), 1)
      // Done once.
      assert.deepStrictEqual(yield* agent.shutdown, left)
    }))
})

describe("engines on demand", () => {
  const settings = { "engines-on-demand": "true" }
  it.scopedLive("are started by the model's name, and are gone again when the model cannot be had", () =>
    Effect.gen(function*() {
      const port = yield* serving("m")
      const agent = yield* Supervised.start({
        nodeId: "n",
        settings: { ...settings, "ollama-port": String(port) }
      }).pipe(Effect.provide(starting([])))
      const { startFor } = agent.engines
      assert.isDefined(startFor)
      assert.deepStrictEqual(agent.engines.current(), [])
      // A machine without a GPU has no vLLM.
      const refused = yield* Effect.flip(startFor("org/model"))
      assert.match(refused.reason, /^vLLM cannot run here/)
      assert.deepStrictEqual(agent.engines.current(), [])
      const strange = yield* Effect.flip(startFor("../../etc passwd"))
      assert.isFalse(strange.isTransient)
      const both = yield* Effect.fork(Effect.all([startFor("m"), startFor("m")], { concurrency: 2 }))
      yield* Fiber.join(both)
      assert.deepStrictEqual(agent.engines.current().map(({ name, state }) => [name, state]), [["ollama", "ready"]])
      // It can fetch others itself.
      yield* startFor("other")
    }))

  it.scoped("are off by default", () =>
    Effect.gen(function*() {
      const agent = yield* Supervised.start({ nodeId: "n", settings: {}, supervisor: { hasContainers: false } })
      assert.isUndefined(agent.engines.startFor)
    }).pipe(Effect.provide(NoDocker.layer)))
})
