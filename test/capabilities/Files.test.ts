import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import { deviceFiles, firstLine, kernelFiles } from "../../src/capabilities/Files.js"
import { machine } from "./Support.js"

describe("Files", () => {
  it.scoped("reads whole files, first lines, folders and links, below its root", () =>
    Effect.gen(function*() {
      const long = "0123456789".repeat(30_000)
      const root = yield* machine({
        "sys/a": " one \ntwo\n",
        "sys/b": long,
        "sys/link": "-> ../../drivers/xe",
        "sys/empty": ""
      })
      const files = kernelFiles(root)
      assert.strictEqual(files.text("/sys/a"), " one \ntwo\n")
      assert.strictEqual(files.line("/sys/a"), "one")
      assert.strictEqual(files.text("/sys/b"), long)
      assert.isUndefined(files.line("/sys/empty"))
      assert.deepStrictEqual(files.list("/sys"), ["a", "b", "empty", "link"])
      const devices = deviceFiles(root)
      assert.strictEqual(yield* devices.text("/sys/b"), long)
      assert.strictEqual(yield* devices.line("/sys/a"), "one")
      assert.strictEqual(yield* devices.link("/sys/link"), "xe")
      assert.isTrue(yield* devices.exists("/sys"))
      assert.isFalse(yield* devices.exists("/proc"))
    }))

  it.scoped("takes what is not there for nothing wrong", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "a/b": "" })
      const files = kernelFiles(root)
      assert.isUndefined(files.text("/nothing"))
      assert.isUndefined(files.text("/a"))
      assert.isUndefined(files.text("/a/b/c"))
      assert.deepStrictEqual(files.list("/nothing"), [])
      assert.deepStrictEqual(files.findings(), [])
      const devices = deviceFiles(root)
      assert.isUndefined(yield* devices.text("/nothing"))
      assert.isUndefined(yield* devices.space("/nothing"))
      assert.deepStrictEqual(yield* devices.takeFindings, [])
    }))

  it.skipIf(process.platform !== "linux")(
    "makes a finding of a file that cannot be read, once",
    () =>
      Effect.runPromise(Effect.gen(function*() {
        // Nothing is mapped at address 0, for nobody.
        const files = kernelFiles("/")
        assert.isUndefined(files.text("/proc/self/mem"))
        assert.isUndefined(files.text("/proc/self/mem"))
        assert.deepStrictEqual(files.findings().map(({ code, subject }) => [code, subject]), [[
          "file.unreadable",
          "/proc/self/mem"
        ]])
        assert.include(files.findings()[0]?.message, "does not answer (EIO)")
        const devices = deviceFiles("/")
        assert.isUndefined(yield* devices.text("/proc/self/mem"))
        assert.lengthOf(yield* devices.takeFindings, 1)
        assert.lengthOf(yield* devices.takeFindings, 0)
      }))
  )

  it.scoped.skipIf(process.getuid?.() === 0)(
    "says whom to ask when a file is not ours to read",
    () =>
      Effect.gen(function*() {
        const root = yield* machine({ "secret": "x" })
        fs.chmodSync(path.join(root, "secret"), 0)
        const files = kernelFiles(root)
        assert.isUndefined(files.text("/secret"))
        assert.include(files.findings()[0]?.message, "permission denied (EACCES)")
        assert.include(files.findings()[0]?.remedy, "run the agent as root")
      })
  )

  it.scoped.skipIf(process.platform === "win32")(
    "does not wait for a pipe to be written",
    () =>
      Effect.gen(function*() {
        const root = yield* machine({})
        execFileSync("mkfifo", [path.join(root, "pipe")])
        assert.strictEqual(kernelFiles(root).text("/pipe"), "")
      })
  )

  it.scopedLive("asks nothing more of what hangs, until it has answered", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "file": "text" })
      const devices = deviceFiles(root)
      // What has not ended yet is as good as what never does.
      const first = yield* Effect.fork(devices.text("/file"))
      yield* Effect.yieldNow()
      assert.strictEqual(devices.stuck(), "/file")
      const second = yield* Effect.fork(devices.text("/other"))
      assert.strictEqual(yield* Fiber.join(first), "text")
      assert.isUndefined(devices.stuck())
      assert.isNull(second.unsafePoll())
      yield* Fiber.interrupt(second)
      assert.strictEqual(yield* devices.text("/file"), "text")
    }))

  it("strips what ends the strings of a device tree", () => {
    assert.strictEqual(firstLine("Raspberry Pi\0"), "Raspberry Pi")
    assert.isUndefined(firstLine("\0\n"))
  })
})
