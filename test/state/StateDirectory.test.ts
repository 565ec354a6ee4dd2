import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FastCheck from "effect/FastCheck"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as LockFile from "../../src/state/LockFile.js"
import { NodeIdentity } from "../../src/state/NodeIdentity.js"
import { StateDirectory } from "../../src/state/StateDirectory.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as StateSettings from "../../src/state/StateSettings.js"
import * as LogLines from "../support/LogLines.js"
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
      const damaged = ["", "\n", "a\0b", "a\nb\n", "x".repeat(254), Buffer.from([0xff, 0xfe, 0x80])]
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
  it.scopedLive("is refused to a second agent, which learns the pid of the first", () =>
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
      assert.deepStrictEqual(fs.readdirSync(stateDir).sort(), ["agent.lock", "agent.sock"])
      assert.strictEqual(modeOf(path.join(stateDir, "agent.sock")), 0o600)
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

  it.scopedLive("keeps what it is given, whole", () =>
    Effect.gen(function*() {
      const state = yield* hold(yield* Temporary.directory)
      assert.isUndefined(yield* state.read("note"))
      const text = "ä\n".repeat(100_000)
      yield* state.write("note", "short")
      yield* state.write("note", text)
      assert.strictEqual(yield* state.read("note"), text)
      assert.deepStrictEqual(fs.readdirSync(state.path).sort(), ["agent.lock", "agent.sock", "note"])
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

describe("a state directory that another user prepared", () => {
  const refused = (stateDir: string) =>
    Effect.flip(identity(stateDir)).pipe(
      Effect.timeout("5 seconds"),
      Effect.orDieWith(() => new Error("the start hangs, or does not refuse")),
      Effect.map(({ message }) => message)
    )

  /** In the place of a state file: what, and how the refusal names it. */
  const intruders: ReadonlyArray<readonly [what: string, make: (file: string) => void, problem: RegExp]> = [
    ["a FIFO", (file) => void spawnSync("mkfifo", [file]), /is a FIFO, not a file; remove it$/],
    [
      "a link to an endless device",
      (file) => fs.symlinkSync("/dev/zero", file),
      /is a symbolic link, not a file; put the/
    ],
    [
      "a link to somebody's file",
      (file) => fs.symlinkSync("/etc/passwd", file),
      /is a symbolic link, not a file; put the/
    ],
    ["a directory", (file) => fs.mkdirSync(file), /is a directory, not a file; remove it$/],
    ["a huge file", (file) => {
      fs.writeFileSync(file, "")
      fs.truncateSync(file, 2 ** 40)
    }, /is larger than \d+ bytes; remove it$/]
  ]
  for (const name of ["node-id", "agent.lock", "engines"]) {
    for (const [what, make, problem] of intruders) {
      it.scopedLive(`is refused at once, with the fix, when ${name} is ${what}`, () =>
        Effect.gen(function*() {
          const stateDir = yield* Temporary.directory
          const file = path.join(stateDir, name)
          make(file)
          const message = name === "engines"
            ? yield* Effect.scoped(
              Effect.flatMap(hold(stateDir), (state) => Effect.map(Effect.flip(state.read("engines")), String))
            )
            : yield* refused(stateDir)
          assert.include(message, `${file} cannot be read: it `)
          assert.match(message, problem)
        }))
    }
  }

  it.scopedLive("is refused when a state file belongs to another user", (context) =>
    Effect.gen(function*() {
      if (!isRoot) return context.skip("only root can give files away")
      const stateDir = yield* Temporary.directory
      fs.writeFileSync(path.join(stateDir, "node-id"), "theirs\n")
      fs.chownSync(path.join(stateDir, "node-id"), 12_345, 12_345)
      assert.match(
        yield* refused(stateDir),
        /node-id cannot be read: it belongs to another user \(uid 12345\); remove it/
      )
    }))

  it.scopedLive("is refused when others may write to it, with the fix", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      for (const mode of [0o777, 0o702]) {
        fs.chmodSync(stateDir, mode)
        const message = yield* refused(stateDir)
        assert.include(message, "other users may write to it")
        assert.include(message, `or run: chmod go-w ${stateDir}`)
      }
      // A tmpfs: others cannot replace our files in it.
      fs.chmodSync(stateDir, 0o1777)
      yield* identity(stateDir)
    }))

  it.scopedLive("is refused when it belongs to another user", (context) =>
    Effect.gen(function*() {
      if (!isRoot) return context.skip("only root can give directories away")
      const stateDir = yield* Temporary.directory
      fs.chownSync(stateDir, 12_345, 12_345)
      assert.include(
        yield* refused(stateDir),
        "it belongs to another user (uid 12345); give a directory of this user's own"
      )
    }))

  it.scopedLive("never has a planted link's target overwritten", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const victim = path.join(yield* Temporary.directory, "victim")
      fs.writeFileSync(victim, "precious")
      for (
        const name of [`node-id.${process.pid}.tmp`, `agent.lock.${process.pid}.tmp`, `agent.lock.${process.pid}.stale`]
      ) {
        fs.symlinkSync(victim, path.join(stateDir, name))
      }
      yield* identity(stateDir)
      // A link in the place of the file itself is replaced, not followed.
      const state = yield* hold(stateDir)
      fs.symlinkSync(victim, path.join(stateDir, "engines"))
      yield* state.write("engines", "vllm\n")
      assert.strictEqual(fs.readFileSync(victim, "utf8"), "precious")
      assert.isFalse(fs.lstatSync(path.join(stateDir, "engines")).isSymbolicLink())
    }))
})

describe("a state directory under a running agent", () => {
  const held = (stateDir: string) => {
    const logs = LogLines.make()
    return Effect.map(
      Layer.build(
        StateDirectory.layer.pipe(
          Layer.provide(AgentConfig.rooms),
          Layer.provide(AgentConfig.layer({ "state-dir": stateDir })),
          Layer.provide(logs.layer)
        )
      ),
      (context) => ({
        state: Context.get(context, StateDirectory),
        check: Effect.provide(Context.get(context, StateDirectory).check, logs.layer),
        logs
      })
    )
  }

  it.scopedLive("that was deleted is made again with what was in it, and still keeps a second agent out", () =>
    Effect.gen(function*() {
      const stateDir = path.join(yield* Temporary.directory, "state")
      const { check, logs, state } = yield* held(stateDir)
      yield* state.write("node-id", "gpu-7\n")
      yield* check
      assert.deepStrictEqual(logs.all, [])
      fs.rmSync(stateDir, { recursive: true })
      yield* check
      yield* check
      assert.deepStrictEqual(logs.all.map(({ level, text }) => [level, text]), [
        [
          "WARN",
          `The state directory ${stateDir} was deleted while the agent was running; recreated it with this node's id`
        ]
      ])
      assert.strictEqual(fs.readFileSync(path.join(stateDir, "node-id"), "utf8"), "gpu-7\n")
      assert.deepStrictEqual(fs.readdirSync(stateDir).sort(), ["agent.lock", "agent.sock", "node-id"])
      assert.strictEqual((yield* Effect.flip(identity(stateDir)))._tag, "StateDirectoryInUse")
    }))

  it.scopedLive("that another agent took over is an error in the log, once", () =>
    Effect.gen(function*() {
      const stateDir = path.join(yield* Temporary.directory, "state")
      const { check, logs } = yield* held(stateDir)
      fs.rmSync(stateDir, { recursive: true })
      fs.mkdirSync(stateDir, { mode: 0o700 })
      const other = yield* holder(stateDir)
      yield* check
      yield* check
      assert.deepStrictEqual(logs.all.map(({ level, text }) => [level, text]), [
        ["ERROR", `Another agent (pid ${other.pid}) took over the state directory ${stateDir}; stop one of the two`]
      ])
      yield* other.signal("SIGKILL")
      yield* other.ended
      yield* check
      assert.lengthOf(logs.matching(/acquired it again$/), 1)
    }))

  it.scopedLive("that became read-only is an error in the log, once, and the stop says what is left", (context) =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const mounted = yield* Effect.acquireRelease(
        Effect.sync(() => spawnSync("mount", ["-t", "tmpfs", "-o", "mode=700", "tmpfs", stateDir]).status === 0),
        (mounted) => Effect.sync(() => mounted ? void spawnSync("umount", ["-l", stateDir]) : undefined)
      )
      if (!mounted) return context.skip("only root can mount")
      const scope = yield* Scope.make()
      const { check, logs } = yield* Scope.extend(held(stateDir), scope)
      yield* check
      assert.strictEqual(spawnSync("mount", ["-o", "remount,ro", stateDir]).status, 0)
      yield* check
      yield* check
      assert.lengthOf(logs.all, 1)
      assert.match(logs.all[0]?.text ?? "", /is no longer writable: the file system is read-only; /)
      yield* Scope.close(scope, Exit.void)
      assert.match(
        logs.all.slice(1).map(({ text }) => text).join(),
        /^The lock of the state directory .* cannot be removed: the file system is read-only; the next start replaces it$/
      )
    }))
})

describe("two agents that see each other's processes as little as two containers", () => {
  /** Another agent, whose lock names a process that cannot be found here. */
  const elsewhere = (stateDir: string) =>
    Effect.gen(function*() {
      yield* hold(stateDir)
      const file = path.join(stateDir, "agent.lock")
      const [, , socket] = fs.readFileSync(file, "utf8").split("\n")
      fs.writeFileSync(file, `1\nanother-namespace/1\n${socket}\n`)
    })

  it.scopedLive("know each other by the socket: the second is refused", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      yield* elsewhere(stateDir)
      const error = yield* Effect.flip(identity(stateDir))
      assert.deepInclude(error, { _tag: "StateDirectoryInUse", pid: 1 })
    }))

  it.scopedLive("do so however long the directory's path is", (context) =>
    Effect.gen(function*() {
      if (process.platform !== "linux") return context.skip("there is no short name for a long path here")
      const stateDir = path.join(yield* Temporary.directory, "long".repeat(30), "path".repeat(30))
      yield* elsewhere(stateDir)
      assert.isTrue(fs.lstatSync(path.join(stateDir, "agent.sock")).isSocket())
      assert.strictEqual((yield* Effect.flip(identity(stateDir)))._tag, "StateDirectoryInUse")
    }))

  it.scopedLive("succeed each other when the first was killed", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const scope = yield* Scope.make()
      yield* Scope.extend(elsewhere(stateDir), scope)
      const lock = fs.readFileSync(path.join(stateDir, "agent.lock"))
      yield* Scope.close(scope, Exit.void)
      // What a process that was killed leaves: a lock, and a socket that nobody listens on.
      fs.writeFileSync(path.join(stateDir, "agent.lock"), lock)
      assert.isString(yield* identity(stateDir))
    }))
})

describe("a user without a home directory", () => {
  it("has no state directory of its own", () => {
    if (isRoot) return assert.strictEqual(StateSettings.defaultStateDir({}), "/var/lib/orchion")
    return assert.strictEqual(StateSettings.defaultStateDir({ XDG_STATE_HOME: "/x" }), "/x/orchion")
  })
})

describe("a lock file", () => {
  it("is read from any bytes, quickly, and never names a path outside its directory", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.string({ unit: "binary", maxLength: 2_000 }), (content) => {
        const owner = LockFile.parse(content)
        if (owner === undefined) return
        assert.isAbove(owner.pid, 0)
        assert.match(owner.socket ?? "agent.0123456789ab.sock", /^agent\.[0-9a-f]{12}\.sock$/)
      }),
      { numRuns: 2_000 }
    )
    for (const socket of ["../x.sock", "/etc/passwd", "agent.sock", "agent.0123456789ab.sock/../../x"]) {
      assert.isUndefined(LockFile.parse(`7\nboot/1\n${socket}\n`)?.socket)
    }
  })

  it.scopedLive("and an id file of any bytes end in an id or in an error that names the file", () =>
    Effect.gen(function*() {
      const stateDir = yield* Temporary.directory
      const contents = FastCheck.sample(FastCheck.uint8Array({ maxLength: 300 }), 60)
      for (const content of contents) {
        for (const name of ["node-id", "agent.lock"]) {
          fs.writeFileSync(path.join(stateDir, name), content)
          const exit = yield* Effect.exit(identity(stateDir))
          if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), path.join(stateDir, name))
          fs.rmSync(path.join(stateDir, name), { force: true })
        }
      }
    }))
})

describe("a lock", () => {
  it.scopedLive("goes to one of those who find it stale at the same time", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const file = path.join(directory, "agent.lock")
      for (let round = 0; round < 20; round++) {
        fs.writeFileSync(file, "999999999\nanother-boot/1\n")
        const locks = yield* Effect.all(Array.from({ length: 8 }, () => Effect.either(LockFile.acquire(directory))), {
          concurrency: "unbounded"
        })
        const won = locks.filter(({ _tag }) => _tag === "Right")
        assert.lengthOf(won, 1)
        for (const lock of locks) if (lock._tag === "Right") yield* lock.right.release
        assert.deepStrictEqual(fs.readdirSync(directory), [])
      }
    }))

  it.scopedLive("that another has taken over is not released by its former owner", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const file = path.join(directory, "agent.lock")
      const lock = yield* LockFile.acquire(directory)
      fs.writeFileSync(file, "1\nanother\n")
      yield* lock.release
      assert.strictEqual(fs.readFileSync(file, "utf8"), "1\nanother\n")
    }))
})
