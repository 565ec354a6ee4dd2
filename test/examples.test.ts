/** The programs under `examples/`, compiled by the type check and run here as a user would run them. */
import * as http from "node:http"
import type * as net from "node:net"
import * as path from "node:path"
import { build } from "esbuild"
import { afterEach, assert, describe, it } from "vitest"
import { killAll, removeFolders, runScript, start, temporaryFolder } from "./cli/CommandProcess.js"

afterEach(() => {
  killAll()
  removeFolders()
})

const root = path.resolve(import.meta.dirname, "..")

/** Bundles an example into a script that Node runs. */
const compile = async (name: string): Promise<string> => {
  const outfile = path.join(temporaryFolder(), `${name}.mjs`)
  await build({
    entryPoints: [path.join(root, "examples", `${name}.ts`)],
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    alias: {
      "@orchion/node-agent/testing": path.join(root, "src/testing/index.ts"),
      "@orchion/node-agent": path.join(root, "src/index.ts")
    },
    external: ["cpu-features", "*.node"],
    logLevel: "error",
    banner: { js: "import { createRequire } from \"node:module\";const require = createRequire(import.meta.url);" }
  })
  return outfile
}

describe("the examples", () => {
  it("show-capabilities prints what this machine is", async () => {
    const ended = await runScript(await compile("show-capabilities"), [])
    assert.match(ended.stdout, /^\d+ threads, \d+ bytes of memory, \d+ GPUs\n$/)
    assert.strictEqual(ended.code, 0, ended.stderr)
  })

  it("swapped-orchestrator runs an agent that talks to the program itself", async () => {
    const ended = await runScript(await compile("swapped-orchestrator"), [temporaryFolder()])
    assert.match(ended.stdout, /registers: \d+ threads/)
    assert.match(ended.stdout, /the agent runs as [0-9a-f-]{36}/)
    assert.match(ended.stdout, /a heartbeat/)
    assert.strictEqual(ended.code, 0, ended.stderr)
  })

  it("own-engine serves what an engine of the program's own serves", async () => {
    const engine = http.createServer((request, response) => {
      response.end(request.url === "/v1/models" ? JSON.stringify({ data: [{ id: "tiny" }] }) : "ok")
    })
    await new Promise<void>((resolve) => engine.listen(0, "127.0.0.1", resolve))
    try {
      const { port } = engine.address() as net.AddressInfo
      const ended = await runScript(await compile("own-engine"), [temporaryFolder(), `http://127.0.0.1:${port}`])
      assert.match(ended.stdout, /^llamacpp serves tiny$/m)
      assert.strictEqual(ended.code, 0, ended.stderr)
    } finally {
      engine.close()
      engine.closeAllConnections()
    }
  })

  it("test-kit runs an agent among stand-ins for its machine, its orchestrator and its engine", async () => {
    const ended = await runScript(await compile("test-kit"), [temporaryFolder()])
    assert.match(ended.stdout, /^registered with NVIDIA H100 80GB HBM3$/m, ended.stderr)
    assert.match(ended.stdout, /^serves parrot$/m, ended.stderr)
    assert.strictEqual(ended.code, 0, ended.stderr)
  })

  it("list-nodes lists the nodes of a cluster", async () => {
    const script = await compile("list-nodes")
    const dev = start([
      "dev",
      ...["--port", "0", "--http-port", "0", "--agent-port", "0", "--state-dir", temporaryFolder()]
    ])
    const [, port] = await dev.until(/orchestrator +localhost:(\d+)/)
    const ended = await runScript(script, [`localhost:${port}`])
    assert.match(ended.stdout, /1 nodes at localhost/)
    assert.strictEqual(ended.code, 0, ended.stderr)
  })

  it("list-nodes says in one line that nothing answers", async () => {
    const ended = await runScript(await compile("list-nodes"), ["localhost:9"])
    assert.match(ended.stderr, /^the orchestrator at localhost:9 cannot be reached: connection refused/)
    assert.strictEqual(ended.stderr.trimEnd().split("\n").length, 1)
  })
})
