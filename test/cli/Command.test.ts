import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as path from "node:path"
import { afterEach, assert, describe, it } from "vitest"
import { version } from "../../src/Version.js"
import * as JsonSchema from "../support/JsonSchema.js"
import { bundle, killAll, removeFolders, run, start, temporaryFolder } from "./CommandProcess.js"

const root = path.resolve(import.meta.dirname, "../..")

afterEach(() => {
  killAll()
  removeFolders()
})

/** An orchestrator on free ports, and where it listens. */
const startOrchestrator = async () => {
  const process = start(["orchestrator", "--port", "0", "--http-port", "0", "--heartbeat-timeout", "2s"])
  const [, grpc = ""] = await process.until(/orchestrator +localhost:(\d+)/)
  const [, http = ""] = await process.until(/page +http:\/\/localhost:(\d+)\//)
  return { process, address: `127.0.0.1:${grpc}`, page: `http://127.0.0.1:${http}` }
}

const agentArgs = (address: string, stateDir = temporaryFolder()) => [
  "--orchestrator",
  address,
  "--state-dir",
  stateDir,
  "--agent-port",
  "0",
  "--heartbeat-interval",
  "200ms"
]

describe("bad values", () => {
  const cases: ReadonlyArray<readonly [args: ReadonlyArray<string>, code: number, line: RegExp]> = [
    [["--agent-port", "70000"], 78, /--agent-port cannot be "70000" \(from the command line\); give a port/],
    [["-agent-port=70000"], 78, /--agent-port cannot be "70000"/],
    [["--heartbeat-interval", "0s"], 78, /--heartbeat-interval cannot be "0s".*give a duration from 10ms to 24h/],
    [["--heartbeat-interval", "5 parsecs"], 78, /"5 parsecs"/],
    [["--node-id", "a\u0001b"], 78, /--node-id cannot be "a\\u0001b"/],
    [["--node-id", "x".repeat(254)], 78, /--node-id cannot be/],
    [["--orchestrator", "http://x:1"], 78, /--orchestrator cannot be "http:\/\/x:1".*an address, such as/],
    [["--state-dir", "/proc/nope"], 78, /--state-dir cannot be "\/proc\/nope".*cannot be created there/],
    [["--log-level", "loud"], 78, /--log-level cannot be "loud".*debug, info, warn, error/],
    [["--enable-vllm=maybe"], 78, /--enable-vllm cannot be "maybe".*true or false/],
    [["--bogus"], 2, /there is no option --bogus/],
    [["--heartbeat-intervall", "5s"], 2, /did you mean --heartbeat-interval\?/],
    [["--node-id"], 2, /--node-id needs a value/],
    [["capabilities", "--json=perhaps"], 2, /--json cannot be "perhaps"; give true or false, or nothing/],
    [["--completions", "tcsh"], 2, /--completions cannot be "tcsh"; give one of bash, zsh, fish; see/],
    [["--completions"], 2, /--completions cannot be ""; give one of bash/],
    [["serve"], 2, /there is no command "serve"; the commands are dev, orchestrator and capabilities/],
    [["dve"], 2, /there is no command "dve" \(did you mean dev\?\)/],
    [
      ["dev", "--orchestrator", "x:1"],
      2,
      /there is no option --orchestrator for dev: node-agent and node-agent capabilities have it/
    ],
    [["--bind-address", "0.0.0.0"], 2, /no option --bind-address: node-agent dev and node-agent orchestrator have it/],
    [["--wizard"], 2, /there is no option --wizard/],
    [["--\u001b[31mred"], 2, /there is no option --red; see/],
    [["orchestrator", "--port", "70000"], 78, /--port cannot be "70000"/]
  ]
  for (const [args, code, line] of cases) {
    it(`${args.map((arg) => JSON.stringify(arg.slice(0, 20))).join(" ")} gets one line and exit code ${code}`, async () => {
      const ended = await run(args)
      assert.match(ended.stderr, line)
      assert.strictEqual(ended.stderr.trimEnd().split("\n").length, 1, ended.stderr)
      assert.strictEqual(ended.stdout, "")
      assert.strictEqual(ended.code, code)
    })
  }

  it("names the environment variable that a bad value came from", async () => {
    const ended = await run([], { ORCHION_HEARTBEAT_INTERVAL: "soon" })
    assert.match(ended.stderr, /--heartbeat-interval cannot be "soon" \(from ORCHION_HEARTBEAT_INTERVAL\)/)
    assert.strictEqual(ended.code, 78)
  })

  it("says which port is taken, and leaves nothing half-started", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1")
    await new Promise((resolve) => taken.once("listening", resolve))
    const { port } = taken.address() as net.AddressInfo
    try {
      const stateDir = temporaryFolder()
      const agent = await run(["--orchestrator", "127.0.0.1:9", "--state-dir", stateDir, "--agent-port", `${port}`])
      assert.match(agent.stderr, new RegExp(`--agent-port cannot be "${port}".*taken by another program`))
      assert.strictEqual(agent.code, 1)
      assert.deepStrictEqual(fs.readdirSync(stateDir).filter((name) => name !== "node-id"), [])

      const grpc = await run(["orchestrator", "--port", `${port}`, "--http-port", "0"])
      assert.match(grpc.stderr, new RegExp(`--port cannot be "${port}"`))
      const http = await run(["orchestrator", "--port", "0", "--http-port", `${port}`])
      assert.match(http.stderr, new RegExp(`--http-port cannot be "${port}"`))
      assert.strictEqual(http.code, 1)
    } finally {
      taken.close()
    }
  })

  it("refuses a second agent on the same state directory, naming the first one's pid", async () => {
    const stateDir = temporaryFolder()
    const first = start(agentArgs("127.0.0.1:9", stateDir))
    await first.until(/cannot be reached/)
    const second = await run(agentArgs("127.0.0.1:9", stateDir))
    assert.match(second.stderr, new RegExp(`another agent \\(pid ${first.pid}\\)`))
    assert.strictEqual(second.code, 1)
    first.kill("SIGTERM")
    assert.strictEqual((await first.ended).code, 0)
  })
})

describe("help and version", () => {
  it("runs from a clone as npx node-agent", () => {
    const npx = spawnSync("npx", ["--no-install", "node-agent", "--version"], {
      cwd: root,
      encoding: "utf8",
      shell: process.platform === "win32",
      env: { ...process.env, npm_config_cache: temporaryFolder(), npm_config_offline: "true" }
    })
    assert.strictEqual(npx.stdout.trim(), version)
  })

  it("prints the version", async () => {
    for (const spelling of ["--version", "-version", "-v"]) {
      const ended = await run([spelling])
      assert.strictEqual(ended.stdout.trim(), version)
      assert.strictEqual(ended.code, 0)
    }
  })

  for (const command of ["", "dev", "orchestrator", "capabilities"]) {
    it(`explains ${command === "" ? "the agent" : command}`, async () => {
      const ended = await run([...(command === "" ? [] : [command]), "--help"])
      assert.match(ended.stdout, /Usage:\n {2}node-agent/)
      assert.match(ended.stdout, /--log-level/)
      assert.strictEqual(ended.stderr, "")
      assert.strictEqual(ended.code, 0)
    })
  }

  for (const shell of ["bash", "zsh", "fish"]) {
    it(`prints completions for ${shell}`, async () => {
      const ended = await run(["--completions", shell])
      assert.match(ended.stdout, /heartbeat-interval/)
      assert.strictEqual(ended.code, 0)
    })
  }
})

describe("the agent", () => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    it(`registers, and stops cleanly on ${signal}`, async () => {
      const orchestrator = await startOrchestrator()
      const stateDir = temporaryFolder()
      const agent = start(agentArgs(orchestrator.address, stateDir))
      await agent.until(/Registered with the orchestrator/)
      const nodes = await (await fetch(`${orchestrator.page}/api/nodes`)).json() as Array<{ id: string }>
      assert.deepStrictEqual(
        nodes.map(({ id }) => id),
        [fs.readFileSync(path.join(stateDir, "node-id"), "utf8").trim()]
      )
      const asked = Date.now()
      agent.kill(signal)
      const ended = await agent.ended
      assert.strictEqual(ended.code, 0, ended.stderr)
      assert.isBelow(Date.now() - asked, 2000)
      assert.match(ended.stderr, /"message":"Stopping"[^]*"message":"Stopped after 0\.\d s"/)
      assert.deepStrictEqual(fs.readdirSync(stateDir), ["node-id"])
      orchestrator.process.kill("SIGTERM")
      assert.strictEqual((await orchestrator.process.ended).code, 0)
    })
  }

  it("takes the flags of the agents in the field, with one dash and an equals sign", async () => {
    const orchestrator = await startOrchestrator()
    const agent = start([
      `-orchestrator=${orchestrator.address}`,
      "-node-id=field-1",
      "-hostname",
      "old-desktop",
      "-heartbeat-interval=200ms",
      "-capability-interval=1s",
      "-agent-port=0",
      `-state-dir=${temporaryFolder()}`
    ])
    await agent.until(/Registered with the orchestrator at \S+ as node field-1/)
    const nodes = await (await fetch(`${orchestrator.page}/api/nodes`)).json() as Array<{ hostname: string }>
    assert.deepStrictEqual(nodes.map(({ hostname }) => hostname), ["old-desktop"])
  })

  it("comes back under its own id after SIGKILL", async () => {
    const orchestrator = await startOrchestrator()
    const stateDir = temporaryFolder()
    const first = start(agentArgs(orchestrator.address, stateDir))
    const [, id] = await first.until(/as node (\S+)/)
    first.kill("SIGKILL")
    await first.ended
    const second = start(agentArgs(orchestrator.address, stateDir))
    const [, again] = await second.until(/as node (\S+)/)
    assert.strictEqual(again, id)
  })

  it("waits for an orchestrator that is not there yet, and says so once", async () => {
    const probe = net.createServer().listen(0, "127.0.0.1")
    await new Promise((resolve) => probe.once("listening", resolve))
    const { port } = probe.address() as net.AddressInfo
    await new Promise((resolve) => probe.close(resolve))
    const agent = start(agentArgs(`127.0.0.1:${port}`))
    await agent.until(/connection refused/)
    const orchestrator = start(["orchestrator", "--port", `${port}`, "--http-port", "0"])
    await orchestrator.until(/orchestrator +localhost/)
    await agent.until(/Registered with the orchestrator/)
    assert.strictEqual(agent.output().split("cannot be reached").length, 2, agent.output())
  })

  it("says which variables of the environment it does not know", async () => {
    const agent = start(agentArgs("127.0.0.1:9"), { ORCHION_HEARTBEAT_INTERVL: "5s" })
    await agent.until(
      /Ignoring unknown environment variable ORCHION_HEARTBEAT_INTERVL \(did you mean ORCHION_HEARTBEAT_INTERVAL\?\)/
    )
  })

  it("logs lines of JSON without a terminal, and never a stack trace", async () => {
    const agent = start(agentArgs("127.0.0.1:9"))
    await agent.until(/cannot be reached/)
    agent.kill("SIGTERM")
    const { stderr } = await agent.ended
    for (const line of stderr.trimEnd().split("\n")) {
      assert.containsAllKeys(JSON.parse(line), ["time", "level", "message"])
      assert.notMatch(line, /\n\s+at /)
    }
  })
})

describe("dev", () => {
  it("runs an orchestrator with this machine as its node, and leaves nothing", async () => {
    const stateDir = temporaryFolder()
    const dev = start(["dev", "--port", "0", "--http-port", "0", "--agent-port", "0", "--state-dir", stateDir])
    const [, http] = await dev.until(/page +http:\/\/localhost:(\d+)\//)
    const nodes = await (await fetch(`http://127.0.0.1:${http}/api/nodes`)).json() as Array<{ stale: boolean }>
    assert.deepStrictEqual(nodes.map(({ stale }) => stale), [false])
    assert.match(await (await fetch(`http://127.0.0.1:${http}/`)).text(), /<html/)
    dev.kill("SIGINT")
    // As npm passes on the signal that the terminal has sent already.
    dev.kill("SIGINT")
    const ended = await dev.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.deepStrictEqual(fs.readdirSync(stateDir), ["node-id"])
  })
})

describe("capabilities", () => {
  it("agrees with the kernel on the memory, as JSON", async () => {
    const ended = await run(["capabilities", "--json"])
    assert.strictEqual(ended.code, 0, ended.stderr)
    const known = JSON.parse(ended.stdout) as { memory: { totalBytes: number }; cpu: { logicalCores: number } }
    const kib = /MemTotal: +(\d+) kB/.exec(fs.readFileSync("/proc/meminfo", "utf8"))?.[1]
    assert.strictEqual(known.memory.totalBytes, Number(kib) * 1024)
  })

  it("prints what the schema in the package says", async () => {
    const schema = JSON.parse(fs.readFileSync(path.join(root, "schema/capabilities.schema.json"), "utf8"))
    const tools = temporaryFolder()
    const fixtures = path.join(root, "test/capabilities/fixtures/nvidia")
    fs.writeFileSync(
      path.join(tools, "nvidia-smi"),
      `#!/bin/sh\ncase $1 in --query-gpu*) cat ${fixtures}/h100x8.csv ;; *) cat ${fixtures}/h100x8-apps.csv ;; esac\n`,
      { mode: 0o755 }
    )
    const ended = await run(["capabilities", "--json"], { PATH: `${tools}:${process.env["PATH"]}` })
    assert.strictEqual(ended.code, 0, ended.stderr)
    const known = JSON.parse(ended.stdout) as { gpus: ReadonlyArray<unknown> }
    assert.lengthOf(known.gpus, 8)
    assert.deepStrictEqual(JsonSchema.problems(schema, known), [])
    // The schema would notice.
    assert.isNotEmpty(JsonSchema.problems(schema, { ...known, memory: { totalBytes: -1 } }))
    assert.isNotEmpty(JsonSchema.problems(schema, { ...known, gpus: [{ vendor: "matrox" }] }))
  })

  it("polls with --watch until it is stopped", async () => {
    const watching = start(["capabilities", "--json", "--watch", "--capability-interval", "500ms"])
    await watching.until(/\n\{.*\n\{/s)
    watching.kill("SIGINT")
    const ended = await watching.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    for (const line of ended.stdout.trimEnd().split("\n")) assert.hasAnyKeys(JSON.parse(line), ["memory"])
  })

  it("ends when its output is closed", async () => {
    const watching = start(["capabilities", "--json", "--watch", "--capability-interval", "500ms"])
    await watching.until(/\n/)
    watching.closeOutput()
    const ended = await watching.ended
    assert.strictEqual(ended.code, 0, ended.stderr)
    assert.strictEqual(ended.stderr, "")
  })

  it.skipIf(!fs.existsSync("/dev/full"))("says in one line that it could not report, and ends with 1", () => {
    const shell = spawnSync("sh", ["-c", `"$0" "$1" capabilities > /dev/full`, process.execPath, bundle], {
      encoding: "utf8"
    })
    assert.match(shell.stderr, /^node-agent: cannot write to standard output: .*ENOSPC.*\n$/)
    assert.strictEqual(shell.status, 1)
  })

  it("takes a switch as Go's flags do", async () => {
    const ended = await run(["capabilities", "-json=false"])
    assert.match(ended.stdout, /^Host/)
  })

  it("prints a table without color to a pipe", async () => {
    const ended = await run(["capabilities"])
    assert.match(ended.stdout, /^Host/)
    assert.notInclude(ended.stdout, "\u001b")
    assert.strictEqual(ended.code, 0)
  })
})
