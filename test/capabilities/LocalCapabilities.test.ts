import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { Capabilities } from "../../src/capabilities/Capabilities.js"
import * as CapabilitiesJsonSchema from "../../src/node/CapabilitiesJsonSchema.js"
import { findingCodes, gpusAreKnown } from "../../src/node/Findings.js"
import * as LocalCapabilities from "../../src/capabilities/LocalCapabilities.js"
import { NodeCapabilities } from "../../src/node/CapabilitiesSchema.js"
import { fakeTool, fixture, isAlive, machine, matches, temporaryDirectory, tree, until } from "./Support.js"

const fixtures = path.join(import.meta.dirname, "fixtures")

/** A Linux machine of files, without tools unless a path is given. */
const fake = (root: string, options: LocalCapabilities.LocalCapabilitiesOptions = {}) =>
  LocalCapabilities.make({
    root,
    path: "/nonexistent",
    env: {},
    platform: "linux",
    probeDeadline: "20 seconds",
    ...options
  })

/** Every value that is read must be what the model says, and survive the way through JSON. */
const check = (node: NodeCapabilities) =>
  Effect.gen(function*() {
    assert.isTrue(matches(NodeCapabilities)(node))
    const encoded = yield* Schema.encode(NodeCapabilities)(node)
    const decoded = yield* Schema.decodeUnknown(NodeCapabilities)(JSON.parse(JSON.stringify(encoded)))
    assert.deepStrictEqual(JSON.parse(JSON.stringify(decoded)), JSON.parse(JSON.stringify(node)))
    for (const { code } of node.findings) assert.property(findingCodes, code)
    return node
  }).pipe(Effect.orDie)

/** What lscpu says of each thread, where it is installed: its number, its core and its socket. */
const lscpu: string | undefined = (() => {
  try {
    return execFileSync("lscpu", ["--parse=CPU,CORE,SOCKET"], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
  } catch {
    return undefined
  }
})()

/** Page faults of the children that this process has waited for: any child at all adds hundreds. */
const faultsOfChildren = (): number => Number(fs.readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ")[8])

describe("LocalCapabilities on this machine", () => {
  it.scopedLive.skipIf(process.platform !== "linux")(
    "agrees with /proc/meminfo at the first look",
    () =>
      Effect.gen(function*() {
        const capabilities = yield* LocalCapabilities.make()
        const node = yield* Effect.flatMap(capabilities.read, check)
        const kibibytes = (key: string) =>
          Number(new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(fs.readFileSync("/proc/meminfo", "utf8"))?.[1])
        assert.strictEqual(node.memory.totalBytes, kibibytes("MemTotal") * 1024)
        assert.strictEqual(node.memory.swapTotalBytes, kibibytes("SwapTotal") * 1024)
        assert.approximately(node.memory.availableBytes, kibibytes("MemAvailable") * 1024, 2 * 1024 ** 3)
        assert.strictEqual(node.os.bootId, fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim())
        assert.isAtLeast(node.cpu.logicalCores, 1)
        assert.notStrictEqual(node.os.virtualization, undefined)
      })
  )

  it.scopedLive.skipIf(lscpu === undefined)("agrees with lscpu", () =>
    Effect.gen(function*() {
      const { cpu } = yield* Effect.flatMap((yield* LocalCapabilities.make()).read, check)
      // One line per hardware thread that is on; cores are numbered within their socket by some kernels.
      const threads = (lscpu ?? "").split("\n").filter((line) => line !== "" && !line.startsWith("#"))
      const distinct = (pick: (columns: ReadonlyArray<string>) => string) =>
        new Set(threads.map((line) => pick(line.split(",")))).size
      assert.strictEqual(cpu.logicalCores, threads.length)
      assert.strictEqual(cpu.physicalCores, distinct(([, core, socket]) => `${core} ${socket}`))
      assert.strictEqual(cpu.sockets, distinct(([, , socket]) => `${socket}`))
    }))

  it.scopedLive("reports everything in the model, with the disk of the state directory", () =>
    Effect.gen(function*() {
      const stateDir = yield* temporaryDirectory
      const capabilities = yield* LocalCapabilities.make({
        stateDir,
        path: "/nonexistent",
        orchestratorAddress: { host: "127.0.0.1", port: 50_051 }
      })
      const node = yield* Effect.flatMap(capabilities.readAll, check)
      assert.strictEqual(node.disks.find((disk) => disk.purpose === "state")?.path, stateDir)
      assert.strictEqual(node.network?.address, "127.0.0.1")
      assert.isAbove(node.os.uptimeSeconds, 0)
    }))
})

describe("LocalCapabilities on other machines", () => {
  it.scopedLive.skipIf(process.platform !== "linux")(
    "starts no process at any look where there is no tool",
    () =>
      Effect.gen(function*() {
        const capabilities = yield* fake(yield* machine(tree("amd-two-cards"), tree("nvidia-bus")), {
          path: yield* temporaryDirectory,
          orchestratorAddress: { host: "127.0.0.1", port: 50_051 }
        })
        const before = faultsOfChildren()
        for (let round = 0; round < 10; round++) {
          yield* capabilities.read
          assert.lengthOf((yield* capabilities.readAll).gpus, 2)
          yield* capabilities.forget
        }
        assert.strictEqual(faultsOfChildren(), before)
      })
  )

  it.scopedLive("describes a Raspberry Pi", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("raspberry-pi"), { "proc/cpuinfo": fixture("cpu/raspberry-pi-5.txt") })
      const node = yield* Effect.flatMap((yield* fake(root)).readAll, check)
      assert.deepInclude({ ...node.cpu }, {
        model: "Cortex-A76",
        sockets: 1,
        physicalCores: 4,
        logicalCores: 4,
        maxMhz: 2400
      })
      assert.strictEqual(node.os.board, "Raspberry Pi 5 Model B Rev 1.0")
      assert.strictEqual(node.memory.totalBytes, 8_245_216 * 1024)
      assert.deepStrictEqual(node.gpus, [])
      assert.deepStrictEqual(node.findings, [])
    }))

  it.scopedLive("reports both the machine's memory and processors and what its container may use", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("cgroup-v2-container"), {
        "proc/cpuinfo": fixture("cpu/xeon-2-sockets.txt"),
        "proc/meminfo": "MemTotal: 67108864 kB\nMemAvailable: 33554432 kB\n",
        ".dockerenv": ""
      })
      const node = yield* Effect.flatMap((yield* fake(root)).read, check)
      assert.strictEqual(node.cpu.logicalCores, 16)
      assert.strictEqual(node.cpu.limitCores, 1.5)
      assert.strictEqual(node.memory.totalBytes, 64 * 1024 ** 3)
      assert.strictEqual(node.memory.limitBytes, 4 * 1024 ** 3)
      assert.strictEqual(node.memory.limitUsedBytes, 0.75 * 1024 ** 3)
      assert.strictEqual(node.os.virtualization, "docker")
    }))

  it.scopedLive("gives the system's memory to a GPU that has none of its own", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("jetson-orin"))
      const node = yield* Effect.flatMap((yield* fake(root)).readAll, check)
      assert.deepInclude({ ...node.gpus[0] }, {
        model: "NVIDIA Jetson AGX Orin Developer Kit",
        unifiedMemory: true,
        memoryTotalBytes: 64_349_364 * 1024,
        memoryFreeBytes: 58_000_000 * 1024,
        memoryUsedBytes: (64_349_364 - 58_000_000) * 1024
      })
    }))

  it.scopedLive("has the GPUs of every vendor in one machine", () =>
    Effect.gen(function*() {
      const intel = Object.fromEntries(
        Object.entries(tree("intel-two-cards")).map(([file, text]) => [file.replace("/card", "/card9"), text])
      )
      const root = yield* machine(tree("amd-two-cards"), intel)
      const tools = yield* temporaryDirectory
      fakeTool(
        tools,
        "nvidia-smi",
        `case $1 in --query-gpu*) cat ${fixtures}/nvidia/h100x8.csv ;; *) cat ${fixtures}/nvidia/h100x8-apps.csv ;; esac`
      )
      const capabilities = yield* fake(root, { path: tools, ownPids: Effect.succeed(new Set([4242, 3141])) })
      const node = yield* Effect.flatMap(capabilities.readAll, check)
      assert.deepStrictEqual(node.gpus.map((gpu) => gpu.vendor), [
        ...Array<string>(8).fill("nvidia"),
        "amd",
        "amd",
        "intel",
        "intel"
      ])
      // Who uses them, but for the programs that are ours.
      assert.deepStrictEqual(
        node.gpus.map((gpu) => gpu.foreignProcesses.map((program) => program.name)),
        [["python3"], ["run.py", "unknown"], [], [], [], [], [], [], [], ["unknown"], [], []]
      )
    }))

  it.scopedLive("puts the pieces of a GPU that is cut up below it, and their users too", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const tools = yield* temporaryDirectory
      fakeTool(
        tools,
        "nvidia-smi",
        `case $1 in
          --query-gpu*) cat ${fixtures}/nvidia/mig.csv ;;
          -L) cat ${fixtures}/nvidia/mig-list.txt ;;
          *) echo 'MIG-0b9a7b47-1f6e-5a3c-8c71-bbbbbbbbbbbb, 77, /usr/bin/python3, 900' ;;
        esac`
      )
      const node = yield* Effect.flatMap((yield* fake(root, { path: tools })).readAll, check)
      assert.deepStrictEqual(node.gpus.map((gpu) => gpu.migInstances.map((piece) => piece.profile)), [
        ["3g.40gb", "1g.10gb+me", "1c.3g.40gb"],
        []
      ])
      assert.deepStrictEqual(node.gpus.map((gpu) => gpu.foreignProcesses.map((program) => program.pid)), [[77], []])
    }))

  it.scopedLive("notices a driver that comes late, GPUs that go, and a tool that is taken away", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const tools = yield* temporaryDirectory
      const capabilities = yield* fake(root, { path: tools })
      const models = Effect.map(
        Effect.zipRight(capabilities.forget, Effect.flatMap(capabilities.readAll, check)),
        (node) => node.gpus.length
      )
      assert.strictEqual(yield* models, 0)
      const file = fakeTool(tools, "nvidia-smi", `case $1 in --query-gpu*) cat ${fixtures}/nvidia/h100x8.csv ;; esac`)
      assert.strictEqual(yield* models, 8)
      fakeTool(tools, "nvidia-smi", `case $1 in --query-gpu*) cat ${fixtures}/nvidia/mig.csv ;; esac`)
      assert.strictEqual(yield* models, 2)
      fs.rmSync(file)
      assert.strictEqual(yield* models, 0)
    }))

  it.scopedLive("starts no probe for what is known now, and does not call that no GPU", () =>
    Effect.gen(function*() {
      const tools = yield* temporaryDirectory
      fakeTool(tools, "nvidia-smi", `touch ${tools}/started; cat ${fixtures}/nvidia/h100x8.csv`)
      const root = yield* machine({ "proc/meminfo": "MemTotal: 1024 kB\nMemAvailable: 512 kB\n" })
      const capabilities = yield* fake(root, { path: tools })
      const node = yield* Effect.flatMap(capabilities.current, check)
      assert.strictEqual(node.memory.totalBytes, 1024 * 1024)
      assert.deepStrictEqual(node.findings.map(({ code }) => code), ["gpu.unknown"])
      yield* Effect.yieldNow()
      assert.isFalse(fs.existsSync(path.join(tools, "started")))
      const look = yield* Effect.flatMap(capabilities.readWithin("20 seconds"), check)
      assert.isTrue(gpusAreKnown(look))
      assert.lengthOf(look.gpus, 8)
    }))

  it.scopedLive("finds everything again in a copy of the machine that was started from its snapshot", () =>
    Effect.gen(function*() {
      const bootId = "proc/sys/kernel/random/boot_id"
      const root = yield* machine({ [bootId]: "first\n", "etc/os-release": "PRETTY_NAME=Before\n" })
      const tools = yield* temporaryDirectory
      const capabilities = yield* fake(root, { path: tools })
      const about = Effect.map(
        Effect.flatMap(capabilities.readAll, check),
        ({ gpus, os }) => [os.bootId, os.distribution, gpus.length]
      )
      assert.deepStrictEqual(yield* about, ["first", "Before", 0])
      fakeTool(tools, "nvidia-smi", `case $1 in --query-gpu*) cat ${fixtures}/nvidia/h100x8.csv ;; esac`)
      fs.writeFileSync(path.join(root, "etc/os-release"), "PRETTY_NAME=After\n")
      // What does not change while a machine is up is not looked at again.
      assert.deepStrictEqual(yield* about, ["first", "Before", 0])
      fs.writeFileSync(path.join(root, bootId), "second\n")
      assert.deepStrictEqual(yield* about, ["second", "After", 8])
    }))

  it.scopedLive("finds everything again when the clock jumped, in either direction", () =>
    Effect.gen(function*() {
      const clock = yield* Effect.clock
      let set = 0
      const wall: Clock.Clock = {
        ...clock,
        [Clock.ClockTypeId]: Clock.ClockTypeId,
        sleep: (duration) => clock.sleep(duration),
        currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + set),
        currentTimeNanos: clock.currentTimeNanos,
        unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + set,
        unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos()
      }
      const root = yield* machine({ "etc/os-release": "PRETTY_NAME=0\n" })
      const capabilities = yield* fake(root)
      const distribution = Effect.map(Effect.withClock(capabilities.readAll, wall), ({ os }) => os.distribution)
      const seen: Array<string | undefined> = []
      for (const jump of [0, 1_000, 3_600_000, -3_600_000]) {
        fs.writeFileSync(path.join(root, "etc/os-release"), `PRETTY_NAME=${jump}\n`)
        set += jump
        seen.push(yield* distribution)
      }
      assert.deepStrictEqual(seen, ["0", "0", "3600000", "-3600000"])
    }))

  it.scopedLive("says so when the runtime cannot hand its GPUs to containers", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "proc/meminfo": "MemTotal: 1024 kB\nMemAvailable: 512 kB\n" })
      const tools = yield* temporaryDirectory
      fakeTool(tools, "nvidia-smi", `case $1 in --query-gpu*) cat ${fixtures}/nvidia/h100x8.csv ;; esac`)
      const socket = path.join(root, "docker.sock")
      const http = yield* Effect.promise(() => import("node:http"))
      const server = http.createServer((request, response) =>
        response.end(
          JSON.stringify(
            request.url === "/version" ? { Version: "28.2.2", ApiVersion: "1.50" } : { Runtimes: { runc: {} } }
          )
        )
      )
      yield* Effect.acquireRelease(
        Effect.async<void>((resume) => {
          server.listen(socket, () => resume(Effect.void))
        }),
        () => Effect.sync(() => server.close())
      )
      const node = yield* Effect.flatMap(
        (yield* fake(root, { path: tools, dockerHost: `unix://${socket}` })).readAll,
        check
      )
      assert.deepInclude({ ...node.containerRuntime }, { kind: "docker", version: "28.2.2", gpuReady: false })
      assert.deepStrictEqual(node.findings.map(({ code }) => code), ["runtime.no-gpu-support"])
    }))

  it.scopedLive("makes a finding of what it cannot read, and continues without it", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const node = yield* Effect.flatMap((yield* fake(root)).readAll, check)
      assert.deepStrictEqual(node.findings.map(({ code }) => code), ["memory.unknown"])
      assert.isAbove(node.memory.totalBytes, 0)
    }))
})

describe.skipIf(process.platform === "win32")("LocalCapabilities beside a tool that hangs", () => {
  /** A machine whose nvidia-smi notes its process and never ends. */
  const wedged = Effect.gen(function*() {
    const root = yield* machine({ "proc/meminfo": "MemTotal: 1024 kB\nMemAvailable: 512 kB\n" })
    const tools = yield* temporaryDirectory
    fakeTool(tools, "nvidia-smi", `trap '' TERM\necho $$ >> ${tools}/pids\nsleep 300`)
    const pids = () => {
      const file = path.join(tools, "pids")
      return fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n").map(Number) : []
    }
    return { root, tools, pids }
  })

  it.scopedLive("answers at once, and does not start the tool twice", () =>
    Effect.gen(function*() {
      const { pids, root, tools } = yield* wedged
      const capabilities = yield* fake(root, { path: tools })
      yield* capabilities.read
      yield* until("the tool runs", () => pids().length === 1)
      let longest = 0
      for (let round = 0; round < 50; round++) {
        const start = performance.now()
        const node = yield* capabilities.read
        longest = Math.max(longest, performance.now() - start)
        assert.strictEqual(node.memory.totalBytes, 1024 * 1024)
        yield* Effect.sleep("2 millis")
      }
      // Far below the deadline, whatever else this machine does.
      assert.isBelow(longest, 1000)
      assert.lengthOf(pids(), 1)
    }))

  it.scopedLive("has the rest and a finding when all is waited for, and the tool is gone", () =>
    Effect.gen(function*() {
      const { pids, root, tools } = yield* wedged
      const capabilities = yield* fake(root, { path: tools, probeDeadline: "300 millis" })
      const node = yield* Effect.flatMap(capabilities.readAll, check)
      assert.deepStrictEqual(node.findings.map(({ code }) => code), ["gpu.unknown", "tool.timed-out"])
      assert.isFalse(gpusAreKnown(node))
      assert.strictEqual(node.memory.totalBytes, 1024 * 1024)
      yield* until("the tool has gone", () => !pids().some(isAlive))
      // It is never asked twice at once.
      yield* capabilities.readWithin("100 millis")
      yield* capabilities.read
      assert.isAtMost(pids().filter(isAlive).length, 1)
    }))

  it.scopedLive("gives a slow but healthy tool more time in the background, and does not call that no GPU", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "proc/meminfo": "MemTotal: 1024 kB\nMemAvailable: 512 kB\n" })
      const tools = yield* temporaryDirectory
      fakeTool(tools, "nvidia-smi", `case $1 in --query-gpu*) sleep 1; cat ${fixtures}/nvidia/h100x8.csv ;; esac`)
      const capabilities = yield* fake(root, { path: tools, probeDeadline: "300 millis" })
      assert.isFalse(gpusAreKnown(yield* capabilities.current))
      const first = yield* Effect.flatMap(capabilities.readAll, check)
      assert.isFalse(gpusAreKnown(first))
      assert.include(first.findings.find(({ code }) => code === "tool.timed-out")?.remedy, "persistence mode")
      const second = yield* Effect.flatMap(capabilities.readWithin("10 seconds"), check)
      assert.isTrue(gpusAreKnown(second))
      assert.lengthOf(second.gpus.filter(({ healthy }) => healthy), 8)
      assert.deepStrictEqual(second.findings.map(({ code }) => code), ["tool.slow"])
    }))

  it.scopedLive("ends the tool when the layer is released", () =>
    Effect.gen(function*() {
      const { pids, root, tools } = yield* wedged
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(
        LocalCapabilities.layer({ root, path: tools, env: {}, platform: "linux", probeDeadline: "5 minutes" }),
        scope
      )
      yield* Context.get(context, Capabilities).read
      yield* until("the tool runs", () => pids().length === 1)
      yield* Scope.close(scope, Exit.void)
      yield* until("the tool has gone", () => !pids().some(isAlive))
    }))
})

describe("CapabilitiesJsonSchema", () => {
  it("names what a report has at its top, and what it always has", () => {
    const schema = CapabilitiesJsonSchema.make()
    const text = JSON.stringify(schema)
    assert.include(text, "http://json-schema.org/draft-07/schema#")
    const root = "$ref" in schema && schema.$defs !== undefined
      ? schema.$defs[String(schema.$ref).split("/").at(-1) ?? ""]
      : schema
    assert.deepStrictEqual(
      root !== undefined && "properties" in root ? Object.keys(root.properties).sort() : [],
      ["containerRuntime", "cpu", "disks", "findings", "gpus", "memory", "network", "os"]
    )
    assert.deepStrictEqual(
      root !== undefined && "required" in root ? [...root.required].sort() : [],
      ["cpu", "disks", "findings", "gpus", "memory", "os"]
    )
  })
})
