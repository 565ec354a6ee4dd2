/** The launcher of the bundled command, with a small command of the test's own behind it, as a real process. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Temporary from "../support/Temporary.js"

const launcher = path.resolve(import.meta.dirname, "../../src/launcher.cjs")

/** Says whether V8 took the cache, and saves one when told to. */
const commandSource = `
const answer = () => 42
process.stdout.write(JSON.stringify({ answer: answer(), argv: process.argv.slice(2), folder: __dirname }))
if (process.argv[2] === "save") globalThis[Symbol.for("@orchion/node-agent/saveCodeCache")]()
`

const install = Effect.map(Temporary.directory, (folder) => {
  fs.copyFileSync(launcher, path.join(folder, "node-agent.js"))
  fs.writeFileSync(path.join(folder, "package.json"), "{}")
  fs.writeFileSync(path.join(folder, "command.cjs"), commandSource)
  const run = (args: ReadonlyArray<string>, flags: ReadonlyArray<string> = []) => {
    const output = execFileSync(process.execPath, [...flags, path.join(folder, "node-agent.js"), ...args], {
      encoding: "utf8"
    })
    return JSON.parse(output) as { readonly answer: number; readonly argv: ReadonlyArray<string> }
  }
  const caches = () => fs.readdirSync(folder).filter((name) => name.endsWith(".cache"))
  const cache = () => path.join(folder, caches()[0] ?? "")
  return { folder, run, caches, cache }
})

describe("the launcher", () => {
  it.scopedLive("starts without a cache, and writes none unless asked to", () =>
    Effect.gen(function*() {
      const { caches, run } = yield* install
      assert.deepInclude(run(["a", "-b"]), { answer: 42, argv: ["a", "-b"] })
      assert.deepEqual(caches(), [])
    }))

  it.scopedLive("saves a cache named by the bundle, Node's version and the architecture, for this user alone to write", () =>
    Effect.gen(function*() {
      const { cache, caches, folder, run } = yield* install
      run(["save"])
      assert.lengthOf(caches(), 1)
      assert.match(caches()[0] ?? "", new RegExp(`^command-.+-${process.version}-${process.arch}\\.cache$`))
      assert.strictEqual(fs.statSync(cache()).mode & 0o022, 0)
      assert.deepEqual(fs.readdirSync(folder).filter((name) => name.endsWith(".tmp")), [])
    }))

  it.scopedLive("starts with a cache that V8 takes, and leaves it as it is", () =>
    Effect.gen(function*() {
      const { cache, run } = yield* install
      run(["save"])
      const before = fs.statSync(cache()).ino
      assert.strictEqual(run(["save"]).answer, 42)
      assert.strictEqual(fs.statSync(cache()).ino, before)
    }))

  for (
    const [what, damage] of [
      ["cut short", (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
      ["empty", () => Buffer.alloc(0)],
      ["of something else", () => Buffer.from("not a code cache".repeat(100))]
    ] as const
  ) {
    it.scopedLive(`starts plainly when the cache is ${what}, and replaces it`, () =>
      Effect.gen(function*() {
        const { cache, run } = yield* install
        run(["save"])
        const whole = fs.readFileSync(cache())
        fs.writeFileSync(cache(), damage(whole))
        assert.strictEqual(run([]).answer, 42)
        run(["save"])
        assert.strictEqual(fs.readFileSync(cache()).length, whole.length)
      }))
  }

  it.scopedLive("starts plainly when V8 rejects the cache for its flags", () =>
    Effect.gen(function*() {
      const { run } = yield* install
      run(["save"])
      assert.strictEqual(run([], ["--no-opt"]).answer, 42)
    }))

  it.scopedLive("saves nothing where others may write", () =>
    Effect.gen(function*() {
      const { caches, folder, run } = yield* install
      fs.chmodSync(folder, 0o777)
      run(["save"])
      assert.deepEqual(caches(), [])
    }))

  it.scopedLive("starts when the cache cannot be saved", () =>
    Effect.gen(function*() {
      const { caches, folder, run } = yield* install
      // Where the temporary file should go stands a directory.
      fs.mkdirSync(path.join(folder, `command-__BUNDLE_HASH__-${process.version}-${process.arch}.cache`))
      assert.strictEqual(run(["save"]).answer, 42)
      assert.lengthOf(caches(), 1)
    }))
})
