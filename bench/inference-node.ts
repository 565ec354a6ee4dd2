// For bench/inference.js: a node with one ready engine and an embedded orchestrator that knows it, on free ports.
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import * as AgentConfig from "../src/agent/AgentConfig.js"
import * as HeapTuning from "../src/cli/HeapTuning.js"
import * as EmbeddedOrchestrator from "../src/embedded/EmbeddedOrchestrator.js"
import { Engines, type RunningEngine } from "../src/engine/Engine.js"
import * as GrpcNodeAgentServer from "../src/inference/GrpcNodeAgentServer.js"
import * as LocalInferenceRouter from "../src/inference/LocalInferenceRouter.js"
import { NodeAgentServer } from "../src/inference/NodeAgentServer.js"
import * as RequestGate from "../src/inference/RequestGate.js"

// As the command does.
if (process.env["BENCH_LARGE_HEAP"] === undefined) HeapTuning.keepYoungGenerationSmall()

const [role = "node", target = ""] = process.argv.slice(2)

const engine: RunningEngine = {
  name: "vllm",
  title: "vLLM",
  state: "ready",
  baseUrl: target,
  model: "test/model",
  models: ["test/model"],
  detail: "",
  activity: { inFlight: 0, lastProgressAt: 0 }
}

const node = Effect.gen(function*() {
  const { port } = yield* NodeAgentServer
  console.log(`port ${port}`)
  yield* Effect.never
}).pipe(Effect.provide(GrpcNodeAgentServer.layer.pipe(
  Layer.provide(RequestGate.layer),
  Layer.provide(LocalInferenceRouter.layer),
  Layer.provide(Layer.succeed(Engines, { current: () => [engine], reports: () => [], changes: Stream.never })),
  Layer.provide(AgentConfig.rooms),
  Layer.provide(AgentConfig.layer({ "agent-port": "0", "max-requests-per-engine": "10000" }))
)))

const orchestrator = Effect.gen(function*() {
  const { httpPort, port, registry } = yield* EmbeddedOrchestrator.EmbeddedOrchestrator
  yield* registry.register({
    id: "node",
    hostname: "node",
    agentAddress: target,
    capabilities: {
      ...{ cpu: "", memory: "", os: "", gpu_type: "", gpu_vram_total: "", gpu_vram_available: "" },
      ...{ power_usage: "", gpu_vram_used: "", gpu_temperature: "", gpu_power_usage: "", agent_version: "0" },
      ...{ labels: {}, gpus: [], disks: [], findings: [] },
      engines: [
        { name: "vllm", state: "ready", models: ["test/model"], detail: "", restarts: 0, recent_log: [] }
      ]
    }
  })
  yield* Effect.forkScoped(Effect.forever(Effect.zipRight(registry.heartbeat("node"), Effect.sleep("5 seconds"))))
  console.log(`port ${port} http ${httpPort}`)
  yield* Effect.never
}).pipe(
  Effect.scoped,
  Effect.provide(EmbeddedOrchestrator.layer({ port: 0, httpPort: 0 }))
)

const main: Effect.Effect<void, unknown> = role === "node" ? node : orchestrator
Effect.runFork(Logger.withMinimumLogLevel(main, LogLevel.Error))
process.once("SIGINT", () => process.exit())
