import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as drivers from "../../../src/engine/drivers.js"
import * as NoDocker from "../../support/NoDocker.js"
import * as Ports from "../../support/Ports.js"
import * as StandIns from "../../support/engines/StandIns.js"
import * as Temporary from "../../support/Temporary.js"
import { settings } from "../Planning.js"
import * as Supervised from "../Supervised.js"

/** No Docker at all: what asks for one dies. */
const start = (options: Omit<Supervised.Options, "nodeId">) =>
  Supervised.start({
    nodeId: "n",
    ...options,
    supervisor: { hasContainers: false },
    times: { checkInterval: Duration.millis(100), ...options.times }
  }).pipe(Effect.provide(NoDocker.layer))

const ollama = (switches: Partial<StandIns.Switches> = {}) =>
  Effect.flatMap(Temporary.directory, (store) => StandIns.scoped("ollama", { switches, env: { OLLAMA_MODELS: store } }))

describe("an Ollama that runs already", () => {
  it.scopedLive("is served with the models that it has, and needs no Docker", () =>
    Effect.gen(function*() {
      const { url } = yield* ollama({ models: ["llama3.2", "qwen3:8b"] })
      const agent = yield* start({ settings: { "ollama-url": url } })
      const ready = yield* agent.until(({ state }) => state === "ready")
      assert.sameMembers([...ready.models], ["llama3.2:latest", "qwen3:8b"])
      assert.notProperty(ready, "image")
      assert.deepInclude(agent.engines.current()[0], { name: "ollama", title: "Ollama", baseUrl: url, maxChoices: 1 })
    }))

  it.scopedLive("is said to be out of reach, with what to do, until it is there", () =>
    Effect.gen(function*() {
      const port = yield* Ports.free
      const agent = yield* start({ settings: { "ollama-url": `http://127.0.0.1:${port}/` } })
      const failed = yield* agent.until(({ state }) => state === "failed")
      assert.strictEqual(
        failed.detail,
        `Ollama at http://127.0.0.1:${port} cannot be used: nothing listens on its port yet. `
          + "Start Ollama there, or correct --ollama-url."
      )
      assert.deepStrictEqual(agent.findings().map(({ code }) => code), ["engine.failed"])
      assert.strictEqual(failed.restarts, 0)
      yield* Effect.flatMap(Temporary.directory, (store) =>
        StandIns.scoped("ollama", { port, switches: { models: ["m"] }, env: { OLLAMA_MODELS: store } }))
      yield* agent.until(({ state }) =>
        state === "ready"
      )
      assert.deepStrictEqual(agent.findings(), [])
      // Said once, however often it was tried.
      assert.lengthOf(agent.logs.matching(/cannot be used: nothing listens/), 1)
    }))

  it.scopedLive("is watched: it goes, and comes back", () =>
    Effect.gen(function*() {
      const { control, url } = yield* ollama({ models: ["m"] })
      const agent = yield* start({ settings: { "ollama-url": url } })
      yield* agent.until(({ state }) => state === "ready")
      yield* Effect.promise(() => control.set({ health: "fail", healthStatus: 500 }))
      yield* agent.until(({ state }) => state === "unhealthy")
      yield* Effect.promise(() => control.set({ health: "ok" }))
      const back = yield* agent.until(({ state }) => state === "ready")
      assert.strictEqual(back.restarts, 0)
    }))

  it.scopedLive("pulls a model that is asked for by name", () =>
    Effect.gen(function*() {
      const { url } = yield* ollama({ models: [], pullBytes: 1e5 })
      const agent = yield* start({
        settings: { "ollama-url": url, "ollama-model": "tiny", "ollama-pull-on-demand": "true" }
      })
      assert.include((yield* agent.until(({ state }) => state === "ready")).models, "tiny:latest")
      const [running] = agent.engines.current()
      yield* running?.pull?.("other") ?? Effect.die("it cannot pull")
      yield* agent.until(({ models }) => models.includes("other:latest"))
    }))

  it.scopedLive("is no second one beside the agent's own", () =>
    Effect.gen(function*() {
      const values = settings({ "ollama-url": "http://127.0.0.1:1", "enable-ollama": "true" })
      const { message } = yield* Effect.flip(drivers.make(values))
      assert.match(message, /^--ollama-url cannot be .*--enable-ollama starts one as well.*; give one of the two$/)
    }))
})

describe("a vLLM that runs already", () => {
  it.scopedLive("is asked with the key of a file, which no report has", () =>
    Effect.gen(function*() {
      const { url } = yield* StandIns.scoped("vllm", { args: ["org/model", "--api-key", "a-secret-key"] })
      const file = path.join(yield* Temporary.directory, "key")
      fs.writeFileSync(file, "a-secret-key\n")
      const agent = yield* start({ settings: { "vllm-url": url, "vllm-api-key-file": file } })
      assert.deepStrictEqual((yield* agent.until(({ state }) => state === "ready")).models, ["org/model"])
      assert.notInclude(JSON.stringify([yield* agent.seen, agent.logs.all]), "a-secret-key")
    }))

  it.scopedLive("takes its key from the environment, too, and says when it is not taken", () =>
    Effect.gen(function*() {
      const { url } = yield* StandIns.scoped("vllm", { args: ["org/model", "--api-key", "a-secret-key"] })
      const keyless = yield* start({ settings: { "vllm-url": url } })
      assert.match((yield* keyless.until(({ state }) => state === "failed")).detail, /answers with status 401/)
      const agent = yield* start({ settings: { "vllm-url": url }, env: { VLLM_API_KEY: "a-secret-key" } })
      yield* agent.until(({ state }) => state === "ready")
    }))

  it.scopedLive("is not asked with what a file has that is no key", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const failureOf = (file: string) =>
        Effect.scoped(Effect.gen(function*() {
          const agent = yield* start({ settings: { "vllm-url": "http://127.0.0.1:1", "vllm-api-key-file": file } })
          return (yield* agent.until(({ state }) => state === "failed")).detail
        }))
      const empty = path.join(directory, "empty")
      fs.writeFileSync(empty, "")
      const large = path.join(directory, "large")
      fs.writeFileSync(large, "x".repeat(5000))
      assert.match(yield* failureOf(path.join(directory, "none")), /--vllm-api-key-file is .*no such file/)
      assert.match(yield* failureOf(empty), /has no key in it/)
      assert.match(yield* failureOf(large), /more than 4096 bytes/)
      assert.match(yield* failureOf(directory), /not a regular file/)
      assert.match(yield* failureOf("/dev/zero"), /not a regular file/)
    }))
})
