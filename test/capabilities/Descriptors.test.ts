import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import { execFile } from "node:child_process"
import * as path from "node:path"
import { promisify } from "node:util"
import { fakeTool, fixture, temporaryDirectory, writeTree } from "./Support.js"

const source = path.join(import.meta.dirname, "../../src")

/** Looks at the machine, opens files until none is left, looks again, closes them, and looks a third time. */
const script = `
import * as fs from "node:fs"
import * as Effect from "effect/Effect"
import * as LocalCapabilities from "${source}/capabilities/LocalCapabilities.js"
const [root, tools] = process.argv.slice(2)
const told = ({ cpu, findings, gpus, os }) => ({
  cores: cpu.logicalCores,
  codes: [...new Set(findings.map(({ code }) => code))].sort(),
  gpus: gpus.map(({ healthy }) => healthy),
  hostname: os.hostname !== ""
})
const looks = Effect.gen(function*() {
  const capabilities = yield* LocalCapabilities.make({ root, path: tools, env: {}, platform: "linux" })
  const before = yield* capabilities.readAll
  const taken = []
  try {
    for (;;) taken.push(fs.openSync("/dev/null"))
  } catch {}
  yield* capabilities.forget
  const without = yield* capabilities.readAll
  for (const descriptor of taken) fs.closeSync(descriptor)
  yield* capabilities.forget
  const after = yield* capabilities.readAll
  console.log(JSON.stringify([before, without, after].map(told)))
})
Effect.runPromise(Effect.scoped(looks))
`

describe.skipIf(process.platform !== "linux")("LocalCapabilities without file descriptors", () => {
  it.scopedLive(
    "misses facts and says why, calls no GPU broken, and knows all again when there are some",
    () =>
      Effect.gen(function*() {
        const directory = yield* temporaryDirectory
        const root = path.join(directory, "root")
        const tools = path.join(directory, "tools")
        writeTree(root, {
          "proc/cpuinfo": fixture("cpu/xeon-2-sockets.txt"),
          "proc/meminfo": "MemTotal: 1024 kB\nMemAvailable: 512 kB\n"
        })
        const table = path.join(import.meta.dirname, "fixtures/nvidia/h100x8.csv")
        fakeTool(tools, "nvidia-smi", `case $1 in --query-gpu*) cat ${table} ;; esac`)
        const outfile = path.join(directory, "looks.mjs")
        yield* Effect.promise(() =>
          build({
            stdin: { contents: script, resolveDir: source },
            bundle: true,
            external: ["dockerode", "systeminformation"],
            format: "esm",
            platform: "node",
            logLevel: "error",
            outfile
          })
        )
        const command = `ulimit -n 100; exec "$0" "$@"`
        const { stdout } = yield* Effect.promise(() =>
          promisify(execFile)("/bin/sh", ["-c", command, process.execPath, outfile, root, tools])
        )
        const [before, without, after] = JSON.parse(stdout) as ReadonlyArray<Record<string, unknown>>
        const all = { cores: 16, codes: [], gpus: Array<boolean>(8).fill(true), hostname: true }
        assert.deepStrictEqual(before, all)
        assert.deepInclude(without, { gpus: all.gpus, hostname: true })
        assert.includeMembers(without?.["codes"] as Array<string>, ["file.unreadable", "tool.not-started"])
        assert.notInclude(without?.["codes"] as Array<string>, "probe.failed")
        assert.deepStrictEqual(after, all)
      }),
    60_000
  )
})
