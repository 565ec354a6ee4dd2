// What the agent costs: start until registered, memory and processor time when idle, without a GPU and with one of
// NVIDIA's, each beside a bare Node of the same minute. Takes about 4 minutes. One JSON object per figure.
//
//   node bench/agent.js [--runs 15] [--idle 60] [--later 0] [--command dist/bin/node-agent.js] [start] [idle]
//
// `--later 540` looks at the memory once more so many seconds after the first look. NODE_EXTRA_CA_CERTS is unset on both
// sides: Node 20 parses those certificates at every start, which would make any ratio look small.
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs } from "node:util"

const root = path.resolve(import.meta.dirname, "..")
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "15" },
    idle: { type: "string", default: "60" },
    later: { type: "string", default: "0" },
    command: { type: "string", default: path.join(root, "dist/bin/node-agent.js") }
  }
})
const command = path.resolve(values.command)
const wanted = (figure) => positionals.length === 0 || positionals.includes(figure)
if (!fs.existsSync(command)) {
  console.error(`${command} is missing: run \`npm run build:bin\` first`)
  process.exit(1)
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-bench-"))
const children = new Set()

const { NODE_EXTRA_CA_CERTS: _certificates, ...environment } = process.env
const start = (env, ...args) => {
  const child = spawn(process.execPath, args, { env: { ...environment, ...env }, stdio: ["ignore", "pipe", "pipe"] })
  children.add(child)
  child.once("exit", () => children.delete(child))
  return child
}

/** Resolves with the first match in what a process prints. */
const printed = (child, pattern) =>
  new Promise((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        const match = pattern.exec(line)
        if (match !== null) resolve(match)
      })
    }
    child.once("exit", (code) => reject(new Error(`ended with code ${code} before it printed ${pattern}`)))
  })

const stop = async (child) => {
  const ended = once(child, "exit")
  child.kill("SIGTERM")
  await ended
}

/** An nvidia-smi that tells of one GPU and costs next to nothing itself. */
const withGpu = path.join(folder, "tools")
fs.mkdirSync(withGpu)
fs.writeFileSync(
  path.join(withGpu, "nvidia-smi"),
  `#!/bin/sh
case $1 in
--query-gpu*) echo '0, GPU-5a1b0c2d-0000-4000-8000-000000000000, 00000000:1B:00.0, NVIDIA H200, 570.86.15, 9.0, 143771, 2000, 141771, 3, 33, 75.20, 700.00, Disabled' ;;
esac
`,
  { mode: 0o755 }
)

const major = Number(process.versions.node.split(".")[0])
/** The aim of this Node: a newer one starts a bare process in less time, and with more memory. */
const aimOf = (node20, node22, node24) => major >= 24 ? node24 : major >= 22 ? node22 : node20

/** The same command where no code cache is, and none can be saved: as it is when it starts for the first time. */
const uncached = path.join(folder, "uncached", path.basename(command))
fs.mkdirSync(path.dirname(uncached))
for (const name of fs.readdirSync(path.dirname(command))) {
  if (!name.endsWith(".cache")) {
    fs.copyFileSync(path.join(path.dirname(command), name), path.join(folder, "uncached", name))
  }
}
// Where others may write, the launcher saves nothing.
fs.chmodSync(path.dirname(uncached), 0o777)

/** Tools of this machine's own are not found: what they cost is not the agent's. */
const startAgent = (address, name, toolPath = "/nonexistent", file = command) => {
  const child = start(
    { PATH: toolPath },
    file,
    ...["--orchestrator", address, "--agent-port", "0", "--state-dir", path.join(folder, name)],
    ...["--heartbeat-interval", "5s", "--log-format", "json"]
  )
  return { child, registered: printed(child, /Registered with the orchestrator/) }
}

const bareIdle = "process.stdout.write('up\\n'); setInterval(() => {}, 2 ** 30)"

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
const round = (value, digits = 1) => Number(value.toFixed(digits))
const summary = (samples) => {
  const sorted = [...samples].sort((a, b) => a - b)
  return {
    median: round(quantile(sorted, 0.5)),
    least: round(sorted[0]),
    most: round(sorted.at(-1)),
    samples: samples.map((value) => round(value))
  }
}
const print = (figure) =>
  console.log(JSON.stringify({
    ...figure,
    node: process.version,
    cpus: os.cpus().length,
    load: round(os.loadavg()[0], 2)
  }))

/**
 * Milliseconds of processor time that a process and the children it has waited for have used. The scheduler counts a
 * thread's in nanoseconds, a child's in ticks of 10 ms.
 */
const cpuMillis = (pid) => {
  const threads = fs.readdirSync(`/proc/${pid}/task`).map((thread) =>
    Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]) / 1e6
  )
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return threads.reduce((sum, millis) => sum + millis, 0) + (Number(fields[13]) + Number(fields[14])) * 10
}

/** Resident memory of a process, in KiB. */
const residentKib = (pid) => Number(/^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1])

/** A start long enough for the code cache to be saved. */
const fillCache = async (address) => {
  const { child, registered } = startAgent(address, "cache")
  await registered
  for (
    let waited = 0;
    waited < 20 && !fs.readdirSync(path.dirname(command)).some((name) => name.endsWith(".cache"));
    waited++
  ) {
    await sleep(1000)
  }
  await stop(child)
}

const measureStart = async (address) => {
  const runs = Number(values.runs)
  const bare = []
  const kinds = [
    { figure: "start until registered", file: command, aim: aimOf(4.4, 3.8, 3.8), took: [], cpu: [], stop: [] },
    {
      figure: "first start until registered, without a code cache",
      file: uncached,
      aim: 7,
      took: [],
      cpu: [],
      stop: []
    }
  ]
  for (let run = -1; run < runs; run++) {
    let from = performance.now()
    await once(start({}, "-e", "0"), "exit")
    const bareTook = performance.now() - from
    // The first round fills the file cache, and makes the node's identity.
    if (run >= 0) bare.push(bareTook)
    for (const kind of kinds) {
      from = performance.now()
      const { child, registered } = startAgent(address, "state", undefined, kind.file)
      await registered
      const took = performance.now() - from
      const cpu = fs.existsSync("/proc/self/stat") ? cpuMillis(child.pid) : 0
      from = performance.now()
      await stop(child)
      if (run < 0) continue
      kind.took.push(took)
      kind.cpu.push(cpu)
      kind.stop.push(performance.now() - from)
    }
  }
  for (const { aim, cpu, figure, stop, took } of kinds) {
    const ratios = took.map((millis, run) => millis / bare[run]).sort((a, b) => a - b)
    print({
      figure,
      unit: "ms",
      agent: summary(took),
      agentProcessorTime: summary(cpu),
      bareNode: summary(bare),
      stop: summary(stop),
      ratio: round(quantile(ratios, 0.5), 2),
      aim
    })
  }
}

const measureIdle = async (address) => {
  const idle = Number(values.idle) * 1000
  const bare = start({}, "-e", bareIdle)
  const agents = [
    { place: "without a GPU", aim: 0.06, ...startAgent(address, "without") },
    { place: "with one GPU of NVIDIA's", aim: 0.09, ...startAgent(address, "with", withGpu) }
  ]
  await Promise.all([...agents.map(({ registered }) => registered), printed(bare, /up/)])
  const started = performance.now()
  const resident = () => {
    const bareKib = residentKib(bare.pid)
    return agents.map(({ child, place }) => {
      const agentKib = residentKib(child.pid)
      print({
        figure: `resident memory when idle, ${place}`,
        unit: "MiB",
        afterSeconds: Math.round((performance.now() - started) / 1000),
        agent: round(agentKib / 1024),
        bareNode: round(bareKib / 1024),
        ratio: round(agentKib / bareKib, 2),
        aim: aimOf(1.6, 1.75, 1.95)
      })
      return agentKib
    })
  }
  await sleep(idle)
  resident()
  const pids = [bare, ...agents.map(({ child }) => child)].map(({ pid }) => pid)
  const [before, from] = [pids.map(cpuMillis), performance.now()]
  await sleep(idle)
  const minutes = (performance.now() - from) / 60_000
  const [bareTook, ...took] = pids.map((pid, index) => (cpuMillis(pid) - before[index]) / 1000 / minutes)
  agents.forEach(({ aim, place }, index) =>
    print({
      figure: `processor time per idle minute, ${place}`,
      unit: "s",
      heartbeatInterval: "5s",
      seconds: round(minutes * 60),
      agent: round(took[index], 3),
      bareNode: round(bareTook, 3),
      aim
    })
  )
  if (Number(values.later) > 0) {
    await sleep(Number(values.later) * 1000)
    resident()
  }
  await Promise.all([bare, ...agents.map(({ child }) => child)].map(stop))
}

try {
  const orchestrator = start({}, command, "orchestrator", "--port", "0", "--http-port", "0", "--log-level", "error")
  const [, address] = await printed(orchestrator, /^\s*orchestrator\s+(\S+:\d+)/)
  await fillCache(address)
  if (wanted("start")) await measureStart(address)
  if (wanted("idle")) {
    if (fs.existsSync("/proc/self/status")) await measureIdle(address)
    else console.error("memory and processor time are read from /proc, which this system does not have")
  }
  await stop(orchestrator)
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  for (const child of children) child.kill("SIGKILL")
  fs.rmSync(folder, { recursive: true, force: true })
}
