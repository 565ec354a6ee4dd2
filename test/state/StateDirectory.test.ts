import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as LockFile from "../../src/state/LockFile.js"
import { NodeIdentity } from "../../src/state/NodeIdentity.js"
import { StateDirectory } from "../../src/state/StateDirectory.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as Processes from "../support/Processes.js"
import * as Temporary from "../support/Temporary.js"

const isRoot = process.getuid?.() === 0

/** The node id that an agent on this state directory goes by; the directory is given back. */
const identity = (stateDir: string, settings: Readonly<Record<string, string>> = {}) =>
  Effect.scoped(
    NodeIdentity.layer.pipe(
      Layer.provide(StateDirectory.layer),
      Layer.provide(AgentConfig.rooms),
      Layer.provide(AgentConfig.layer({ "state-dir": stateDir, ...settings })),
      Layer.build,
      Effect.map((context) => Context.get(context, NodeIdentity).nodeId)
    )
  )

/** The state directory, held until the scope closes. */
const hold = (stateDir: string) =>
  Effect.map(
    Layer.build(
      StateDirectory.layer.pipe(
        Layer.provide(AgentConfig.rooms),
        Layer.provide(AgentConfig.layer({ "state-dir": stateDir }))
      )
    ),
    Context.get(StateDirectory)
  )

const modeOf = (file: string) => fs.statSync(file).mode & 0o777

/** A process that holds the lock of a state directory. */
const holder = (stateDir: string) =>
  Effect.gen(function*() {
    // What LockFile writes, as another agent's process would.
    const program = `
      const fs = require("node:fs")
      const stat = fs.readFileSync("/proc/self/stat", "utf8")
      const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
      const started = boot + "/" + stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]
      fs.writeFileSync(process.argv[1], process.pid + "\\n" + started + "\\n")
      console.log("holding")
      setInterval(() => {}, 1000)
    `
    const child = yield* Processes.node(["-e", program, path.join(stateDir, "agent.lock")])
    yield* child.says(/holding/)
    return child
  })

describe("a node's identity", () => {
  it.scopedLive("is made once and kept, for its owner's eyes only", () =>
    Effect.gen(function*() {
      const stateDir = path.join(yield* Temporary.directory, "not", "there", "yet")
      const first = yield* identity(stateDir)
      assert.match(first, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.strictEqual(yield* identity(stateDir), first)
      assert.strictEqual(fs.readFileSync(path.join(stateDir, "node-id"), "utf8"), `${first}\n`)
      assert.strictEqual(modeOf(path.join(stateDir, "node-id")), 0o600)
      assert.strictEqual(modeOf(stateDir), 0o700)
      assert.deepStrictEqual(fs.readdirSync(stateDir), ["node-id"])
    }))

  it.scopedLive("is the setting's when there is one, and then nothing is kept", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      assert.strictEqual(yield* identity(stateDir, { "node-id": "gpu-7" }), "gpu-7")
      assert.deepStrictEqual(fs.readdirSync(stateDir), [])
    }))

  it.scopedLive("may be written by hand, with either line end or none", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      for (const text of ["gpu-7", "gpu-7\n", "gpu-7\r\n"]) {
        fs.writeFileSync(path.join(stateDir, "node-id"), text)
        assert.strictEqual(yield* identity(stateDir), "gpu-7")
      }
    }))

  it.scopedLive("is never replaced when its file is damaged: the error names the file and what to do", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const file = path.join(stateDir, "node-id")
      const damaged = ["", "\n", "two words", "a\0b", "a\nb\n", "x".repeat(254), Buffer.from([0xff, 0xfe, 0x80])]
      for (const content of damaged) {
        fs.writeFileSync(file, content)
        const error = yield* Effect.flip(identity(stateDir))
        assert.strictEqual(error._tag, "StateFileError")
        assert.strictEqual(
          error.message,
          `${file} does not hold a node id; put this node's id back into it (the orchestrator lists it), or remove the file to `
            + "join as a new node"
        )
        assert.deepStrictEqual(fs.readFileSync(file), Buffer.from(content))
      }
    }))

  it.scopedLive("is never replaced when its file cannot be read", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const file = path.join(stateDir, "node-id")
      const refused = Effect.map(Effect.flip(identity(stateDir)), (error) => {
        assert.strictEqual(error._tag, "StateFileError")
        assert.include(error.message, `${file} cannot be read: `)
      })
      fs.mkdirSync(file)
      yield* refused
      fs.rmdirSync(file)
      // A disk that is not mounted.
      fs.symlinkSync(path.join(stateDir, "absent", "node-id"), file)
      yield* refused
      assert.isTrue(fs.lstatSync(file).isSymbolicLink())
      if (isRoot) return
      fs.rmSync(file)
      fs.writeFileSync(file, "gpu-7\n", { mode: 0 })
      yield* refused
    }))
})

describe("a state directory", () => {
  it.scopedLive("is refused to a second agent, which is told the pid of the first", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const first = yield* holder(stateDir)
      const error = yield* Effect.flip(Effect.scoped(hold(stateDir)))
      assert.strictEqual(error._tag, "StateDirectoryInUse")
      assert.strictEqual(
        error.message,
        `another agent (pid ${first.pid}) is running on the state directory ${stateDir}; stop it, or give this one its own `
          + "with --state-dir"
      )
    }))

  it.scopedLive("is refused to a second agent of the same process", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      yield* hold(stateDir)
      const error = yield* Effect.flip(Effect.scoped(hold(stateDir)))
      assert.deepInclude(error, { _tag: "StateDirectoryInUse", pid: process.pid })
    }))

  it.scopedLive("is free again when the agent has stopped", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      yield* Effect.scoped(hold(stateDir))
      assert.deepStrictEqual(fs.readdirSync(stateDir), [])
      yield* hold(stateDir)
      assert.deepStrictEqual(fs.readdirSync(stateDir), ["agent.lock"])
      assert.strictEqual(modeOf(path.join(stateDir, "agent.lock")), 0o600)
    }))

  it.scopedLive("is taken over from an agent that was killed", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const first = yield* holder(stateDir)
      yield* first.signal("SIGKILL")
      yield* first.ended
      yield* hold(stateDir)
      assert.match(fs.readFileSync(path.join(stateDir, "agent.lock"), "utf8"), new RegExp(`^${process.pid}\n`))
    }))

  it.scopedLive("is taken over when the lock's pid belongs to another process by now", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      fs.writeFileSync(path.join(stateDir, "agent.lock"), `${process.ppid}\nanother-boot/1\n`)
      yield* hold(stateDir)
    }))

  it.scopedLive("is taken over when the lock file holds no pid", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      fs.writeFileSync(path.join(stateDir, "agent.lock"), "")
      yield* hold(stateDir)
    }))

  it.scopedLive("keeps what it is told to keep, whole", () =>
    Effect.gen(function*() {
      const state = yield* hold(yield* Temporary.directory)
      assert.isUndefined(yield* state.read("note"))
      const text = "ä\n".repeat(100_000)
      yield* state.write("note", "short")
      yield* state.write("note", text)
      assert.strictEqual(yield* state.read("note"), text)
      assert.deepStrictEqual(fs.readdirSync(state.path).sort(), ["agent.lock", "note"])
    }))

  it.scopedLive("must be one: the error names the setting, the path and what is wrong", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      fs.writeFileSync(path.join(directory, "file"), "")
      const stateDir = path.join(directory, "file", "state")
      const error = yield* Effect.flip(identity(stateDir))
      assert.strictEqual(
        error.message,
        `--state-dir cannot be ${JSON.stringify(stateDir)} (from the program): a part of the path is a file, not a `
          + "directory; give a directory that this user can write to"
      )
    }))

  it.scopedLive("must be writable", (context) =>
    Effect.gen(function*() {
      // Root may write anywhere but to a file system that is read-only.
      const stateDir = isRoot ? "/proc/node-agent" : yield* Temporary.directory
      if (isRoot && process.platform !== "linux") return context.skip("root may write anywhere here")
      if (!isRoot) fs.chmodSync(stateDir, 0o500)
      const error = yield* Effect.flip(identity(stateDir))
      assert.strictEqual(error._tag, "InvalidSetting")
      assert.match(
        error.message,
        /^--state-dir cannot be ".*" \(from the program\): .+; give a directory that this user can write to$/
      )
      if (!isRoot) fs.chmodSync(stateDir, 0o700)
    }))

  it.scopedLive("is refused on a full disk, and nothing half-written stays", (context) =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const mounted = yield* Effect.acquireRelease(
        Effect.sync(() => spawnSync("mount", ["-t", "tmpfs", "-o", "size=8k", "tmpfs", directory]).status === 0),
        (mounted) => Effect.sync(() => mounted ? void spawnSync("umount", [directory]) : undefined)
      )
      if (!mounted) return context.skip("a small disk to fill can be mounted by root only")
      const fill = (file: string) => {
        try {
          fs.writeFileSync(path.join(directory, file), Buffer.alloc(64 * 1024))
        } catch {
          // That is when it is full.
        }
      }
      fill("ballast")
      const error = yield* Effect.flip(identity(directory))
      assert.strictEqual(
        error.message,
        `--state-dir cannot be ${
          JSON.stringify(directory)
        } (from the program): the disk is full; give a directory that this `
          + "user can write to"
      )
      assert.deepStrictEqual(fs.readdirSync(directory), ["ballast"])
    }))
})

describe("a lock", () => {
  it.scopedLive("goes to one of those who find it stale at the same time", () =>
    Effect.gen(function*() {
      const file = path.join(yield* Temporary.directory, "agent.lock")
      for (let round = 0; round < 20; round++) {
        fs.writeFileSync(file, "999999999\nanother-boot/1\n")
        const locks = yield* Effect.all(Array.from({ length: 8 }, () => Effect.either(LockFile.acquire(file))), {
          concurrency: "unbounded"
        })
        const won = locks.filter(({ _tag }) => _tag === "Right")
        assert.lengthOf(won, 1)
        for (const lock of locks) if (lock._tag === "Right") yield* lock.right.release
      }
    }))

  it.scopedLive("that another has taken over is not released by its former owner", () =>
    Effect.gen(function*() {
      const file = path.join(yield* Temporary.directory, "agent.lock")
      const lock = yield* LockFile.acquire(file)
      fs.writeFileSync(file, "1\nanother\n")
      yield* lock.release
      assert.strictEqual(fs.readFileSync(file, "utf8"), "1\nanother\n")
    }))
})
