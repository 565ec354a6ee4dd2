import { afterEach, assert, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type * as Container from "../../../src/docker/api/Container.js"
import * as ContainerSpec from "../../../src/docker/ContainerSpec.js"
import { Docker } from "../../../src/docker/Docker.js"
import { describeDocker, layer } from "../DockerTest.js"
import * as StandIns from "./StandIns.js"

const portOf: Record<StandIns.Kind, number> = { vllm: 8000, ollama: 11_434 }

await describeDocker("The stand-ins' images", (engine) => {
  const image = StandIns.useImages(engine)
  const provided = Effect.provide(layer(engine))

  const spec = (kind: StandIns.Kind, more: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
    Effect.suspend(() =>
      ContainerSpec.make({
        name: `${engine().nodeId}-${kind}`,
        labels: { owner: engine().nodeId },
        image: image(kind),
        ports: [{ container: portOf[kind] }, { container: 9999 }],
        stopTimeoutSeconds: 5,
        ...(kind === "vllm" ? { command: ["test/model", "--max-model-len", "4096"] } : {}),
        ...more,
        env: { STANDIN_CONTROL_PORT: "9999", ...more.env }
      })
    )

  const urlOf = (container: Container.ContainerInfo, port: number) =>
    `http://127.0.0.1:${container.ports.find((published) => published.container === port)?.host ?? 0}`

  const ready = (container: Container.ContainerInfo) =>
    Effect.promise(() => StandIns.control(urlOf(container, 9999)).until((state) => state.ready, 20_000))

  const json = (url: string, body?: unknown) =>
    Effect.promise(async () => {
      const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }
      return await (await fetch(url, init)).json() as Readonly<Record<string, unknown>>
    })

  const output = (container: string) =>
    Effect.flatMap(
      Docker,
      (docker) =>
        Effect.map(Stream.runCollect(docker.logs(container)), (lines) =>
          Chunk.toReadonlyArray(lines).map(({ text }) => text).join("\n"))
    )

  afterEach(async () => {
    const left = Effect.flatMap(Docker, (docker) => docker.list({ owner: engine().nodeId }))
    assert.deepStrictEqual(await Effect.runPromise(left.pipe(provided)), [], "containers are left")
  })

  it.live("serve as vLLM's does, with the model and flags as the command", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const container = yield* docker.runScoped(yield* spec("vllm"))
      yield* ready(container)
      const url = urlOf(container, 8000)
      const models = yield* json(`${url}/v1/models`)
      assert.containSubset(models, { data: [{ id: "test/model", max_model_len: 4096 }] })
      const answer = yield* json(`${url}/v1/chat/completions`, { messages: [{ role: "user", content: "hi" }] })
      assert.containSubset(answer, { choices: [{ message: { content: StandIns.answerText("hi") } }] })
      const shell = yield* docker.exec(container.id, ["sh", "-c", "vllm serve serve m"])
      assert.match(shell.stderr, /unrecognized arguments: m/)
      yield* docker.stop(container.id)
      assert.deepInclude(yield* docker.wait(container.id), { exitCode: 0, oomKilled: false })
      assert.match(yield* output(container.id), /Application shutdown complete/)
    }).pipe(Effect.scoped, provided))

  it.live("serve as Ollama's does, and keep what was pulled in a volume", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const volume = yield* Effect.acquireRelease(
        Effect.sync(() => `${engine().nodeId}-models`),
        (name) => Effect.promise(() => StandIns.removeVolume(engine().socket, name))
      )
      const mounts = [{ _tag: "Volume" as const, name: volume, target: "/root/.ollama" }]
      const serving = Effect.gen(function*() {
        const container = yield* docker.runScoped(yield* spec("ollama", { mounts }))
        yield* ready(container)
        return urlOf(container, 11_434)
      })
      yield* Effect.scoped(Effect.gen(function*() {
        const url = yield* serving
        assert.deepStrictEqual(yield* json(`${url}/api/tags`), { models: [] })
        const pulled = yield* json(`${url}/api/pull`, { model: "llama2", stream: false })
        assert.deepStrictEqual(pulled, { status: "success" })
      }))
      const url = yield* serving
      assert.containSubset(yield* json(`${url}/api/tags`), { models: [{ name: "llama2:latest" }] })
    }).pipe(Effect.scoped, provided))

  it.live("fail as configured, are killed for their memory, and die by their own signal as process 1", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const ending = (more: Partial<ContainerSpec.ContainerSpecInput>) =>
        Effect.scoped(Effect.gen(function*() {
          const container = yield* docker.runScoped(yield* spec("vllm", more))
          const exit = yield* docker.wait(container.id)
          return { ...exit, output: yield* output(container.id) }
        }))
      const failed = yield* ending({ env: { STANDIN_FAIL: "gpu-busy" } })
      assert.strictEqual(failed.exitCode, 1)
      assert.match(failed.output, /Free memory on device[^]*Engine core initialization failed/)
      const eaten = yield* ending({
        env: { STANDIN_EAT_MIB: "-1", STANDIN_EAT_AT: "weights" },
        memoryBytes: 128 * 1024 * 1024
      })
      assert.deepInclude(eaten, { exitCode: 137, oomKilled: true })
      assert.notMatch(eaten.output, /Loading weights took/)
      const killed = yield* ending({ env: { STANDIN_DIE_MS: "0", STANDIN_DIE_SIGNAL: "SIGKILL" }, init: false })
      assert.strictEqual(killed.exitCode, 137)
    }).pipe(provided))
})
