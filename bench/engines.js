// What containers cost: from a spec to a running container beside `docker run` of the same spec, requests to Docker while
// an engine is ready and idle, and memory over many containers' lives. One JSON object per figure.
//
//   node bench/engines.js [--runs 20] [--idle 60] [--lives 200] [start] [idle] [lives]
//
// The engine is a dockerd of its own, which takes Linux, root, and Debian's docker.io and busybox-static.
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { createInterface } from "node:readline"
import { setTimeout as sleep } from "node:timers/promises"
import { parseArgs, promisify } from "node:util"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import { build } from "esbuild"

const root = path.resolve(import.meta.dirname, "..")
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: "string", default: "20" },
    idle: { type: "string", default: "60" },
    lives: { type: "string", default: "200" }
  }
})
const wanted = (figure) => positionals.length === 0 || positionals.includes(figure)
const command = path.join(root, "dist/bin/node-agent.js")
if (!fs.existsSync(command)) {
  console.error(`${command} is missing: run \`npm run build:bin\` first`)
  process.exit(1)
}

// The library and the tests' dockerd, as they are in the source.
const bundle = path.join(root, "dist/bench/engines.mjs")
await build({
  stdin: {
    resolveDir: root,
    contents: `
      export * as dockerd from "./test/support/dockerd.ts"
      export * as images from "./test/support/images.ts"
      export * as ContainerSpec from "./src/docker/ContainerSpec.ts"
      export * as DockerodeDocker from "./src/docker/DockerodeDocker.ts"
      export { Docker } from "./src/docker/Docker.ts"
    `
  },
  bundle: true,
  platform: "node",
  format: "esm",
  packages: "external",
  outfile: bundle,
  logLevel: "warning"
})
const { ContainerSpec, Docker, DockerodeDocker, dockerd, images } = await import(bundle)
const Effect = await import("effect/Effect")
const Either = await import("effect/Either")
const ManagedRuntime = await import("effect/ManagedRuntime")
const Stream = await import("effect/Stream")

const missing = await dockerd.missing() ?? await images.missing()
if (missing !== undefined) {
  console.error(`No figures of containers: ${missing}.`)
  process.exit(0)
}

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

const freePort = async () => {
  const server = net.createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  server.close()
  await once(server, "close")
  return port
}

const engine = await dockerd.start()
const runtime = ManagedRuntime.make(DockerodeDocker.layer({ host: engine.host }))
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-bench-"))
const withDocker = (use) => runtime.runPromise(Effect.flatMap(Docker, use))
const cli = (...args) => promisify(execFile)("docker", ["--host", engine.host, ...args])

const image = "orchion-bench:busybox"

const makeSpec = (name, port) =>
  Either.getOrThrow(ContainerSpec.make({
    nodeId: "bench",
    engine: name,
    image,
    command: ["sh", "-c", "echo up; exec sleep 600"],
    env: { A: "1" },
    ...(port === undefined ? {} : { ports: [{ container: 80, host: port }] }),
    mounts: [{ _tag: "Volume", name: "bench-volume", target: "/data" }],
    stopTimeoutSeconds: 5
  }))

/** The same, as one writes it on a command line. */
const dockerRun = (spec, port) =>
  cli(
    "run",
    "--detach",
    ...["--name", `${ContainerSpec.name(spec)}-cli`],
    ...Object.entries(ContainerSpec.labels(spec)).flatMap(([name, value]) => ["--label", `${name}=${value}`]),
    ...["--env", "A=1", "--publish", `127.0.0.1:${port}:80`, "--mount", "type=volume,source=bench-volume,target=/data"],
    ...["--init", "--ipc", "private", "--restart", "no", "--stop-timeout", "5"],
    ...["--security-opt", "no-new-privileges", "--log-driver", "json-file"],
    ...["--log-opt", `max-size=${spec.logs.maxBytes}`, "--log-opt", `max-file=${spec.logs.files}`],
    image,
    ...spec.command
  )

const measureStart = async () => {
  const port = await freePort()
  const spec = makeSpec("start", port)
  const [own, docker, bare] = [[], [], []]
  const ours = async (run) => {
    const from = performance.now()
    const { id } = await withDocker((docker) => docker.run(spec))
    const took = performance.now() - from
    await withDocker((docker) => docker.remove(id, { force: true }))
    if (run >= 0) own.push(took)
  }
  const theirs = async (run) => {
    const from = performance.now()
    const { stdout } = await dockerRun(spec, port)
    const took = performance.now() - from
    await withDocker((docker) => docker.remove(stdout.trim(), { force: true }))
    if (run >= 0) docker.push(took)
  }
  // The first pair fills caches. Who comes first changes, as what was just removed still costs a little.
  for (let run = -1; run < Number(values.runs); run++) {
    const pair = run % 2 === 0 ? [ours, theirs] : [theirs, ours]
    for (const one of pair) await one(run)
    const from = performance.now()
    await cli("version", "--format", "{{.Server.Version}}")
    if (run >= 0) bare.push(performance.now() - from)
  }
  const ratios = own.map((took, run) => took / docker[run]).sort((a, b) => a - b)
  print({
    figure: "spec to running container",
    unit: "ms",
    agent: summary(own),
    dockerRun: summary(docker),
    dockerVersion: summary(bare),
    ratio: round(quantile(ratios, 0.5), 2),
    aim: 1.2
  })
}

/** A socket that hands everything on to the engine's and notes what is asked for. */
const proxy = async () => {
  const socket = path.join(folder, "docker.sock")
  const asked = []
  let open = 0
  const server = http.createServer((request, response) => {
    const target = request.url.split("?")[0].replace(/^\/v[\d.]+/, "").replace(/[0-9a-f]{64}/g, "{id}")
    asked.push({ what: `${request.method} ${target}`, at: performance.now() })
    open++
    response.once("close", () => open--)
    const onward = http.request(
      { socketPath: engine.socket, method: request.method, path: request.url, headers: request.headers, agent: false },
      (answer) => {
        response.writeHead(answer.statusCode, answer.headers)
        // Who follows a log wants to know that it is being followed.
        response.flushHeaders()
        answer.pipe(response)
      }
    )
    onward.on("error", () => response.destroy())
    response.on("close", () => onward.destroy())
    request.pipe(onward)
  })
  server.listen(socket)
  await once(server, "listening")
  return {
    host: `unix://${socket}`,
    asked,
    open: () => open,
    close: () => {
      server.close()
      server.closeAllConnections()
    }
  }
}

const measureIdle = async () => {
  const standIn = await build({
    entryPoints: [path.join(root, "test/support/engines/ollama.mjs")],
    bundle: true,
    platform: "node",
    format: "esm",
    write: false
  })
  await images.importImage({
    socket: engine.socket,
    name: "orchion-bench:ollama",
    files: {
      ...await images.busyboxFiles(),
      ...await images.nodeFiles(),
      "opt/ollama.mjs": { content: standIn.outputFiles[0].contents },
      "bin/ollama": { link: "/opt/ollama.mjs" },
      root: { directory: true, mode: 0o700 }
    },
    changes: [
      "ENTRYPOINT [\"/bin/ollama\"]",
      "CMD [\"serve\"]",
      "ENV PATH=/usr/local/bin:/usr/bin:/bin",
      "ENV HOME=/root",
      "ENV OLLAMA_HOST=0.0.0.0:11434",
      "ENV STANDIN_PULL_BYTES=100000"
    ]
  })
  const between = await proxy()
  const agent = spawn(process.execPath, [
    command,
    ...["--docker-host", between.host, "--state-dir", path.join(folder, "state"), "--agent-port", "0"],
    ...["--orchestrator", "127.0.0.1:9", "--log-format", "json"],
    ...["--enable-ollama", "--ollama-gpus", "none", "--ollama-image", "orchion-bench:ollama"],
    ...["--ollama-port", String(await freePort())]
  ], { stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  await new Promise((resolve, reject) => {
    for (const stream of [agent.stdout, agent.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        said += `${line}\n`
        if (/Ollama is ready/.test(line)) resolve()
      })
    }
    agent.once("exit", () => reject(new Error(`the agent ended: ${said}`)))
  })
  // What is asked for once it is ready is not idle yet.
  await sleep(2000)
  const from = performance.now()
  const open = between.open()
  const before = between.asked.length
  await sleep(Number(values.idle) * 1000)
  const seconds = (performance.now() - from) / 1000
  const idle = between.asked.slice(before)
  const counts = {}
  for (const { what } of idle) counts[what] = (counts[what] ?? 0) + 1
  print({
    figure: "requests to Docker while an engine is ready and idle",
    unit: "requests a minute",
    seconds: round(seconds),
    requests: counts,
    untilReady: before,
    heldOpen: open,
    perMinute: round(idle.length / seconds * 60),
    aim: "the look at the container that backs the wait for its end, once a minute"
  })
  const ended = once(agent, "exit")
  agent.kill("SIGTERM")
  await ended
  between.close()
}

const measureLives = async () => {
  v8.setFlagsFromString("--expose-gc")
  const gc = vm.runInNewContext("gc")
  const used = async () => {
    for (let round = 0; round < 3; round++) {
      gc()
      await sleep(50)
    }
    return process.memoryUsage().heapUsed / 1024 / 1024
  }
  const spec = makeSpec("lives")
  const life = (docker) =>
    Effect.scoped(Effect.gen(function*() {
      const { id } = yield* docker.runScoped(spec)
      yield* Effect.forkScoped(docker.wait(id))
      yield* Stream.runHead(docker.logs(id, { follow: true }))
    }))
  const lives = Number(values.lives)
  const step = Math.max(1, Math.floor(lives / 10))
  const samples = []
  const from = performance.now()
  for (let count = 0; count < lives; count++) {
    if (count % step === 0) samples.push(await used())
    await withDocker(life)
  }
  samples.push(await used())
  // The first tenth warms up.
  const [, warm] = samples
  print({
    figure: "memory over containers' lives",
    unit: "MiB of live heap",
    lives,
    seconds: round((performance.now() - from) / 1000),
    samples: samples.map((value) => round(value, 2)),
    growth: round(samples.at(-1) - warm, 2),
    ratio: round(samples.at(-1) / warm, 3),
    aim: 1.02
  })
}

try {
  await images.importImage({
    socket: engine.socket,
    name: image,
    files: await images.busyboxFiles(),
    changes: ["CMD [\"sh\"]"]
  })
  if (wanted("start")) await measureStart()
  if (wanted("idle")) await measureIdle()
  if (wanted("lives")) await measureLives()
} catch (error) {
  console.error(error)
  process.exitCode = 1
} finally {
  await runtime.dispose()
  await engine.stop()
  fs.rmSync(folder, { recursive: true, force: true })
}
