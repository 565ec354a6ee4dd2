import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Tool from "../../src/process/Tool.js"
import { fakeTool, isAlive, temporaryDirectory, until } from "../capabilities/Support.js"

const make = (directory: string) => Tool.make({ path: directory, env: { FAKE: "yes" }, platform: process.platform })

/** Runs a script as a tool. */
const run = (script: string, deadline: Duration.DurationInput = "20 seconds") =>
  Effect.gen(function*() {
    const directory = yield* temporaryDirectory
    const file = fakeTool(directory, "tool", script)
    return yield* Effect.either((yield* make(directory)).run(file, [directory], deadline))
  })

/** The processes that a script noted, one a line, in `pids`. */
const pidsIn = (directory: string): ReadonlyArray<number> => {
  const file = path.join(directory, "pids")
  return fs.existsSync(file) ? fs.readFileSync(file, "utf8").split("\n").filter((line) => line !== "").map(Number) : []
}

describe.skipIf(process.platform === "win32")("Tool", () => {
  it.scopedLive("gives what a tool prints, with the C locale, our environment and nothing on stdin", () =>
    Effect.gen(function*() {
      const outcome = yield* run("printf '%s %s\\n' \"$LC_ALL\" \"$FAKE\"; cat; echo oops >&2")
      assert.deepStrictEqual(outcome._tag === "Right" ? outcome.right : outcome.left, {
        stdout: "C yes\n",
        stderr: "oops\n"
      })
    }))

  it.scopedLive("reports a failure by its exit code, with what was printed before", () =>
    Effect.gen(function*() {
      const outcome = yield* Effect.flip(Effect.flatten(run("echo table; echo why >&2; exit 14")))
      assert.deepInclude({ ...outcome }, { _tag: "ProgramFailed", exitCode: 14, stdout: "table\n", stderr: "why\n" })
      assert.strictEqual(outcome.message, "tool failed with exit code 14.")
    }))

  it.scopedLive("reports a death in the middle of a line by its signal, with what was printed before", () =>
    Effect.gen(function*() {
      const outcome = yield* run("printf 'one\\ntw'; kill -SEGV $$")
      assert.strictEqual(outcome._tag, "Left")
      if (outcome._tag === "Left") {
        assert.deepInclude({ ...outcome.left }, { _tag: "ProgramFailed", signal: "SIGSEGV", stdout: "one\ntw" })
        assert.strictEqual(outcome.left.message, "tool was ended by SIGSEGV.")
      }
    }))

  it.scopedLive("kills a tool that hangs, deaf to other signals, and all that it started, at its deadline", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const file = fakeTool(
        directory,
        "tool",
        "trap '' TERM INT HUP\necho $$ >> $1/pids\nsleep 300 &\necho $! >> $1/pids\nwait\nsleep 300"
      )
      const fiber = yield* Effect.fork(Effect.either((yield* make(directory)).run(file, [directory], "400 millis")))
      yield* until("both processes run", () => pidsIn(directory).length === 2)
      const outcome = yield* Fiber.join(fiber)
      assert.deepInclude(outcome._tag === "Left" ? { ...outcome.left } : {}, {
        _tag: "ProgramTimedOut",
        millis: 400,
        survivor: undefined
      })
      yield* until("both have gone", () => !pidsIn(directory).some(isAlive))
    }))

  it.scopedLive("kills a tool that prints without end, having kept no more than it may", () =>
    Effect.gen(function*() {
      const outcome = yield* run("while :; do echo 0123456789012345678901234567890123456789; done | cat")
      assert.strictEqual(outcome._tag === "Left" ? outcome.left._tag : "Right", "ProgramOutputTooLarge")
      const other = yield* run("yes >&2")
      assert.strictEqual(other._tag === "Left" ? other.left._tag : "Right", "ProgramOutputTooLarge")
    }))

  it.scopedLive("takes 10 MB for too much, and 3 MB for an answer", () =>
    Effect.gen(function*() {
      const large = yield* run("head -c 10000000 /dev/zero")
      assert.strictEqual(large._tag === "Left" ? large.left._tag : "Right", "ProgramOutputTooLarge")
      const small = yield* run("head -c 3000000 /dev/zero")
      assert.strictEqual(small._tag === "Right" ? small.right.stdout.length : 0, 3_000_000)
    }))

  it.scopedLive("does not wait for what a tool leaves behind with its pipes open, and ends that too", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const file = fakeTool(directory, "tool", "sleep 300 &\necho $! >> $1/pids\necho done")
      const output = yield* (yield* make(directory)).run(file, [directory], "20 seconds")
      assert.strictEqual(output.stdout, "done\n")
      yield* until("what it left has gone", () => !pidsIn(directory).some(isAlive))
    }))

  it.scopedLive("ends a tool with its group when it is interrupted", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const file = fakeTool(directory, "tool", "echo $$ >> $1/pids\nsleep 300")
      const fiber = yield* Effect.fork((yield* make(directory)).run(file, [directory], "5 minutes"))
      yield* until("it runs", () => pidsIn(directory).length === 1)
      const exit = yield* Fiber.interrupt(fiber)
      assert.isTrue(Exit.isInterrupted(exit))
      yield* until("it has gone", () => !pidsIn(directory).some(isAlive))
    }))

  it.scopedLive("does not start a tool again before the one that could not be killed has ended", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const file = fakeTool(
        directory,
        "tool",
        "echo $$ >> $1/pids\nuntil [ -e $1/end ] || [ ! -e $1 ]; do sleep 0.01; done"
      )
      // As if a driver held it.
      const tools = yield* Tool.make({ path: directory, env: {}, platform: process.platform, kill: () => {} })
      const attempt = Effect.either(tools.run(file, [directory], "300 millis"))
      const first = yield* attempt
      const [pid] = pidsIn(directory)
      assert.deepInclude(first._tag === "Left" ? { ...first.left } : {}, { _tag: "ProgramTimedOut", survivor: pid })
      assert.include(first._tag === "Left" ? first.left.message : "", `process ${pid} does not end`)
      const second = yield* attempt
      assert.deepInclude(second._tag === "Left" ? { ...second.left } : {}, { _tag: "ProgramTimedOut", survivor: pid })
      assert.lengthOf(pidsIn(directory), 1)
      fs.writeFileSync(path.join(directory, "end"), "")
      yield* tools.run(file, [directory], "20 seconds").pipe(
        Effect.retry(Schedule.spaced("5 millis")),
        Effect.timeout("5 seconds")
      )
      assert.lengthOf(pidsIn(directory), 2)
    }))

  it.scopedLive("finds executables only, in the order of the candidates, by name or by path", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      fs.writeFileSync(path.join(directory, "plain"), "text")
      fs.mkdirSync(path.join(directory, "folder"))
      const tool = fakeTool(path.join(directory, "bin"), "tool", ":")
      const tools = yield* Tool.make({
        path: ["relative", "", directory, path.dirname(tool)].join(path.delimiter),
        env: {},
        platform: process.platform
      })
      assert.strictEqual(yield* tools.find(["plain", "folder", "missing", "tool"]), tool)
      assert.strictEqual(yield* tools.find([path.join(directory, "no"), tool]), tool)
      assert.isUndefined(yield* tools.find(["missing"]))
    }))

  it.scoped("looks for a tool again after a minute, or when asked to", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const tools = yield* make(directory)
      assert.isUndefined(yield* tools.find(["late"]))
      const late = fakeTool(directory, "late", ":")
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(yield* tools.find(["late"]))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* tools.find(["late"]), late)
      fs.rmSync(late)
      assert.strictEqual(yield* tools.find(["late"]), late)
      yield* tools.forget
      assert.isUndefined(yield* tools.find(["late"]))
    }))

  it.scopedLive("says that a tool is not there", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const missing = yield* Effect.flip((yield* make(directory)).run(path.join(directory, "missing"), [], "1 second"))
      assert.strictEqual(missing._tag, "ProgramNotFound")
      assert.strictEqual(missing.message, "missing is not installed, or may not be run by this user.")
    }))
})
