import { afterEach, assert, it, vi } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import * as EngineContainer from "../../src/engine/EngineContainer.js"
import { Docker } from "../../src/docker/Docker.js"
import { describeDocker, layer } from "../support/DockerTest.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Machines from "../support/Machines.js"
import * as Ports from "../support/Ports.js"
import * as Supervised from "./Supervised.js"

vi.setConfig({ testTimeout: 90_000 })

await describeDocker("Engines under the agent's care", (engine) => {
  const image = StandIns.useImages(engine)
  const provided = Effect.provide(layer(engine))
  const run = <A, E>(effect: Effect.Effect<A, E, Docker | Scope.Scope>) => Effect.scoped(effect).pipe(provided)

  let count = 0
  let swept = 0
  /** Another node for each test: its containers are its own. */
  const another = () => `${engine().nodeId}-${++count}`

  const variant = (kind: StandIns.Kind, switches: Partial<StandIns.Switches> = {}) =>
    Effect.promise(() => StandIns.variant(kind, engine().socket, switches))

  const volume = Effect.acquireRelease(
    Effect.sync(() => `${engine().nodeId}-volume-${++count}`),
    (name) => Effect.promise(() => StandIns.removeVolume(engine().socket, name))
  )

  /** Settings for a stand-in of vLLM on the CPU. */
  const vllm = (switches: Partial<StandIns.Switches> = {}) =>
    Effect.gen(function*() {
      return {
        "enable-vllm": "true",
        "vllm-model": "test/model",
        "vllm-gpus": "none",
        "vllm-image": yield* variant("vllm", switches),
        "vllm-port": String(yield* Ports.free),
        "vllm-volume": yield* volume
      }
    })
  const ollama = (switches: Partial<StandIns.Switches> = {}) =>
    Effect.gen(function*() {
      return {
        "enable-ollama": "true",
        "ollama-gpus": "none",
        "ollama-image": yield* variant("ollama", switches),
        "ollama-port": String(yield* Ports.free),
        "ollama-volume": yield* volume
      }
    })

  /** Another node's engine, which is nobody's here. */
  const strangerOf = (nodeId: string) =>
    ContainerSpec.make({
      name: EngineContainer.name({ nodeId, engine: "ollama" }),
      labels: EngineContainer.selector({ nodeId, engine: "ollama" }),
      image: image("ollama")
    })

  const containersOf = (nodeId: string) =>
    Effect.flatMap(Docker, (docker) => docker.list(EngineContainer.selector({ nodeId })))

  afterEach(async () => {
    for (; swept < count; swept++) {
      const node = EngineContainer.name({ nodeId: `${engine().nodeId}-${swept + 1}`, engine: "vllm" })
      await StandIns.removeVolume(engine().socket, `${node}-compile-cache`)
    }
    const left = Effect.flatMap(
      Docker,
      (docker) => docker.list({ [EngineContainer.Label.owner]: EngineContainer.owner })
    )
    const found = await Effect.runPromise(left.pipe(provided))
    assert.deepStrictEqual(
      found.filter(({ labels }) => labels[EngineContainer.Label.nodeId]?.startsWith(engine().nodeId)).map(({ name }) =>
        name
      ),
      []
    )
  })

  const ready = (name: string) => (report: { readonly name: string; readonly state: string }) =>
    report.name === name && report.state === "ready"

  it.live("serve, both of them, and are gone with the agent", () =>
    run(Effect.gen(function*() {
      const nodeId = another()
      const settings = { ...(yield* vllm({ startMs: 30 })), ...(yield* ollama({ pullBytes: 1e6 })) }
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const agent = yield* Scope.extend(Supervised.start({ nodeId, settings }), scope)
      assert.deepInclude(yield* agent.until(ready("vllm")), { models: ["test/model"], restarts: 0 })
      assert.deepInclude(yield* agent.until(ready("ollama")), { models: ["llama2:latest"], restarts: 0 })
      const states = (name: string) =>
        Effect.map(agent.seen, (all) => [
          ...new Set(
            all.filter((report) => report.name === name).map(({ state }) => state)
          )
        ])
      assert.deepStrictEqual(yield* states("vllm"), ["starting", "loading", "ready"])
      assert.deepStrictEqual(yield* states("ollama"), ["starting", "loading", "ready"])
      for (const { baseUrl } of agent.engines.current()) {
        const answer = yield* Effect.promise(() => fetch(`${baseUrl}/v1/models`))
        assert.strictEqual(answer.status, 200)
      }
      assert.lengthOf(yield* containersOf(nodeId), 2)
      yield* Scope.close(scope, Exit.void)
      assert.lengthOf(yield* containersOf(nodeId), 0)
    })))

  it.live("pull a model with its progress in bytes, and no second time", () =>
    run(Effect.gen(function*() {
      const nodeId = another()
      const settings = yield* ollama({ pullBytes: 20e6, pullRate: 20e6, pullLineMs: 50 })
      yield* Effect.scoped(Effect.gen(function*() {
        const agent = yield* Supervised.start({ nodeId, settings })
        const partly = yield* agent.until(({ doneBytes, totalBytes }) =>
          doneBytes !== undefined && totalBytes !== undefined && doneBytes > 0 && doneBytes < totalBytes
        )
        assert.strictEqual(partly.state, "loading")
        assert.match(partly.detail, /^Pulling the model llama2: [\d.]+ \w+ of [\d.]+ MiB$/)
        yield* agent.until(ready("ollama"))
      }))
      const agent = yield* Supervised.start({ nodeId, settings })
      yield* agent.until(ready("ollama"))
      assert.isUndefined((yield* agent.seen).find(({ detail }) => detail.startsWith("Pulling the model")))
    })))

  it.live.each(
    [
      ["gpu-busy", "gpu-memory-busy", /free GPU memory/, /--gpu-memory-utilization/],
      ["kv-cache", "kv-cache-too-small", /at most \d+ tokens/, /--vllm-max-model-len to \d+/],
      ["cuda-oom", "gpu-out-of-memory", /ran out of memory/, /smaller model/],
      ["no-gpu", "no-gpu-in-container", /no GPU inside the container/, /nvidia-ctk/],
      ["no-libcuda", "no-gpu-in-container", /libcuda\.so\.1/, /nvidia-ctk/],
      ["gated", "model-access", /token is missing or has no access/, /HF_TOKEN/],
      ["unsupported", "model-unsupported", /does not support/, /--vllm-image/],
      ["nccl", "shared-memory", /NCCL/, /shm/]
    ] as const
  )("say why vLLM cannot start: %s", ([fail, , message, remedy]) =>
    run(Effect.gen(function*() {
      const nodeId = another()
      const agent = yield* Supervised.start({ nodeId, settings: yield* vllm({ fail, decoys: true }) })
      const failed = yield* agent.until(({ state }) => state === "failed")
      assert.match(failed.detail, message)
      assert.match(failed.detail, remedy)
      assert.isNotEmpty(failed.recentLog)
      assert.strictEqual(agent.findings()[0]?.code, "engine.failed")
      // Told once with its lines, and again in one line each time.
      yield* agent.until(({ restarts, state }) => state === "failed" && restarts === 2)
      assert.lengthOf(agent.logs.matching(message).filter((text) => text.includes("Retrying in")), 1)
      assert.isAbove(agent.logs.matching(/^vllm \| /).length, 3)
    })))

  it.live("restart an engine that dies, with backoff, and count it", () =>
    run(Effect.gen(function*() {
      const nodeId = another()
      const settings = yield* ollama({ pullBytes: 1e5, dieMs: 300, dieCode: 3, badStarts: 2 })
      const agent = yield* Supervised.start({ nodeId, settings })
      const dead = yield* agent.until(({ state }) => state === "restarting")
      assert.match(dead.detail, /^Ollama ended with exit code 3/)
      const mended = yield* agent.until(({ restarts, state }) => state === "ready" && restarts === 2)
      assert.isUndefined(mended.recentLog)
      assert.deepStrictEqual(agent.findings().filter(({ code }) => code === "engine.failed"), [])
    })))

  it.live.each(
    [
      ["kill", /killed from outside \(SIGKILL\)/],
      ["remove", /removed by another program|killed from outside/],
      ["pause", /its container is paused/]
    ] as const
  )("find out what is done behind their back: %s", ([deed, detail]) =>
    run(Effect.gen(function*() {
      const docker = yield* Docker
      const nodeId = another()
      const agent = yield* Supervised.start({ nodeId, settings: yield* ollama({ pullBytes: 1e5 }) })
      yield* agent.until(ready("ollama"))
      const [before] = yield* containersOf(nodeId)
      assert.isDefined(before)
      if (deed === "kill") yield* docker.kill(before.id)
      else if (deed === "remove") yield* docker.remove(before.id, { force: true })
      else yield* Effect.promise(() => StandIns.engineAsks(engine().socket, "POST", `/containers/${before.id}/pause`))
      const told = yield* agent.until(({ state }) => state === "restarting")
      assert.match(told.detail, detail)
      yield* agent.until(ready("ollama"))
      const after = yield* containersOf(nodeId)
      assert.lengthOf(after, 1)
      assert.notStrictEqual(after[0]?.id, before.id)
    })))

  it.live("say that memory ran out, and how much there was", () =>
    run(Effect.gen(function*() {
      const settings = yield* vllm({ eatMib: -1, eatAt: "weights" })
      const agent = yield* Supervised.start({ nodeId: another(), settings: { ...settings, "vllm-memory": "128MiB" } })
      const failed = yield* agent.until(({ state }) => state === "failed")
      assert.match(failed.detail, /more than its 128 MiB of memory.*--vllm-memory/)
    })))

  it.live("treat a silent start as stalled, and one that logs as alive", () =>
    run(Effect.gen(function*() {
      const times = { silence: Duration.seconds(1) }
      const settings = yield* vllm({ hangAt: "compile", controlPort: 9999 })
      const stalled = yield* Supervised.start({ nodeId: another(), settings, times })
      assert.match((yield* stalled.until(({ state }) => state === "restarting")).detail, /silent for 1s while starting/)
      const slow = yield* Supervised.start({ nodeId: another(), settings: yield* vllm({ startMs: 400 }), times })
      yield* slow.until(ready("vllm"))
      assert.isUndefined((yield* slow.seen).find(({ state }) => state === "restarting"))
    })))

  it.live("restart one that fails its health checks, but not while it is busy", () =>
    run(Effect.gen(function*() {
      const agent = yield* Supervised.start({ nodeId: another(), settings: yield* vllm() })
      yield* agent.until(ready("vllm"))
      const [running] = agent.engines.current()
      assert.isDefined(running)
      const control = StandIns.control(running.baseUrl)
      running.activity.inFlight = 1
      running.activity.lastProgressAt = Date.now()
      yield* Effect.promise(() => control.set({ health: "fail" }))
      yield* Effect.promise(() => control.until(({ counters }) => (counters.requests["/health"] ?? 0) > 8))
      assert.strictEqual(agent.engines.current()[0]?.state, "ready")
      running.activity.inFlight = 0
      const unhealthy = yield* agent.until(({ state }) => state === "unhealthy")
      assert.match(unhealthy.detail, /1 of 3 health checks failed/)
      yield* agent.until(({ restarts, state }) => state === "ready" && restarts > 0)
    })))

  it.live("say who has their port", () =>
    run(Effect.gen(function*() {
      const first = yield* ollama({ pullBytes: 1e5 })
      const one = yield* Supervised.start({ nodeId: another(), settings: first })
      yield* one.until(ready("ollama"))
      const settings = { ...first, "ollama-volume": yield* volume }
      const two = yield* Supervised.start({ nodeId: another(), settings })
      const failed = yield* two.until(({ state }) => state === "failed")
      assert.match(
        failed.detail,
        new RegExp(`Port ${first["ollama-port"]}/tcp.* is in use by the container orchion-node-ollama-`)
      )
    })))

  it.live("are started again when the GPU comes that was not there", () =>
    run(Effect.gen(function*() {
      const nodeId = another()
      let capabilities = Supervised.plain
      const agent = yield* Supervised.start({
        nodeId,
        settings: { ...(yield* ollama({ pullBytes: 1e5 })), "ollama-gpus": "all" },
        times: { gpuInterval: Duration.millis(300) },
        capabilities: () => capabilities
      })
      yield* agent.until(ready("ollama"))
      assert.deepStrictEqual(agent.findings().map(({ code }) => code), ["engine.on-cpu"])
      capabilities = Machines.machine({ gpus: [Machines.gpu()] })
      // This Docker has no way to hand it over: the engine goes back to what served, and says why.
      yield* agent.until(({ state }) => state === "starting")
      yield* agent.until(ready("ollama"))
      assert.deepStrictEqual(agent.findings().map(({ code }) => code), ["engine.gpu-start-failed"])
      assert.match(agent.findings()[0]?.message ?? "", /runs on the CPU.*cannot have the .* it asks for/i)
      assert.lengthOf(agent.logs.matching(/^GPU detected; restarting Ollama/), 1)
      assert.lengthOf(yield* containersOf(nodeId), 1)
    })))

  it.live("are kept when they are to be kept, and adopted as they are", () =>
    run(Effect.gen(function*() {
      const nodeId = another()
      const docker = yield* Docker
      const settings = yield* ollama({ pullBytes: 1e5 })
      const idAfter = (more: Readonly<Record<string, string>>) =>
        Effect.scoped(Effect.gen(function*() {
          const agent = yield* Supervised.start({ nodeId, settings: { ...settings, ...more } })
          yield* agent.until(ready("ollama"))
          const [container] = yield* containersOf(nodeId)
          return container?.id
        }))
      const first = yield* idAfter({ "keep-engines": "true" })
      const [kept] = yield* containersOf(nodeId)
      assert.strictEqual(kept?.state, "running")
      assert.strictEqual(yield* idAfter({ "keep-engines": "true" }), first)
      // Other settings are another container.
      const other = yield* idAfter({ "keep-engines": "true", "ollama-memory": "512MiB" })
      assert.notStrictEqual(other, first)
      assert.lengthOf(yield* containersOf(nodeId), 1)
      // An engine that is no longer asked for is removed, and nobody else's is.
      const stranger = yield* docker.runScoped(
        yield* strangerOf(another())
      )
      yield* Supervised.start({ nodeId, settings: {} })
      yield* Effect.repeat(containersOf(nodeId), { until: (left) => left.length === 0 })
      assert.strictEqual((yield* docker.inspect(stranger.id)).state, "running")
    })))
})
