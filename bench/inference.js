// What the agent adds between an orchestrator and an engine: time to the first token, tokens per second, processor time
// and memory, each beside the same engine asked directly in the same minute; and the same over the embedded
// orchestrator's HTTP API. The engine is a stand-in that makes tokens as fast as they are taken. One JSON object per
// figure; see bench/README.md.
//
//   node bench/inference.js [first] [rate] [memory]
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as http from "node:http"
import * as http2 from "node:http2"
import * as os from "node:os"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { build } from "esbuild"
import protobuf from "protobufjs"

const root = path.resolve(import.meta.dirname, "..")
const positionals = process.argv.slice(2)
const wanted = (figure) => positionals.length === 0 || positionals.includes(figure)
if (process.platform !== "linux") {
  console.error("This benchmark reads /proc, which only Linux has.")
  process.exit(0)
}

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-bench-"))
const program = path.join(folder, "node.mjs")
await build({
  entryPoints: [path.join(root, "bench/inference-node.ts")],
  outfile: program,
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  minify: true,
  keepNames: true,
  logLevel: "warning",
  banner: {
    js: "import{createRequire}from'node:module';const require=createRequire(import.meta.url);"
  }
})

const children = new Set()
const start = (file, args, env = {}) => {
  const child = spawn(process.execPath, [file, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env }
  })
  children.add(child)
  child.once("exit", () => children.delete(child))
  return child
}
/** Resolves with the first match in what a process prints. */
const printed = (child, pattern) =>
  new Promise((resolve, reject) => {
    let said = ""
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said += `${line}\n`
        const match = pattern.exec(line)
        if (match !== null) resolve(match)
      })
    }
    child.once("exit", (code) => reject(new Error(`ended with code ${code} before it printed ${pattern}:\n${said}`)))
  })

const cpuMillis = (pid) => {
  const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10
}
const residentMib = (pid) =>
  Number(/^VmRSS:\s+(\d+) kB/m.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) / 1024
const round = (value, digits = 1) => Number(value.toFixed(digits))
const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]
const print = (figure) =>
  console.log(
    JSON.stringify({
      ...figure,
      node: process.version,
      cpus: os.availableParallelism(),
      load: round(os.loadavg()[0], 2)
    })
  )

// Who asks. Each answers, for one chat, with the milliseconds to its first token and to its end.

const request = (tokens) => ({
  model: "test/model",
  messages: [{ role: "user", content: "Hello" }],
  max_tokens: tokens,
  stream: true
})

const agent = new http.Agent({ keepAlive: true, maxSockets: Infinity })
const overHttp = (port) => (tokens) =>
  new Promise((resolve, reject) => {
    const body = JSON.stringify(request(tokens))
    const from = performance.now()
    const asked = http.request({
      port,
      host: "127.0.0.1",
      method: "POST",
      path: "/v1/chat/completions",
      agent,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) }
    }, (response) => {
      let first
      let tail = ""
      response.on("data", (chunk) => {
        if (first === undefined && chunk.includes("\"content\":\"H")) first = performance.now() - from
        tail = chunk.subarray(-20).toString()
      })
      response.on("end", () =>
        response.statusCode === 200 && (tail.includes("[DONE]") || tail === "")
          ? resolve({ first, whole: performance.now() - from })
          : reject(new Error(`the answer was not whole: ${response.statusCode} ${tail}`)))
    })
    asked.on("error", reject)
    asked.end(body)
  })

const types = protobuf.loadSync(path.join(root, "proto/orchion/v1/orchestrator.proto"))
const chatRequest = types.lookupType("orchion.v1.ChatCompletionRequest")
const frame = (fields) => {
  const bytes = chatRequest.encode(chatRequest.fromObject(fields)).finish()
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}
/** Plain HTTP/2, so that this process is not what is measured. */
const overGrpc = (session, service) => (tokens) =>
  new Promise((resolve, reject) => {
    const { model, messages, stream: streamed } = request(tokens)
    const body = frame({ model, messages, stream: streamed, maxTokens: tokens })
    const from = performance.now()
    const stream = session.request({
      ":method": "POST",
      ":path": `/orchion.v1.${service}/ChatCompletion`,
      "content-type": "application/grpc",
      te: "trailers"
    })
    let first
    let status
    stream.on("response", (headers) => status ??= headers["grpc-status"])
    stream.on("trailers", (headers) => status = headers["grpc-status"])
    stream.on("data", () => first ??= performance.now() - from)
    stream.on("error", reject)
    stream.on("close", () =>
      status === "0" ? resolve({ first, whole: performance.now() - from }) : reject(new Error(`gRPC status ${status}`)))
    stream.end(body)
  })

const connect = (port) =>
  new Promise((resolve, reject) => {
    const session = http2.connect(`http://127.0.0.1:${port}`, { settings: { initialWindowSize: 1024 * 1024 } })
    session.on("error", reject)
    session.on("connect", () => resolve(session))
  })

const atOnce = (ask, chats, tokens) => Promise.all(Array.from({ length: chats }, () => ask(tokens)))

try {
  const engine = start(path.join(root, "test/support/engines/vllm.mjs"), [
    "test/model",
    "--host",
    "127.0.0.1",
    "--port",
    "18471"
  ], {
    STANDIN_CONTROL_PORT: "0",
    STANDIN_TOKENS: "1000000",
    STANDIN_TOKEN_TEXT: "Hello "
  })
  const [, control] = await printed(engine, /control on port (\d+)/)
  const switches = (set) =>
    new Promise((resolve, reject) =>
      http.request({ port: control, host: "127.0.0.1", path: "/standin", method: "POST", agent: false }, (response) => {
        response.resume()
        response.on("end", resolve)
      }).on("error", reject).end(JSON.stringify(set))
    )
  for (let tries = 0;; tries++) {
    const up = await fetch("http://127.0.0.1:18471/health").then(({ ok }) => ok, () => false)
    if (up) break
    if (tries > 200) throw new Error("the engine does not start")
    await sleep(50)
  }
  const node = start(program, ["node", "http://127.0.0.1:18471"])
  const [, port] = await printed(node, /^port (\d+)/)
  const orchestrator = start(program, ["orchestrator", `127.0.0.1:${port}`])
  const [, orchestratorPort, httpPort] = await printed(orchestrator, /^port (\d+) http (\d+)/)
  const ways = {
    engine: overHttp(18471),
    agent: overGrpc(await connect(port), "NodeAgent"),
    orchestrator: overGrpc(await connect(orchestratorPort), "OrchionLLM"),
    http: overHttp(Number(httpPort))
  }

  if (wanted("first")) {
    await switches({ tokenMs: 2 })
    for (const [chats, aim] of [[1, 2], [16, 5], [64, 20]]) {
      const rounds = Math.max(12, Math.ceil(200 / chats))
      const firsts = Object.fromEntries(Object.keys(ways).map((way) => [way, []]))
      // What runs for weeks is warm: so is what is measured.
      const warmUp = Math.ceil(1000 / chats)
      for (let round = -warmUp; round < rounds; round++) {
        // In turn, so that whatever else this machine does meets all of them.
        for (const [way, ask] of Object.entries(ways)) {
          const answers = await atOnce(ask, chats, 2)
          if (round >= 0) firsts[way].push(...answers.map(({ first }) => first))
        }
      }
      const medians = Object.fromEntries(Object.entries(firsts).map(([way, values]) => [way, round(median(values), 2)]))
      print({
        figure: "time to first token",
        unit: "ms",
        chats,
        ...medians,
        addedByAgent: round(medians.agent - medians.engine, 2),
        aim,
        addedByHttpApi: round(medians.http - medians.engine, 2)
      })
    }
  }

  if (wanted("rate")) {
    await switches({ tokenMs: 0 })
    const chats = 16
    const tokens = 10_000
    const rates = Object.fromEntries(Object.keys(ways).map((way) => [way, []]))
    const cpu = []
    for (let round = -1; round < 5; round++) {
      for (const [way, ask] of Object.entries(ways)) {
        const before = cpuMillis(node.pid)
        const from = performance.now()
        await atOnce(ask, chats, tokens)
        const seconds = (performance.now() - from) / 1000
        if (round < 0) continue
        rates[way].push(chats * tokens / seconds)
        if (way === "agent") cpu.push((cpuMillis(node.pid) - before) / (chats * tokens / 1000))
      }
    }
    const medians = Object.fromEntries(Object.entries(rates).map(([way, values]) => [way, Math.round(median(values))]))
    print({
      figure: "tokens per second",
      chats,
      tokensPerChat: tokens,
      ...medians,
      ratio: round(medians.agent / medians.engine, 2),
      aim: 0.5,
      ratioOfHttpApi: round(medians.http / medians.engine, 2)
    })
    print({ figure: "processor time of the agent per 1,000 tokens", unit: "ms", agent: round(median(cpu), 2) })
  }

  if (wanted("memory")) {
    await switches({ tokenMs: 50 })
    // One that has done nothing else yet.
    const fresh = start(program, ["node", "http://127.0.0.1:18471"])
    const [, freshPort] = await printed(fresh, /^port (\d+)/)
    await sleep(1000)
    const idle = residentMib(fresh.pid)
    const running = atOnce(overGrpc(await connect(freshPort), "NodeAgent"), 256, 200)
    await sleep(5000)
    const open = residentMib(fresh.pid)
    await running
    print({
      figure: "resident memory with 256 open streams",
      unit: "MiB",
      idle: round(idle),
      open: round(open),
      ratio: round(open / idle, 2),
      aim: 1.5
    })
  }
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
} finally {
  for (const child of children) child.kill("SIGKILL")
  fs.rmSync(folder, { recursive: true, force: true })
  process.exit()
}
