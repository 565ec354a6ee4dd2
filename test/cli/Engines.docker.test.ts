import { execFileSync } from "node:child_process"
import * as net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, assert, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as EngineContainer from "../../src/engine/EngineContainer.js"
import * as Registry from "../docker/Registry.js"
import * as Supervised from "../engine/Supervised.js"
import { describeDocker, layer } from "../support/DockerTest.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Machines from "../support/Machines.js"
import * as Ports from "../support/Ports.js"
import * as CommandProcess from "./CommandProcess.js"
import * as EngineAgents from "./EngineAgents.js"

vi.setConfig({ testTimeout: 60_000 })

/** The machine's own Docker would find NVIDIA's hook. */
const hasHook = (() => {
  try {
    execFileSync("sh", ["-c", "command -v nvidia-container-runtime-hook"])
    return true
  } catch {
    return false
  }
})()

/** Numbers from 0 to 1 that are the same each time. */
const seeded = (seed: number) => () => {
  seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31
  return (seed >> 8) / 2 ** 23
}

/** vLLM's, which each node has for itself. */
const compileCacheOf = (nodeId: string) => `${EngineContainer.name({ nodeId, engine: "vllm" })}-compile-cache`

await describeDocker("The command with engines", (engine) => {
  StandIns.useImages(engine)

  let count = 0
  const nodes = new Set<string>()
  const volumes = new Set<string>()
  const volume = () => {
    const name = `${engine().nodeId}-command-${++count}`
    volumes.add(name)
    return name
  }
  const ask = (method: string, path: string, body?: unknown) => StandIns.engineAsks(engine().socket, method, path, body)
  const free = () => Effect.runPromise(Ports.free)

  const node = (...args: ReadonlyArray<string>) => {
    const id = `${engine().nodeId}-command-${++count}`
    nodes.add(id)
    return EngineAgents.node(engine().socket, id, args)
  }
  const ollama = async (switches: Partial<StandIns.Switches> = {}) => [
    "--enable-ollama",
    ...["--ollama-image", await StandIns.variant("ollama", engine().socket, { pullBytes: 1e5, ...switches })],
    ...["--ollama-gpus", "none", "--ollama-port", String(await free()), "--ollama-volume", volume()]
  ]
  const vllm = async (switches: Partial<StandIns.Switches> = {}) => [
    "--enable-vllm",
    ...["--vllm-image", await StandIns.variant("vllm", engine().socket, switches)],
    ...["--vllm-gpus", "none", "--vllm-port", String(await free()), "--vllm-volume", volume(), "--vllm-model", "m"]
  ]
  const stopped = async (agent: CommandProcess.CommandProcess, signal: NodeJS.Signals = "SIGTERM") => {
    agent.kill(signal)
    const ended = await agent.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    return ended
  }
  /** Waits for a condition that no process tells of. */
  const eventually = async <A>(look: () => Promise<A>, condition: (found: A) => boolean): Promise<A> => {
    for (;;) {
      const found = await look()
      if (condition(found)) return found
      await sleep(50)
    }
  }
  const states = async (of: EngineAgents.Node) => (await of.containers()).map(({ engine, state }) => [engine, state])

  afterEach(async () => {
    CommandProcess.killAll()
    await EngineAgents.removeAll(engine().socket, nodes)
    for (const id of nodes) await StandIns.removeVolume(engine().socket, compileCacheOf(id))
    for (const name of volumes) await StandIns.removeVolume(engine().socket, name)
    CommandProcess.removeFolders()
  })
  /**
   * The agent is ended at 20 moments, whatever it does then. Each of the lanes is a node of its own, so that one starts
   * while the other waits.
   */
  const endedAtMoments = async (seed: number, moments: number) => {
    const random = seeded(seed)
    const of = node(...await ollama(), ...await vllm())
    for (let moment = 0; moment < moments; moment++) {
      const signal = (["SIGTERM", "SIGINT", "SIGKILL"] as const)[Math.floor(random() * 3)] ?? "SIGKILL"
      const delay = Math.round(random() * 2500)
      const what = `${signal} after ${delay} ms`
      const agent = of.start()
      await sleep(delay)
      agent.kill(signal)
      const { code, stderr, stdout } = await agent.ended
      // Until Node runs the first line of ours, a signal ends it as it ends any process.
      if (stdout + stderr !== "" && signal !== "SIGKILL") assert.strictEqual(code, 0, `${what}: ${stdout}${stderr}`)
      if (code === 0) assert.deepStrictEqual(await of.containers(), [], `${what} left: ${stdout}${stderr}`)
      const next = of.start()
      await Promise.all([next.until(EngineAgents.serves("Ollama")), next.until(EngineAgents.serves("vLLM"))])
      assert.deepStrictEqual(await states(of), [["ollama", "running"], ["vllm", "running"]], what)
      await stopped(next, moment % 2 === 0 ? "SIGTERM" : "SIGINT")
      assert.deepStrictEqual(await of.containers(), [], `a clean stop after ${what}`)
    }
  }

  it(
    "leaves one container of each engine at the next start, and none at a clean stop, whenever it is ended",
    async () => {
      await Promise.all([endedAtMoments(1, 10), endedAtMoments(2, 10)])
    },
    240_000
  )

  it("finds its engines again as they are when it was killed", async () => {
    const of = node(...await ollama())
    const first = of.start()
    await first.until(EngineAgents.serves("Ollama"))
    const before = await of.containers()
    first.kill("SIGKILL")
    await first.ended
    const second = of.start()
    await second.until(/Ollama still serves llama2; adopted its container/)
    assert.deepStrictEqual(await of.containers(), before)
    await stopped(second)
    assert.deepStrictEqual(await of.containers(), [])
  })

  it("leaves its engines running with --keep-engines, and adopts them", async () => {
    const of = node(...await ollama())
    const first = of.start(["--keep-engines"])
    await first.until(EngineAgents.serves("Ollama"))
    const before = await of.containers()
    await stopped(first)
    assert.deepStrictEqual(await of.containers(), before)
    const second = of.start()
    await second.until(/Ollama still serves/)
    assert.deepStrictEqual(await of.containers(), before)
    await stopped(second)
    assert.deepStrictEqual(await of.containers(), [])
  })

  it("removes what an earlier run has left when it is to run no engine, and nobody else's", async () => {
    const args = await ollama()
    const of = node(...args)
    const first = of.start()
    await first.until(EngineAgents.serves("Ollama"))
    first.kill("SIGKILL")
    await first.ended
    assert.lengthOf(await of.containers(), 1)
    const labelled = (labels: Readonly<Record<string, string>>) =>
      ask("POST", "/containers/create", { Image: engine().image, Cmd: ["sleep", "600"], Labels: labels })
    const strangers: Array<string> = []
    const other = `${of.id}-other`
    nodes.add(other)
    try {
      for (
        const labels of [
          {},
          // Whatever has not both marks is not this node's.
          { "io.orchion.node-id": of.id },
          { "io.orchion.owner": "somebody", "io.orchion.node-id": of.id },
          { "io.orchion.owner": "node-agent", "io.orchion.node-id": other, "io.orchion.engine": "ollama" }
        ]
      ) {
        const [status, text] = await labelled(labels)
        assert.strictEqual(status, 201, text)
        const { Id } = JSON.parse(text) as { readonly Id: string }
        strangers.push(Id)
        await ask("POST", `/containers/${Id}/start`)
      }
      const own = () => EngineAgents.list(engine().socket, { "node-id": of.id, owner: "node-agent" })
      // The state directory is the node's; the engine is no longer asked for.
      const second = of.start(["--enable-ollama=false"])
      await eventually(own, (found) => found.length === 0)
      await stopped(second)
      for (const id of strangers) {
        const [, text] = await ask("GET", `/containers/${id}/json`)
        assert.strictEqual((JSON.parse(text) as { State: { Status: string } }).State.Status, "running")
      }
      // With nothing left, Docker is of no interest.
      const third = of.start(["--enable-ollama=false", "--docker-host", "unix:///no/such/socket"])
      await third.until(/cannot be reached/)
      assert.notMatch((await stopped(third)).stdout, /Docker/)
    } finally {
      for (const id of strangers) await ask("DELETE", `/containers/${id}?force=true`)
    }
  })

  it("names the process that holds an engine's port, and continues when that has ended", async () => {
    const args = await ollama()
    const port = Number(args[args.indexOf("--ollama-port") + 1])
    const holder = net.createServer().listen(port, "127.0.0.1")
    await new Promise((resolve) => holder.once("listening", resolve))
    const of = node(...args)
    const agent = of.start()
    await agent.until(new RegExp(`Port ${port}/tcp.*in use by .*\\(process ${process.pid}\\)`))
    assert.deepStrictEqual(await of.containers(), [])
    await new Promise((resolve) => holder.close(resolve))
    await agent.until(EngineAgents.serves("Ollama"))
    await stopped(agent)
    assert.deepStrictEqual(await of.containers(), [])
  })

  it("says that there is no such image, and ends cleanly all the same", () =>
    Effect.runPromise(Effect.scoped(Effect.gen(function*() {
      const registry = yield* Registry.make({ bytes: 1000, pause: 0 })
      const image = registry.image.replace(/:v1$/, ":v9")
      const of = node("--enable-ollama", "--ollama-gpus", "none", "--ollama-image", image)
      const agent = of.start()
      yield* Effect.promise(() => agent.until(/Image \\?"127\.0\.0\.1:\d+\/test\/image:v9\\?" not found/))
      yield* Effect.promise(() => stopped(agent))
      assert.deepStrictEqual(yield* Effect.promise(of.containers), [])
    }))))

  it("never touches an engine because the orchestrator is away", async () => {
    const [port, page] = [await free(), await free()]
    const orchestrate = () =>
      CommandProcess.start(["orchestrator", "--port", String(port), "--http-port", String(page)])
    const first = orchestrate()
    await first.until(/orchestrator +localhost/)
    const of = node(...await ollama(), "--orchestrator", `127.0.0.1:${port}`, "--heartbeat-interval", "200ms")
    const agent = of.start(["--orchestrator", `127.0.0.1:${port}`])
    await agent.until(EngineAgents.serves("Ollama"))
    await agent.until(/Registered with the orchestrator/)
    const before = await of.containers()
    first.kill("SIGKILL")
    await first.ended
    await agent.until(/Lost the orchestrator/)
    assert.deepStrictEqual(await of.containers(), before)
    const registered = agent.output().length
    const second = orchestrate()
    await second.until(/orchestrator +localhost/)
    // It registers with the new one, with its engines as they are.
    const seen = await eventually(
      async () => await (await fetch(`http://127.0.0.1:${page}/api/nodes`)).text(),
      (text) => text.includes("\"ready\"")
    )
    assert.include(seen, of.id)
    assert.deepStrictEqual(await of.containers(), before)
    assert.notMatch(agent.output().slice(registered), /Ollama (?:is ready|still serves|ended)/)
    await stopped(agent)
    await stopped(second)
  })

  it("reports a bad directory before anything is created", async () => {
    const of = node("--enable-ollama", "--ollama-volume", "/no/such/directory")
    const { code, stderr } = await of.start().ended
    assert.strictEqual(code, 78)
    assert.match(stderr, /^.*--ollama-volume cannot be "\/no\/such\/directory".*there is no such directory; give.*\n$/)
    assert.deepStrictEqual(await of.containers(), [])
  })

  it.skipIf(hasHook).each(["ollama", "vllm"] as const)(
    "says that the GPU is not accessible to %s where the toolkit is missing",
    (kind) =>
      Effect.runPromise(
        Effect.scoped(Effect.gen(function*() {
          const id = `${engine().nodeId}-gpu-${++count}`
          nodes.add(id)
          const image = yield* Effect.promise(() => StandIns.image(kind, engine().socket))
          const agent = yield* Supervised.start({
            nodeId: id,
            settings: {
              [`enable-${kind}`]: "true",
              [`${kind}-image`]: image,
              [`${kind}-volume`]: volume(),
              [`${kind}-port`]: String(yield* Ports.free)
            },
            capabilities: () => Machines.machine({ gpus: [Machines.gpu({ computeCapability: "9.0" })] })
          })
          const failed = yield* agent.until(({ state }) => state === "failed")
          assert.match(failed.detail, /GPU.*(?:NVIDIA Container Toolkit|nvidia-ctk)/s)
          assert.deepStrictEqual(yield* Effect.promise(() => EngineAgents.list(engine().socket, { "node-id": id })), [])
        })).pipe(Effect.provide(layer(engine)))
      )
  )
})
