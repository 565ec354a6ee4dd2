/** The whole way: from `curl` through the orchestrator and the agent to an engine in a container, and back. */
import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { assert, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Scope from "effect/Scope"
import { Agent } from "../../src/agent/Agent.js"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import * as EngineContainer from "../../src/engine/EngineContainer.js"
import { Docker } from "../../src/docker/Docker.js"
import * as GrpcOrchestrator from "../../src/orchestrator/grpc/GrpcOrchestrator.js"
import * as Running from "../embedded/Running.js"
import { describeDocker, layer } from "../support/DockerTest.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Machines from "../support/Machines.js"
import * as Ports from "../support/Ports.js"
import * as Temporary from "../support/Temporary.js"

vi.setConfig({ testTimeout: 120_000 })

const run = promisify(execFile)

/** What curl prints for a chat. */
const curl = (port: number, body: object) =>
  Effect.promise(async () => {
    const { stdout } = await run("curl", [
      "--silent",
      "--no-buffer",
      "--max-time",
      "30",
      `http://127.0.0.1:${port}/v1/chat/completions`,
      "--data",
      JSON.stringify(body)
    ])
    return stdout
  })

const textOf = (events: string): string =>
  events.split("\n\n").filter((event) => event.startsWith("data: {")).map((event) =>
    JSON.parse(event.slice("data: ".length)).choices[0]?.delta.content ?? ""
  ).join("")

await describeDocker("Inference, the whole way", (engine) => {
  StandIns.useImages(engine)

  it.live("goes through orchestrator, agent and container, and ends before the engine is stopped", () =>
    Effect.scoped(Effect.gen(function*() {
      const nodeId = `${engine().nodeId}-inference`
      const volume = yield* Effect.acquireRelease(
        Effect.succeed(`${engine().nodeId}-inference`),
        (name) => Effect.promise(() => StandIns.removeVolume(engine().socket, name))
      )
      const orchestrator = yield* Running.start()
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const image = yield* Effect.promise(() =>
        StandIns.variant("ollama", engine().socket, { pullBytes: 1e6, tokenMs: 30, tokens: 60 })
      )
      const settings = {
        "node-id": nodeId,
        "agent-port": "0",
        "advertise-address": "127.0.0.1",
        "state-dir": yield* Temporary.directory,
        "enable-ollama": "true",
        "ollama-gpus": "none",
        "ollama-image": image,
        "ollama-port": String(yield* Ports.free),
        "ollama-volume": volume
      }
      const address = { host: "127.0.0.1", port: orchestrator.port }
      yield* Layer.buildWithScope(
        Agent.layer.pipe(
          Layer.provide([
            GrpcOrchestrator.layer({ address }),
            Machines.scripted().layer,
            AgentConfig.layer({ ...settings, orchestrator: `127.0.0.1:${orchestrator.port}` })
          ]),
          Layer.provide(Layer.effect(Docker, Docker))
        ),
        scope
      ).pipe(Logger.withMinimumLogLevel(LogLevel.Error))

      const models = Effect.map(
        orchestrator.get("/v1/models"),
        ({ body }) => JSON.parse(body).data.map(({ id }: { readonly id: string }) => id)
      )
      while ((yield* models).length === 0) yield* Effect.sleep("100 millis")
      assert.deepStrictEqual(yield* models, ["llama2:latest"])

      const asked = { model: "llama2", messages: [{ role: "user", content: "Hello" }], max_tokens: 5 }
      const whole = JSON.parse(yield* curl(orchestrator.httpPort, asked))
      assert.strictEqual(whole.choices[0].message.content, StandIns.answerText("Hello", 5))
      const streamed = yield* curl(orchestrator.httpPort, { ...asked, stream: true })
      assert.strictEqual(textOf(streamed), StandIns.answerText("Hello", 5))
      assert.isTrue(streamed.endsWith("data: [DONE]\n\n"))

      // An answer that is under way when the agent is told to stop comes to its end.
      const running = yield* Effect.fork(curl(orchestrator.httpPort, { ...asked, max_tokens: 60, stream: true }))
      yield* Effect.sleep("500 millis")
      yield* Scope.close(scope, Exit.void)
      const last = yield* Fiber.join(running)
      assert.strictEqual(textOf(last), StandIns.answerText("Hello", 60))
      assert.isTrue(last.endsWith("data: [DONE]\n\n"))
      const docker = yield* Docker
      assert.lengthOf(yield* docker.list(EngineContainer.selector({ nodeId })), 0)
    })).pipe(Effect.provide(layer(engine))))
})
