import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as fs from "node:fs"
import * as path from "node:path"
import * as ProcessRunner from "../../src/process/ProcessRunner.js"
import { fakeTool, isAlive, temporaryDirectory, until } from "../capabilities/Support.js"

const run = (options: Partial<ProcessRunner.RunOptions> & { readonly file: string }) =>
  Effect.flatMap(
    ProcessRunner.make(),
    (runner) => runner.run({ args: [], env: { PATH: "/usr/bin:/bin" }, deadline: "20 seconds", ...options })
  )

const lines = (file: string) => fs.existsSync(file) ? fs.readFileSync(file, "utf8").trim().split("\n") : []

describe.skipIf(process.platform === "win32")("ProcessRunner", () => {
  it.scopedLive("looks a name up on the PATH, writes its stdin and closes it", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run({ file: "cat", stdin: "a secret that is in no argument" })
      assert.strictEqual(stdout, "a secret that is in no argument")
      assert.strictEqual((yield* run({ file: "cat" })).stdout, "")
    }))

  it.scopedLive("does not mind a program that ends without reading its stdin", () =>
    Effect.gen(function*() {
      const { stdout } = yield* run({ file: "echo", args: ["done"], stdin: "x".repeat(1024 * 1024) })
      assert.strictEqual(stdout, "done\n")
    }))

  it.scopedLive("says that a program could not be started, and why", () =>
    Effect.gen(function*() {
      const tooLong = yield* Effect.flip(run({ file: "/bin/echo", args: ["x".repeat(4 * 1024 * 1024)] }))
      assert.strictEqual(tooLong._tag, "ProgramNotStarted")
      assert.match(tooLong.message, /^echo could not be started: .*E2BIG/)
      assert.strictEqual((yield* Effect.flip(run({ file: "no-such-program" })))._tag, "ProgramNotFound")
    }))

  it.scopedLive("keeps no more than the given limit of output", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(run({ file: "yes", maxOutputBytes: 1024 * 1024 }))
      assert.strictEqual(error.message, "yes printed more than 1 MiB and was killed.")
    }))

  it.scopedLive("lets a program end within its grace period, and kills what is left", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const notes = path.join(directory, "notes")
      const file = fakeTool(
        directory,
        "polite",
        `trap 'echo ended >> ${notes}; exit 0' TERM\nsleep 300 &\necho $$ >> ${notes}; echo $! >> ${notes}\nwait`
      )
      const fiber = yield* Effect.fork(run({ file, gracePeriod: "10 seconds" }))
      yield* until("it runs", () => lines(notes).length === 2)
      const pids = lines(notes).map(Number)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(lines(notes)[2], "ended")
      yield* until("both have gone", () => !pids.some(isAlive))
    }))

  it.scopedLive("kills a program that ignores SIGTERM when its grace period is over", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      const notes = path.join(directory, "notes")
      const file = fakeTool(directory, "stubborn", `trap '' TERM\necho $$ >> ${notes}\nwhile :; do sleep 0.05; done`)
      const fiber = yield* Effect.fork(run({ file, gracePeriod: "200 millis" }))
      yield* until("it runs", () => lines(notes).length === 1)
      yield* Fiber.interrupt(fiber)
      yield* until("it has gone", () => !lines(notes).map(Number).some(isAlive))
    }))
})
