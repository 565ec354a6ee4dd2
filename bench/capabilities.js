// What looking at the hardware costs: what the first report adds to a start, the processor time and the processes of a
// refresh, and whether memory stays flat over thousands of them. Takes about 2 minutes. One JSON object per figure.
//
//   node bench/capabilities.js [--runs 15] [--refreshes 10000] [first] [refresh] [memory]
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { parseArgs } from "node:util"
import { build } from "esbuild"

const root = path.resolve(import.meta.dirname, "..")
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { runs: { type: "string", default: "15" }, refreshes: { type: "string", default: "10000" } }
})
const wanted = (figure) => positionals.length === 0 || positionals.includes(figure)

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-bench-"))
const emptyPath = path.join(folder, "empty")
const toolPath = path.join(folder, "tools")
for (const place of [emptyPath, toolPath]) fs.mkdirSync(place)

const round = (value, digits = 2) => Number(value.toFixed(digits))
const median = (samples) => [...samples].sort((a, b) => a - b)[Math.floor(samples.length / 2)]
const print = (figure) =>
  console.log(JSON.stringify({
    ...figure,
    node: process.version,
    cpus: os.availableParallelism(),
    load: round(os.loadavg()[0])
  }))

/** As the command is bundled. */
const bundling = {
  bundle: true,
  platform: "node",
  format: "esm",
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: "error"
}

const run = async (...args) => {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
  let output = ""
  child.stdout.on("data", (chunk) => output += chunk)
  const [code] = await once(child, "exit")
  if (code !== 0) throw new Error(`${path.basename(args.at(-1))} ended with code ${code}`)
  return output
}

// An nvidia-smi for eight GPUs that costs next to nothing itself.
const rows = Array.from({ length: 8 }, (_, index) =>
  [
    `${index}, GPU-5a1b0c2d-0000-4000-8000-00000000000${index}, 00000000:${index}B:00.0, NVIDIA H200, 570.86.15, 9.0`,
    `143771, ${2000 + index}, ${141771 - index}, ${index * 3}, ${33 + index}, 75.20, 700.00, Disabled`
  ].join(", "))
fs.writeFileSync(
  path.join(toolPath, "nvidia-smi"),
  `#!/bin/sh
case $1 in
--query-gpu*) echo '${rows.join("\n")}' ;;
*) echo 'GPU-5a1b0c2d-0000-4000-8000-000000000000, 4711, /usr/bin/python3, 1900' ;;
esac
`,
  { mode: 0o755 }
)

/** A program that looks at the machine again and again, every 10 s by its own clock, and tells what that cost. */
const looking = `
  import { ChildProcess } from "node:child_process"
  import * as Clock from "effect/Clock"
  import * as Effect from "effect/Effect"
  import * as LocalCapabilities from "./src/capabilities/LocalCapabilities.ts"

  const [toolPath, count, warmUp] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])]
  let processes = 0
  const { spawn } = ChildProcess.prototype
  ChildProcess.prototype.spawn = function(...args) {
    processes++
    return spawn.apply(this, args)
  }
  const clock = Clock.make()
  let passed = 0
  const fast = {
    ...clock,
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    sleep: (duration) => clock.sleep(duration),
    currentTimeMillis: Effect.sync(() => fast.unsafeCurrentTimeMillis()),
    currentTimeNanos: Effect.sync(() => fast.unsafeCurrentTimeNanos()),
    unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + passed,
    unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + BigInt(passed) * 1_000_000n
  }
  const heap = () => {
    globalThis.gc?.()
    return process.memoryUsage().heapUsed
  }
  const program = Effect.gen(function*() {
    const capabilities = yield* LocalCapabilities.make({
      path: toolPath,
      stateDir: "/tmp",
      orchestratorAddress: { host: "127.0.0.1", port: 50051 }
    })
    const look = (times) => Effect.gen(function*() {
      for (let index = 0; index < times; index++) {
        passed += 10_000
        yield* capabilities.readAll
      }
    })
    yield* look(warmUp)
    const before = { processes, heap: heap(), rss: process.memoryUsage.rss(), cpu: process.cpuUsage(), at: performance.now() }
    const samples = []
    for (let part = 0; part < 10; part++) {
      yield* look(count / 10)
      heap()
      samples.push(process.memoryUsage.rss())
    }
    const { system, user } = process.cpuUsage(before.cpu)
    const { gpus } = yield* capabilities.readAll
    console.log(JSON.stringify({
      gpus: gpus.length,
      millis: (performance.now() - before.at) / count,
      cpuMillis: (system + user) / 1000 / count,
      processes: (processes - before.processes) / count,
      rssBefore: before.rss,
      rss: samples,
      heapBefore: before.heap,
      heapAfter: heap()
    }))
  })
  await Effect.runPromise(Effect.withClock(Effect.scoped(program), fast))
`

/** The command, with the machine's hardware looked at or made up. */
const command = async (name, plugins) => {
  const outfile = path.join(folder, `${name}.mjs`)
  await build({
    ...bundling,
    entryPoints: [path.join(root, "src/bin.ts")],
    outfile,
    plugins,
    external: ["cpu-features", "*.node"],
    banner: { js: "import { createRequire } from \"node:module\";const require = createRequire(import.meta.url);" }
  })
  return outfile
}

const madeUp = {
  name: "made-up",
  setup: ({ onLoad }) =>
    onLoad({ filter: /[\\/]LocalCapabilities\.ts$/ }, () => ({
      loader: "ts",
      resolveDir: path.join(root, "src/capabilities"),
      contents: `
        import * as Effect from "effect/Effect"
        import * as Layer from "effect/Layer"
        import { Capabilities } from "./Capabilities.js"
        import { CpuInfo, MemoryInfo, NodeCapabilities, OsInfo } from "../node/NodeCapabilities.js"
        const node = new NodeCapabilities({
          cpu: new CpuInfo({ architecture: "amd64", logicalCores: 2, features: [] }),
          memory: new MemoryInfo({ totalBytes: 2, availableBytes: 1 }),
          os: new OsInfo({ hostname: "bench", platform: "linux", release: "", uptimeSeconds: 1 }),
          gpus: [],
          disks: [],
          findings: []
        })
        const read = Effect.succeed(node)
        export const layer = () => Layer.succeed(Capabilities, { read, readAll: read, forget: Effect.void })
      `
    }))
}

/** Starts a process, and waits for what it is to print. */
const until = (args, pattern) => {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] })
  const found = new Promise((resolve, reject) => {
    let output = ""
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (chunk) => {
        output += chunk
        const match = pattern.exec(output)
        if (match !== null) resolve(match)
      })
    }
    child.once("exit", (code) => reject(new Error(`ended with code ${code}: ${output}`)))
  })
  return { child, found }
}

const stop = async (child) => {
  const ended = once(child, "exit")
  child.kill("SIGTERM")
  await ended
}

const first = async () => {
  const [real, fake] = [await command("real", []), await command("made-up", [madeUp])]
  const orchestrator = until(
    [real, "orchestrator", "--port", "0", "--http-port", "0", "--log-level", "error"],
    /orchestrator\s+(\S+:\d+)/
  )
  const [, address] = await orchestrator.found
  const timed = async (program) => {
    const from = performance.now()
    const { child, found } = until(
      [program, "--orchestrator", address, "--agent-port", "0", "--state-dir", path.join(folder, "state")],
      /Registered with the orchestrator/
    )
    await found
    const took = performance.now() - from
    await stop(child)
    return took
  }
  const [looked, made] = [[], []]
  for (let index = -1; index < Number(values.runs); index++) {
    const took = [await timed(real), await timed(fake)]
    // The first round fills the file cache, and makes the node's identity.
    if (index < 0) continue
    looked.push(took[0])
    made.push(took[1])
  }
  await stop(orchestrator.child)
  print({
    figure: "what the first report adds to a start",
    unit: "ms until registered",
    added: round(median(looked.map((took, index) => took - made[index])), 1),
    lookedAt: round(median(looked), 1),
    madeUp: round(median(made), 1),
    aim: 50
  })
}

const looks = async (program, tools, count) =>
  JSON.parse(await run("--expose-gc", program, tools, String(count), String(Math.min(1000, count))))

const refresh = async (program) => {
  for (const [place, tools] of [["without GPUs", emptyPath], ["with 8 GPUs of NVIDIA's", toolPath]]) {
    const { cpuMillis, gpus, millis, processes } = await looks(program, tools, 1000)
    print({
      figure: `a refresh ${place}`,
      unit: "ms",
      gpus,
      processorTime: round(cpuMillis, 3),
      took: round(millis, 3),
      processes: round(processes),
      aim: tools === emptyPath ? { processorTime: 2, processes: 0 } : { processes: 2 }
    })
  }
}

const memory = async (program) => {
  const mib = (bytes) => round(bytes / 1024 / 1024, 1)
  for (const [place, tools] of [["without GPUs", emptyPath], ["with 8 GPUs of NVIDIA's", toolPath]]) {
    const refreshes = Number(values.refreshes)
    const { heapAfter, heapBefore, rss, rssBefore } = await looks(program, tools, refreshes)
    print({
      figure: `memory over ${refreshes} refreshes ${place}`,
      unit: "MiB",
      residentAfterWarmUp: mib(rssBefore),
      resident: rss.map(mib),
      heapAfterWarmUp: mib(heapBefore),
      heapAtEnd: mib(heapAfter),
      heapGrowthPerRefreshBytes: round((heapAfter - heapBefore) / refreshes, 1)
    })
  }
}

try {
  if (wanted("first")) await first()
  const program = path.join(folder, "looking.mjs")
  await build({
    ...bundling,
    stdin: { contents: looking, resolveDir: root, loader: "ts" },
    outfile: program,
    external: ["systeminformation"]
  })
  if (wanted("refresh")) await refresh(program)
  if (wanted("memory")) await memory(program)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  fs.rmSync(folder, { recursive: true, force: true })
}
