// What the embedded orchestrator bears: heartbeats per second, and its memory and CPU with 5,000 nodes that each beat
// every 5 s. Runs the built command, loads it from this process over 127.0.0.1, and prints one JSON object per figure.
// Takes about 70 s. The client is plain HTTP/2, so that this process is not what is measured.
import { execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as http from "node:http"
import * as http2 from "node:http2"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import protobuf from "protobufjs"

const root = path.resolve(import.meta.dirname, "..")
const command = path.join(root, "dist/bin/node-agent.js")
const nodes = 5000
const intervalMillis = 5000

if (process.platform !== "linux") {
  console.error("This benchmark reads /proc, which only Linux has.")
  process.exit(0)
}
if (!fs.existsSync(command)) {
  execFileSync(process.execPath, [path.join(root, "scripts/bundle.js")], { stdio: "inherit" })
}

const print = (figure) =>
  console.log(JSON.stringify({ ...figure, node: process.version, cpus: os.availableParallelism() }))

// What the kernel knows of a process

const residentMiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]) / 1024

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"], { encoding: "utf8" }))
const cpuSeconds = (pid) => {
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /s, "").split(" ")
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

// Messages, in gRPC's framing

const types = protobuf.loadSync(path.join(root, "proto/orchion/v1/orchestrator.proto"))
const frame = (type, fields) => {
  const message = types.lookupType(`orchion.v1.${type}`)
  const bytes = message.encode(message.fromObject(fields)).finish()
  const head = Buffer.alloc(5)
  head.writeUInt32BE(bytes.length, 1)
  return Buffer.concat([head, bytes])
}

const gib = 1024 ** 3
const capabilities = {
  cpu: "32 cores",
  memory: "251.52 GB",
  os: "linux/amd64",
  gpuType: "NVIDIA H200",
  gpuVramTotal: "140.4 GB",
  gpuVramAvailable: "138.2 GB",
  gpuVramUsed: "2.2 GB",
  gpuTemperature: "33°C",
  gpuPowerUsage: "75.2 W",
  agentVersion: "0.1.0",
  cpuInfo: {
    model: "AMD EPYC 9354 32-Core Processor",
    vendor: "AuthenticAMD",
    architecture: "amd64",
    sockets: 1,
    physicalCores: 32,
    logicalCores: 64,
    features: ["avx2", "avx512f"]
  },
  memoryInfo: { totalBytes: 251 * gib, availableBytes: 240 * gib, swapTotalBytes: 0, swapFreeBytes: 0 },
  osInfo: {
    platform: "linux",
    release: "6.8.0-45-generic",
    distribution: "Ubuntu 24.04.1 LTS",
    bootId: "6b1f6cf3-8b3c-4e80-9bb2-0d9bb3b6f6f1",
    uptimeSeconds: 1234567
  },
  gpus: [{
    vendor: "nvidia",
    model: "NVIDIA H200",
    uuid: "GPU-5a1b0c2d-0000-4000-8000-000000000000",
    index: 0,
    memoryTotalBytes: 140 * gib,
    memoryUsedBytes: 2 * gib,
    memoryFreeBytes: 138 * gib,
    utilizationPercent: 3,
    temperatureCelsius: 33,
    powerDrawWatts: 75.2,
    powerLimitWatts: 700,
    driverVersion: "570.86.15",
    computeCapability: "9.0",
    healthy: true
  }],
  disks: [{ purpose: "state", path: "/var/lib/orchion", totalBytes: 900 * gib, freeBytes: 700 * gib }]
}

const idOf = (index) => `2d3f1c9a-5a0e-4a8e-9a51-${String(index).padStart(12, "0")}`
const beats = Array.from({ length: nodes }, (_, index) => frame("HeartbeatRequest", { nodeId: idOf(index) }))

// The client

const connect = async (port) => {
  const session = http2.connect(`http://127.0.0.1:${port}`)
  session.on("error", () => {})
  await once(session, "connect")
  return session
}

/** One call; answers its gRPC status. */
const call = (session, method, body) =>
  new Promise((resolve) => {
    const stream = session.request({
      ":method": "POST",
      ":path": `/orchion.v1.Orchestrator/${method}`,
      "content-type": "application/grpc",
      te: "trailers"
    })
    let status = "none"
    stream.on("response", (headers) => status = headers["grpc-status"] ?? status)
    stream.on("trailers", (headers) => status = headers["grpc-status"] ?? status)
    stream.on("error", () => {})
    stream.on("close", () => resolve(status))
    stream.resume()
    stream.end(body)
  })

/** Does something to the numbers below `count`, so many at a time. */
const forEach = async (count, atOnce, use) => {
  let next = 0
  await Promise.all(Array.from({ length: atOnce }, async () => {
    while (next < count) await use(next++)
  }))
}

const freePort = async () => {
  const server = net.createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address()
  server.close()
  await once(server, "close")
  return port
}

const get = (port, url) =>
  new Promise((resolve, reject) => {
    http.get({ host: "127.0.0.1", port, path: url }, (response) => {
      let bytes = 0
      response.on("data", (part) => bytes += part.length)
      response.on("end", () => resolve({ status: response.statusCode, bytes }))
    }).on("error", reject)
  })

/** An orchestrator of its own for one measurement. */
const withOrchestrator = async (use) => {
  const [port, httpPort] = [await freePort(), await freePort()]
  const child = spawn(
    process.execPath,
    [command, "orchestrator", "--port", String(port), "--http-port", String(httpPort), "--log-level", "error"],
    { stdio: ["ignore", "ignore", "inherit"] }
  )
  const ended = once(child, "exit")
  const kill = setTimeout(() => child.kill("SIGKILL"), 300_000)
  try {
    for (let attempt = 0;; attempt++) {
      if (child.exitCode !== null || attempt > 600) throw new Error("the orchestrator did not start")
      if (await get(httpPort, "/healthz").then(({ status }) => status === 200, () => false)) break
      await sleep(50)
    }
    return await use({ pid: child.pid, port, httpPort })
  } finally {
    clearTimeout(kill)
    child.kill("SIGTERM")
    if (await Promise.race([ended.then(() => false), sleep(5000).then(() => true)])) child.kill("SIGKILL")
  }
}

const bareMiB = async () => {
  const child = spawn(process.execPath, ["-e", "setTimeout(() => {}, 60_000)"], { stdio: "ignore" })
  await sleep(1000)
  const resident = residentMiB(child.pid)
  child.kill("SIGKILL")
  return resident
}

// Figures

const heartbeatsPerSecond = () =>
  withOrchestrator(async ({ pid, port }) => {
    const sessions = await Promise.all(Array.from({ length: 8 }, () => connect(port)))
    await call(sessions[0], "RegisterNode", frame("RegisterNodeRequest", { node: { id: idOf(0), hostname: "box" } }))
    const measure = async (millis) => {
      const began = performance.now()
      const cpu = cpuSeconds(pid)
      let taken = 0
      await Promise.all(Array.from({ length: 64 }, async (_, index) => {
        while (performance.now() - began < millis) {
          if (await call(sessions[index % sessions.length], "Heartbeat", beats[0]) === "0") taken += 1
        }
      }))
      const seconds = (performance.now() - began) / 1000
      return { taken, seconds, cpu: cpuSeconds(pid) - cpu }
    }
    await measure(3000)
    const { cpu, seconds, taken } = await measure(8000)
    for (const session of sessions) session.destroy()
    print({
      figure: "embedded-orchestrator.heartbeats-per-second",
      value: Math.round(taken / seconds),
      unit: "heartbeats/s",
      connections: sessions.length,
      inFlight: 64,
      cpuMicrosPerHeartbeat: Math.round(cpu / taken * 1e6),
      perCoreSecond: Math.round(taken / cpu)
    })
  })

const fleet = (connections) =>
  withOrchestrator(async ({ httpPort, pid, port }) => {
    const bare = await bareMiB()
    await sleep(1000)
    const idle = residentMiB(pid)
    const sessions = []
    await forEach(connections, 50, async (index) => {
      sessions[index] = await connect(port)
    })
    const sessionOf = (index) => sessions[index % connections]
    const register = (index) =>
      call(
        sessionOf(index),
        "RegisterNode",
        frame("RegisterNodeRequest", {
          node: { id: idOf(index), hostname: `node-${index}`, agentAddress: "10.0.0.1:50052", capabilities }
        })
      )
    await forEach(nodes, 50, register)
    const list = await get(httpPort, "/api/nodes")
    await sleep(1000)
    const registered = residentMiB(pid)

    // Someone looks at the page.
    const follower = http.get(
      { host: "127.0.0.1", port: httpPort, path: "/api/events" },
      (response) => response.resume()
    )
    follower.on("error", () => {})

    const seconds = 20
    const began = performance.now()
    const cpu = cpuSeconds(pid)
    const answered = { ok: 0, failed: 0 }
    const pending = new Set()
    let most = 0
    // Every node at its own moment of the interval, as agents that jitter their first beat are.
    for (let sent = 0; performance.now() - began < seconds * 1000;) {
      const due = Math.floor((performance.now() - began) / intervalMillis * nodes)
      for (; sent < due; sent++) {
        const beat = call(sessionOf(sent % nodes), "Heartbeat", beats[sent % nodes]).then((status) => {
          pending.delete(beat)
          answered[status === "0" ? "ok" : "failed"] += 1
        })
        pending.add(beat)
      }
      most = Math.max(most, residentMiB(pid))
      await sleep(10)
    }
    await Promise.race([Promise.all(pending), sleep(5000)])
    const spent = cpuSeconds(pid) - cpu
    follower.destroy()
    for (const session of sessions) session.destroy()
    print({
      figure: "embedded-orchestrator.memory-5000-nodes",
      value: Math.round(most),
      unit: "MiB resident, at most",
      ratioToBareNode: Number((most / bare).toFixed(2)),
      bareNodeMiB: Math.round(bare),
      idleMiB: Math.round(idle),
      registeredMiB: Math.round(registered),
      connections,
      heartbeats: { ...answered, unanswered: pending.size },
      heartbeatsPerSecond: Math.round(answered.ok / seconds),
      cpuOfOneCore: Number((spent / seconds).toFixed(2)),
      listBytes: list.bytes
    })
  })

await heartbeatsPerSecond()
await fleet(100)
// A connection for each, as in the field; a client's and a server's end here and there.
const descriptors = Number(execFileSync("sh", ["-c", "ulimit -Hn"], { encoding: "utf8" }).trim()) || Infinity
if (descriptors > nodes + 500) await fleet(nodes)
