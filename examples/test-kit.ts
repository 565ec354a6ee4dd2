/** Tests an agent without hardware, Docker or network: a machine, an orchestrator and an engine that are stand-ins. */
import { Agent, AgentConfig, DockerodeDocker, EngineDrivers } from "@orchion/node-agent"
import { TestEngine, TestMachine, TestOrchestrator } from "@orchion/node-agent/testing"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

const engine = TestEngine.layer({ model: "parrot", answer: ({ messages }) => [`${messages.length} messages`] })

const drivers = Layer.effect(EngineDrivers, Effect.map(TestEngine.TestEngine, ({ driver }) => [driver]))

const surroundings = Layer.mergeAll(
  TestOrchestrator.layer,
  TestMachine.layer(TestMachine.capabilities({ gpus: [TestMachine.gpu()] })),
  DockerodeDocker.layer(),
  AgentConfig.layer({ "agent-port": "0", "state-dir": process.argv[2] ?? "orchion-example-state" })
)

const program = Effect.gen(function*() {
  const orchestrator = yield* TestOrchestrator.TestOrchestrator
  const { registration } = yield* orchestrator.waitFor(TestOrchestrator.isMethod("register"))
  yield* Console.log(`registered with ${registration.report.capabilities.gpus.map(({ model }) => model).join()}`)

  const isServing = (call: TestOrchestrator.Call): call is Extract<TestOrchestrator.Call, { method: "updateNode" }> =>
    call.method === "updateNode" && call.report.engines.some(({ state }) => state === "ready")
  const { report } = yield* orchestrator.waitFor(isServing)
  yield* Console.log(`serves ${report.engines.flatMap(({ models }) => models).join()}`)
})

Effect.runFork(
  program.pipe(
    Effect.provide(
      Agent.layer.pipe(
        Layer.provide(drivers),
        Layer.provideMerge(engine),
        Layer.provideMerge(surroundings)
      )
    ),
    Effect.catchAll((error) => Console.error(error.message))
  )
)
