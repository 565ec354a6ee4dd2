/** Runs an agent on an orchestrator of our own: here one that prints what it receives. */
import { Agent, AgentConfig, AgentStatus, DockerodeDocker, LocalCapabilities, Orchestrator } from "@orchion/node-agent"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const notebook = Layer.succeed(Orchestrator, {
  address: "notebook:0",
  register: (node) => Console.log(`${node.hostname} registers: ${node.report.capabilities.cpu.logicalCores} threads`),
  heartbeat: () => Console.log("a heartbeat"),
  updateNode: () => Console.log("an update"),
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
