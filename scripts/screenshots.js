// Takes pictures of the page with content that is hard to show: many nodes, 8 GPUs, long names, failures. Look at them after
// a change of the page. Needs Chromium on the PATH and `npm run build:bin`.
//
//   node scripts/screenshots.js [FOLDER]        default: a new folder below the system's temporary one, which it prints
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as grpc from "@grpc/grpc-js"
import * as protoLoader from "@grpc/proto-loader"
import { chromium } from "playwright-core"

const root = path.resolve(import.meta.dirname, "..")
const out = process.argv[2] ?? fs.mkdtempSync(path.join(os.tmpdir(), "node-agent-screenshots-"))
fs.mkdirSync(out, { recursive: true })
const gib = 1024 ** 3

const gpu = (index, more = {}) => ({
  vendor: "nvidia",
  model: "NVIDIA H100 80GB HBM3",
  uuid: `GPU-5a1b0c2d-0000-4000-8000-00000000000${index}`,
  index,
  memory_total_bytes: 80 * gib,
  memory_used_bytes: Math.round((2 + index * 9.7) * gib),
  memory_free_bytes: Math.round((78 - index * 9.7) * gib),
  utilization_percent: index * 13,
  temperature_celsius: 33 + index * 6,
  power_draw_watts: 75.2 + index * 80,
  power_limit_watts: 700,
  driver_version: "570.86.15",
  compute_capability: "9.0",
  healthy: true,
  ...more
})
const engine = (name, state, models, more = {}) => ({
  name,
  state,
  models,
  detail: "",
  image: `${name}/${name}:latest`,
  ...more
})
const node = (id, hostname, capabilities = {}) => ({
  id,
  hostname,
  agent_address: "10.0.0.7:50052",
  capabilities: {
    agent_version: "0.1.0",
    labels: { zone: "rack-7" },
    cpu_info: {
      model: "AMD EPYC 9654 96-Core Processor",
      architecture: "amd64",
      logical_cores: 384,
      physical_cores: 192,
      sockets: 2
    },
    memory_info: { total_bytes: 1511 * gib, available_bytes: 1204 * gib },
    os_info: {
      platform: "linux",
      release: "6.8.0-45-generic",
      distribution: "Ubuntu 24.04.1 LTS",
      virtualization: "none",
      uptime_seconds: 1_234_567,
      hostname
    },
    ...capabilities
  }
})
const finding = (severity, subject, message, remedy) => ({
  code: "example.finding",
  severity,
  subject,
  message,
  remedy
})

const few = [
  node("6b1f6cf3-8b3c-4e80-9bb2-0d9bb3b6f6f1", "gpu-server-with-a-rather-long-name-07.machines.example.internal", {
    gpus: Array.from({ length: 8 }, (_, index) => gpu(index)).concat([]),
    engines: [
      engine("vllm", "failed", ["meta-llama/Llama-3.3-70B-Instruct-with-a-very-long-suffix-FP8-dynamic"], {
        detail: "Another program holds 61.2 GiB of GPU 3's memory: python3 (pid 4711).",
        restarts: 12,
        recent_log: [
          "INFO 11-24 10:00:00 loading weights",
          "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
        ]
      }),
      engine("ollama", "ready", ["llama3.2:latest", "nomic-embed-text:latest"])
    ],
    findings: [
      finding(
        "error",
        "GPU 3",
        "It has fallen off the bus (Xid 79).",
        "Restart the machine; replace the GPU if it happens again."
      ),
      finding("warning", "disk", "Docker's disk has 3.1 GiB free of 3.5 TiB.", "docker system prune")
    ]
  }),
  node("0aac8a79-7abd-4c27-96ae-f14d3e78fd88", "raspberrypi", {
    cpu_info: { model: "Cortex-A76", architecture: "arm64", logical_cores: 4 },
    memory_info: { total_bytes: 8 * gib, available_bytes: 3 * gib },
    engines: [
      engine("ollama", "pulling", ["llama3.2:latest"], {
        progress: 0.42,
        detail: "Pulling the model llama3.2: 0.8 GiB of 1.9 GiB"
      })
    ]
  })
]
few[0].capabilities.gpus[3] = gpu(3, { healthy: false, health_problem: "It has fallen off the bus (Xid 79)" })

const many = Array.from(
  { length: 300 },
  (_, index) =>
    node(`node-${String(index).padStart(4, "0")}`, `worker-${String(index).padStart(3, "0")}.rack-${index % 12}`, {
      agent_version: index % 17 === 0 ? "0.0.9" : "0.1.0",
      gpus: index % 3 === 0
        ? [gpu(index % 8)]
        : [gpu(0), gpu(1, index % 41 === 1 ? { healthy: false, health_problem: "ECC errors" } : {})],
      engines: [engine("vllm", index % 29 === 0 ? "unhealthy" : "ready", ["Qwen/Qwen3-8B"])],
      findings: index % 23 === 0 ? [finding("warning", "clock", "It is 40 s behind.", "Start an NTP client.")] : []
    })
)

const definition = protoLoader.loadSync("orchion/v1/orchestrator.proto", {
  includeDirs: [path.join(root, "proto")],
  keepCase: true
})
const { orchion } = grpc.loadPackageDefinition(definition)

const start = (bind) =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [
      path.join(root, "dist/bin/node-agent.js"),
      "orchestrator",
      ...["--port", "0", "--http-port", "0", "--bind-address", bind, "--log-level", "error"]
    ], { stdio: ["ignore", "pipe", "inherit"] })
    let text = ""
    child.stdout.on("data", (chunk) => {
      text += chunk
      const http = /http:\/\/[^:\s]+:(\d+)/.exec(text)
      const grpcPort = /orchestrator\s+\S+:(\d+)/.exec(text)
      if (http !== null && grpcPort !== null) resolve({ child, http: http[1], grpcPort: grpcPort[1] })
    })
    child.once("exit", (code) => reject(new Error(`the orchestrator ended with ${code}`)))
  })

const browserPath = ["chromium", "chromium-browser", "google-chrome"].flatMap((name) =>
  (process.env["PATH"] ?? "").split(path.delimiter).map((folder) => path.join(folder, name))
).find((file) => fs.existsSync(file))
const browser = await chromium.launch({ executablePath: browserPath, args: ["--no-sandbox", "--disable-gpu"] })
try {
  for (const [name, nodes] of [["empty", []], ["few", few], ["many", many]]) {
    const { child, grpcPort, http } = await start("127.0.0.1")
    const client = new orchion.v1.Orchestrator(`127.0.0.1:${grpcPort}`, grpc.credentials.createInsecure())
    for (const one of nodes) {
      await new Promise((resolve, reject) =>
        client.RegisterNode({ node: one }, (error) => error === null ? resolve() : reject(error))
      )
    }
    for (const colorScheme of ["light", "dark"]) {
      for (const [width, height] of [[1280, 900], [390, 844]]) {
        const context = await browser.newContext({ colorScheme, viewport: { width, height } })
        const page = await context.newPage()
        await page.goto(`http://127.0.0.1:${http}/`)
        await page.locator(nodes.length === 0 ? "#empty:visible" : ".node").first().waitFor()
        await page.waitForTimeout(300)
        await page.screenshot({
          path: path.join(out, `${name}-${width}-${colorScheme}.png`),
          fullPage: name !== "many"
        })
        await context.close()
      }
    }
    client.close()
    child.removeAllListeners("exit")
    child.kill()
  }
} finally {
  await browser.close()
}
console.log(out)
