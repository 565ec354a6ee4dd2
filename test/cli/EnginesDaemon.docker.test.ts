/** Engines on a Docker daemon that restarts, goes and comes late, and that has a stand-in for NVIDIA's container hook. */
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { afterAll, afterEach, assert, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Supervised from "../engine/Supervised.js"
import type * as dockerd from "../support/dockerd.js"
import { describeDocker, layer } from "../support/DockerTest.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Machines from "../support/Machines.js"
import * as Ports from "../support/Ports.js"
import * as CommandProcess from "./CommandProcess.js"
import * as EngineAgents from "./EngineAgents.js"

vi.setConfig({ testTimeout: 90_000 })

/**
 * What the container toolkit installs: dockerd looks for it on its PATH when it starts, and has it run before each
 * container with a GPU request. This one notes the container's configuration.
 */
const toolkit = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-hook-"))
fs.writeFileSync(
  path.join(toolkit, "nvidia-container-runtime-hook"),
  `#!/bin/sh
bundle=$(sed -n 's/.*"bundle":"\\([^"]*\\)".*/\\1/p')
cp "$bundle/config.json" "${toolkit}/config.json"
`,
  { mode: 0o755 }
)

await describeDocker("Engines on a daemon of their own", (engine) => {
  StandIns.useImages(engine)
  let count = 0
  const another = () => `${engine().nodeId}-daemon-${++count}`
  const daemon = (): dockerd.Engine => {
    const { daemon } = engine()
    if (daemon === undefined) throw new Error("the suite has a daemon of its own")
    return daemon
  }
  const ollamaNode = async () =>
    EngineAgents.node(engine().socket, another(), [
      "--enable-ollama",
      ...["--ollama-image", await StandIns.variant("ollama", engine().socket, { pullBytes: 1e5 })],
      ...["--ollama-gpus", "none", "--ollama-port", String(await Effect.runPromise(Ports.free))]
    ])
  const stopped = async (agent: CommandProcess.CommandProcess) => {
    agent.kill("SIGTERM")
    const ended = await agent.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
  }

  afterEach(() => {
    CommandProcess.killAll()
    CommandProcess.removeFolders()
  })
  afterAll(() => fs.rmSync(toolkit, { recursive: true, force: true }))

  /** Waits for a line that comes from now on. */
  const later = async (agent: CommandProcess.CommandProcess, pattern: RegExp, from: number) => {
    await agent.until(new RegExp(`^[^]{${from},}?${pattern.source}`))
  }

  it.each(["SIGTERM", "SIGKILL"] as const)(
    "come back when it restarts after %s, one container each",
    async (signal) => {
      const of = await ollamaNode()
      const agent = of.start()
      await agent.until(EngineAgents.serves("Ollama"))
      const from = agent.output().length
      await daemon().restart(signal)
      await later(agent, EngineAgents.serves("Ollama"), from)
      assert.deepStrictEqual((await of.containers()).map(({ state }) => state), ["running"])
      await stopped(agent)
      assert.deepStrictEqual(await of.containers(), [])
    }
  )

  it("wait for it, whether it comes late or goes away meanwhile", async () => {
    const of = await ollamaNode()
    await daemon().down()
    const agent = of.start()
    await agent.until(/Ollama is waiting for Docker/)
    await daemon().up()
    await agent.until(EngineAgents.serves("Ollama"))
    const from = agent.output().length
    await daemon().down()
    await later(agent, /Ollama failed a health check/, from)
    await daemon().up()
    await later(agent, EngineAgents.serves("Ollama"), from)
    assert.deepStrictEqual((await of.containers()).map(({ state }) => state), ["running"])
    await stopped(agent)
    assert.deepStrictEqual(await of.containers(), [])
  })

  it("get the GPUs that they ask for, and say when they do not see them", () =>
    Effect.runPromise(
      Effect.scoped(Effect.gen(function*() {
        const image = yield* Effect.promise(() =>
          StandIns.variant("ollama", engine().socket, { compute: "cpu", pullBytes: 1e5 })
        )
        const gpus = [0, 1].map((index) => Machines.gpu({ index, uuid: `GPU-${index}`, computeCapability: "9.0" }))
        const nodeId = another()
        const agent = yield* Supervised.start({
          nodeId,
          settings: {
            "enable-ollama": "true",
            "ollama-image": image,
            "ollama-gpus": "GPU-1",
            "ollama-port": String(yield* Ports.free)
          },
          capabilities: () => Machines.machine({ gpus })
        })
        yield* agent.until(({ state }) => state === "ready")
        const written = JSON.parse(fs.readFileSync(path.join(toolkit, "config.json"), "utf8")) as {
          readonly process: { readonly env: ReadonlyArray<string> }
          readonly hooks: { readonly prestart: ReadonlyArray<{ readonly path: string }> }
        }
        // The last one holds: the image itself asks for all.
        const visible = written.process.env.filter((variable) => variable.startsWith("NVIDIA_VISIBLE_DEVICES=")).at(-1)
        assert.strictEqual(visible, "NVIDIA_VISIBLE_DEVICES=GPU-1")
        assert.include(
          written.hooks.prestart.map((hook) => hook.path),
          path.join(toolkit, "nvidia-container-runtime-hook")
        )
        yield* agent.until(() => agent.findings().length > 0)
        assert.deepStrictEqual(agent.findings().map(({ code, severity }) => [code, severity]), [
          ["engine.gpu-not-used", "warning"]
        ])
        assert.lengthOf(agent.logs.matching(/Ollama was given a GPU but runs on the CPU/), 1)
      })).pipe(Effect.provide(layer(engine)))
    ))
}, { ownDaemon: true, daemonPath: toolkit })
