import * as fs from "node:fs"
import * as path from "node:path"
import { build } from "esbuild"
import { afterEach, assert, describe, it } from "vitest"
import { killAll, removeFolders, startScript, temporaryFolder } from "./CommandProcess.js"

afterEach(() => {
  killAll()
  removeFolders()
})

const root = path.resolve(import.meta.dirname, "../..")

/** A program that runs `effect` (an expression) with the command's own `runMain`. */
const program = async (effect: string): Promise<string> => {
  const folder = temporaryFolder()
  const outfile = path.join(folder, "program.mjs")
  await build({
    stdin: {
      contents: `
        import * as Effect from "effect/Effect"
        import { runMain } from "./src/cli/RunMain.js"
        const say = (line) => Effect.sync(() => console.log(line))
        runMain(${effect})
      `,
      resolveDir: root,
      loader: "ts"
    },
    outfile,
    bundle: true,
    platform: "node",
    format: "esm",
    logLevel: "error"
  })
  assert.isTrue(fs.existsSync(outfile))
  return outfile
}

describe("runMain", () => {
  it("runs finalizers at the first signal and exits with 0", async () => {
    const script = await program("Effect.zipRight(say('up'), Effect.never).pipe(Effect.onInterrupt(() => say('down')))")
    const process = startScript(script, [])
    await process.until(/up/)
    process.kill("SIGTERM")
    const ended = await process.ended
    assert.strictEqual(ended.code, 0)
    assert.match(ended.stdout, /down/)
  })

  it("takes the same key press, passed on by npm, as one signal", async () => {
    const script = await program(
      "Effect.zipRight(say('up'), Effect.never).pipe(Effect.onInterrupt(() => Effect.zipRight(Effect.sleep(300), say('down'))))"
    )
    const process = startScript(script, [])
    await process.until(/up/)
    process.kill("SIGINT")
    process.kill("SIGINT")
    const ended = await process.ended
    assert.strictEqual(ended.code, 0)
    assert.match(ended.stdout, /down/)
  })

  it("ends at once at a second signal, with the signal's exit code", async () => {
    const script = await program(
      "Effect.zipRight(say('up'), Effect.never).pipe(Effect.onInterrupt(() => say('stopping').pipe(Effect.zipRight(Effect.sleep(400)), Effect.zipRight(say('still stopping')), Effect.zipRight(Effect.never))))"
    )
    const process = startScript(script, [])
    await process.until(/up/)
    process.kill("SIGINT")
    await process.until(/still stopping/)
    process.kill("SIGINT")
    assert.strictEqual((await process.ended).code, 130)
  })

  it("reports a defect in one line, without a stack trace", async () => {
    const ended = await startScript(await program("Effect.die(new Error('the sky fell'))"), []).ended
    assert.strictEqual(ended.stderr, "node-agent: internal error: the sky fell\n")
    assert.strictEqual(ended.code, 1)
  })

  /** A module for `node --require` that throws from callbacks some time after the start, as a library's bug would. */
  const planted = (code: string): Readonly<Record<string, string>> => {
    const file = path.join(temporaryFolder(), "planted.cjs")
    fs.writeFileSync(file, code)
    return { NODE_OPTIONS: `--require ${file}` }
  }

  const stopping = "Effect.zipRight(say('up'), Effect.never).pipe(Effect.onInterrupt(() => say('down')))"

  it("says an exception in a callback in one line, runs finalizers and exits with 1", async () => {
    const env = planted("setTimeout(() => { throw new Error('the library\\u001b[31m fell\\nat night') }, 300)")
    const ended = await startScript(await program(stopping), [], env).ended
    assert.strictEqual(ended.stderr, "node-agent: internal error: the library fell\n")
    assert.match(ended.stdout, /down/)
    assert.strictEqual(ended.code, 1)
  })

  it("treats an unhandled rejection the same way", async () => {
    const env = planted("setTimeout(() => void Promise.reject(undefined), 300)")
    const ended = await startScript(await program(stopping), [], env).ended
    assert.strictEqual(ended.stderr, "node-agent: internal error: undefined\n")
    assert.match(ended.stdout, /down/)
    assert.strictEqual(ended.code, 1)
  })

  it("shows the stack at log level debug", async () => {
    const env = planted("setTimeout(function planted() { throw new Error('the sky fell') }, 300)")
    const ended = await startScript(await program(stopping), [], { ...env, ORCHION_LOG_LEVEL: "debug" }).ended
    assert.match(ended.stderr, /internal error: the sky fell\nError: the sky fell\n +at .*planted/)
  })

  it("ends at once when cleaning up fails as well", async () => {
    const env = planted(
      "setTimeout(() => { setTimeout(() => { throw new Error('second') }, 100); throw new Error('first') }, 300)"
    )
    const script = await program(
      "Effect.zipRight(say('up'), Effect.never).pipe(Effect.onInterrupt(() => Effect.never))"
    )
    const ended = await startScript(script, [], env).ended
    assert.strictEqual(ended.stderr, "node-agent: internal error: first\nnode-agent: internal error: second\n")
    assert.strictEqual(ended.code, 1)
  })

  it("does not take a reader that went away for a failure", async () => {
    const script = await program(
      "Effect.forever(Effect.zipRight(say('line'), Effect.sleep(20))).pipe(Effect.timeout(1500), Effect.ignore)"
    )
    const process = startScript(script, [])
    await process.until(/line/)
    process.closeOutput()
    const ended = await process.ended
    assert.strictEqual(ended.stderr, "")
    assert.strictEqual(ended.code, 0)
  })
})
