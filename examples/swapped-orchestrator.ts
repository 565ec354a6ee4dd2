/** Runs an agent on an orchestrator of our own making: here one that writes down what it is told. */
import {
  Agent,
  AgentConfig,
  AgentStatus,
  DockerodeDocker,
  LocalCapabilities,
  Orchestrator,
  OrchestratorUnimplemented
} from "@orchion/node-agent"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const address = "notebook:0"
const unimplemented = new OrchestratorUnimplemented({ address, operation: "do anything but write down" })

const notebook = Layer.succeed(Orchestrator, {
  address,
  register: (node) => Console.log(`${node.hostname} registers: ${node.report.capabilities.cpu.logicalCores} threads`),
  heartbeat: () => Console.log("a heartbeat"),
  updateNode: () => Console.log("an update"),
  listNodes: Effect.fail(unimplemented),
  submitJob: () => Effect.fail(unimplemented),
  getJobStatus: () => Effect.fail(unimplemented),
  chatCompletion: () => Stream.fail(unimplemented),
  embeddings: () => Effect.fail(unimplemented),
  logs: Stream.fail(unimplemented),
  reconnect: Effect.void
})

const settings = AgentConfig.layer({
  "agent-port": "0",
  "heartbeat-interval": "200ms",
  "state-dir": process.argv[2] ?? "orchion-example-state"
})

const program = Effect.gen(function*() {
  const { nodeId } = yield* Agent
  const status = yield* AgentStatus
  yield* Stream.runHead(Stream.filter(status.changes, ({ connection }) => connection._tag === "Registered"))
  yield* Console.log(`the agent runs as ${nodeId}`)
  yield* Effect.sleep("1 second")
})

Effect.runFork(
  program.pipe(
    Effect.provide(
      Agent.layer.pipe(
        Layer.provide([notebook, LocalCapabilities.layer({}), DockerodeDocker.layer()]),
        Layer.provide(settings)
      )
    ),
    Effect.catchAll((error) => Console.error(error.message))
  )
)
