/** Runs an agent with an engine that the package does not know: here a llama.cpp server that runs already. */
import {
  Agent,
  AgentConfig,
  AgentStatus,
  DockerodeDocker,
  type EngineDriver,
  EngineDrivers,
  LocalCapabilities,
  OpenAiProbe,
  Orchestrator
} from "@orchion/node-agent"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"

const baseUrl = process.argv[3] ?? "http://127.0.0.1:8081"

const llamaCpp: EngineDriver = {
  name: "llamacpp",
  title: "llama.cpp",
  // Whatever it serves.
  model: "",
  wantsGpu: false,
  plan: () =>
    Effect.succeed({
      _tag: "External",
      name: "llamacpp",
      baseUrl,
      model: "",
      findings: [],
      remedy: `Start llama-server at ${baseUrl}.`
    }),
  probe: (plan, checkDeadline) => OpenAiProbe.make({ ...plan, healthPath: "/health" }, checkDeadline),
  log: {},
  diagnosis: { title: "llama.cpp", known: [], flags: {} }
}

const quiet = Layer.succeed(Orchestrator, {
  address: "nowhere:0",
  register: () => Effect.void,
  heartbeat: () => Effect.void,
  updateNode: () => Effect.void,
  reconnect: Effect.void
})

const settings = AgentConfig.layer({
  "agent-port": "0",
  "state-dir": process.argv[2] ?? "orchion-example-state"
})

const program = Effect.gen(function*() {
  const status = yield* AgentStatus
  const [ready] = yield* status.changes.pipe(
    Stream.map(({ engines }) => engines.filter(({ state }) => state === "ready")),
    Stream.filter((ready) => ready.length > 0),
    Stream.runHead,
    Effect.flatten
  )
  yield* Console.log(`${ready?.name} serves ${ready?.models.join(", ")}`)
})

Effect.runFork(
  program.pipe(
    Effect.provide(
      Agent.layer.pipe(
        Layer.provide([quiet, LocalCapabilities.layer({}), DockerodeDocker.layer()]),
        Layer.provide(settings),
        Layer.provide(Layer.succeed(EngineDrivers, [llamaCpp]))
      )
    ),
    Effect.catchAll((error) => Console.error(error))
  )
)
