import * as http from "node:http"
import type * as net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import type { ContainerPlan } from "../../src/engine/EnginePlan.js"
import type { EngineProbe, OnProgress } from "../../src/engine/EngineDriver.js"
import type { Bytes } from "../../src/engine/EngineStatus.js"
import * as OllamaPlan from "../../src/engine/ollama/OllamaPlan.js"
import * as OllamaProbe from "../../src/engine/ollama/OllamaProbe.js"
import * as VllmPlan from "../../src/engine/vllm/VllmPlan.js"
import * as VllmProbe from "../../src/engine/vllm/VllmProbe.js"
import { sleepThrough } from "../docker/Waiting.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Temporary from "../support/Temporary.js"
import { machine, nvidia, planned, settings } from "./Planning.js"

const deadline = Duration.seconds(20)

const ollamaPlan = (port: number, model = "llama2"): ContainerPlan =>
  planned(OllamaPlan.plan(settings({ "ollama-model": model, "ollama-port": String(port) }), machine([nvidia(0)])))

const ollamaProbe = (plan: ContainerPlan, deadline: Duration.Duration) =>
  OllamaProbe.make({ ...plan, hasGpu: plan.gpus !== undefined }, deadline)

const ollama = (switches: Partial<StandIns.Switches> = {}, model?: string) =>
  Effect.gen(function*() {
    const store = yield* Temporary.directory
    const standIn = yield* StandIns.scoped("ollama", { switches, env: { OLLAMA_MODELS: store } })
    return { ...standIn, probe: ollamaProbe(ollamaPlan(standIn.port, model), deadline) }
  })

const vllm = (
  switches: Partial<StandIns.Switches> = {},
  args: ReadonlyArray<string> = [],
  checkDeadline: Duration.Duration = deadline
) =>
  Effect.gen(function*() {
    const standIn = yield* StandIns.scoped("vllm", { switches, args: ["org/model", ...args], untilReady: false })
    const own = settings({
      "vllm-model": "org/model",
      "vllm-gpus": "none",
      "vllm-port": String(standIn.port),
      "vllm-arg": args
    })
    const probe = VllmProbe.make(
      { ...planned(VllmPlan.plan(own, machine())), model: VllmPlan.servedName(own) },
      checkDeadline
    )
    return { ...standIn, probe }
  })

/** How far a start said to be, each time. */
const progress = () => {
  const told: Array<{ readonly detail: string; readonly bytes?: Bytes | undefined }> = []
  const onProgress: OnProgress = (detail, bytes) => Effect.sync(() => void told.push({ detail, bytes }))
  return { told, onProgress }
}

const silent: OnProgress = () => Effect.void

const lookOf = ({ look }: EngineProbe) => look ?? Effect.succeed(undefined)
const loadOf = ({ load }: EngineProbe) => load ?? Effect.succeed(undefined)

const failureOf = (ready: ReturnType<EngineProbe["ready"]>) =>
  Effect.map(Effect.flip(ready), ({ diagnosis }) => diagnosis)

/** A server that answers as it is told. */
const answering = (answer: http.RequestListener): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<http.Server>((resume) => {
        const server = http.createServer(answer).listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.sync(() => {
          server.close()
          server.closeAllConnections()
        })
    ),
    (server) => (server.address() as net.AddressInfo).port
  )

/** An Ollama without a model, which is asked for nothing else but to pull one. */
const withoutModels = (pull: http.RequestListener): http.RequestListener => (request, response) => {
  if (request.url === "/api/version") response.end("{}")
  else if (request.url === "/api/tags") response.end("{\"models\":[]}")
  else pull(request, response)
}

describe("Ollama", () => {
  it.scopedLive("is ready at once with a model that it has", () =>
    Effect.gen(function*() {
      const { control, probe } = yield* ollama({ models: ["llama2", "other:7b"] })
      assert.deepStrictEqual([...yield* probe.ready(silent)].sort(), ["llama2:latest", "other:7b"])
      assert.deepStrictEqual([...yield* probe.check].sort(), ["llama2:latest", "other:7b"])
      const { counters } = yield* Effect.promise(control.read)
      assert.deepStrictEqual(counters.pulls, [])
    }))

  it.scopedLive("pulls a model of which it has another tag", () =>
    Effect.gen(function*() {
      const { probe } = yield* ollama({ models: ["llama2:13b"], pullBytes: 1e5 })
      assert.include(yield* probe.ready(silent), "llama2:latest")
    }))

  it.scopedLive("pulls by a long name what it lists by a short one", () =>
    Effect.gen(function*() {
      const { probe } = yield* ollama({ pullBytes: 1e5 }, "registry.ollama.ai/library/llama2")
      assert.include(yield* probe.ready(silent), "llama2:latest")
    }))

  it.scopedLive("reports the progress of a pull, in bytes", () =>
    Effect.gen(function*() {
      const { probe } = yield* ollama({ pullBytes: 4e6, pullRate: 8e6, pullLineMs: 20 })
      const { onProgress, told } = progress()
      yield* probe.ready(onProgress)
      assert.deepStrictEqual(told.slice(0, 2).map(({ detail }) => detail), [
        "Ollama answers",
        "Pulling the model llama2"
      ])
      const done = told.flatMap(({ bytes }) => bytes === undefined ? [] : [bytes.done])
      assert.isAbove(done.length, 1)
      assert.deepStrictEqual(done, [...done].sort((a, b) => a - b))
      assert.match(told.findLast(({ bytes }) => bytes !== undefined)?.detail ?? "", /: [\d.]+ MiB of 3\.8 MiB$/)
    }))

  it.scopedLive("sees the errors of a pull that come under status 200", () =>
    Effect.gen(function*() {
      const { control, probe } = yield* ollama({ library: ["other"] })
      const diagnosis = yield* failureOf(probe.ready(silent))
      assert.deepInclude(diagnosis, { cause: "model-not-found", lasting: true })
      yield* Effect.promise(() =>
        control.set({ library: [], pullErrorAfter: 0, pullError: "write /root/.ollama: no space left on device" })
      )
      assert.strictEqual((yield* failureOf(probe.ready(silent))).cause, "disk-full")
    }))

  it.scopedLive("resumes a pull that broke off", () =>
    Effect.gen(function*() {
      const { control, probe } = yield* ollama({
        pullBytes: 1e6,
        pullErrorAfter: 5e5,
        pullErrorCount: 1,
        pullError: "unexpected EOF"
      })
      yield* probe.ready(silent)
      const { counters } = yield* Effect.promise(control.read)
      assert.deepStrictEqual(counters.pulls.map(({ end }) => end), ["failed", "success"])
    }))

  it.scopedLive("is left alone with a pull when its last caller leaves, and resumes it later", () =>
    Effect.gen(function*() {
      const { control, probe } = yield* ollama({ pullBytes: 1e6, pullStallAfter: 5e5, pullLineMs: 20 })
      const { onProgress, told } = progress()
      const waiting = yield* Effect.fork(probe.ready(onProgress))
      yield* Effect.promise(() => control.until(({ counters }) => (counters.pulls[0]?.completed ?? 0) >= 5e5))
      yield* Fiber.interrupt(waiting)
      yield* Effect.promise(() => control.until(({ counters }) => counters.pulls[0]?.end === "cancelled"))
      assert.isAbove(told.length, 1)
      yield* Effect.promise(() => control.set({ pullStallAfter: -1 }))
      yield* probe.ready(silent)
    }))

  it.scopedLive("shows no sign of life by repeating itself", () =>
    Effect.gen(function*() {
      const line = (completed: number) => `${JSON.stringify({ status: "pulling", digest: "a", total: 9, completed })}\n`
      const port = yield* answering(withoutModels(async (_, response) => {
        for (let round = 0; round < 4; round++) {
          for (let index = 0; index < 20; index++) response.write(line(4))
          // Long enough for each round to be worth a word if it had a byte more.
          await sleep(300)
        }
        response.end("{\"error\":\"file does not exist\"}\n")
      }))
      const { onProgress, told } = progress()
      yield* Effect.flip(ollamaProbe(ollamaPlan(port), deadline).ready(onProgress))
      assert.lengthOf(told.filter(({ bytes }) => bytes !== undefined), 1)
    }))

  it.scoped("is given up with a pull that brings no byte more, five times in a row", () =>
    Effect.gen(function*() {
      let pulls = 0
      const port = yield* answering(withoutModels((request, response) => {
        pulls++
        // Some cut the connection, some say why, some end without a word, some speak in riddles.
        if (pulls === 2) request.socket.destroy()
        else if (pulls === 3) response.end("{\"status\":\"pulling manifest\"}\n")
        else if (pulls === 4) response.end("<html>\n")
        else response.end("{\"error\":\"no such host\"}")
      }))
      const waiting = yield* Effect.fork(failureOf(ollamaProbe(ollamaPlan(port), deadline).ready(silent)))
      for (const seconds of [1, 2, 4, 8, 16]) yield* sleepThrough(seconds * 1000)
      assert.deepInclude(yield* Fiber.join(waiting), { cause: "network", lasting: false })
      assert.strictEqual(pulls, 6)
    }))

  it.scopedLive("looks at what is loaded, and says what is not on the GPU", () =>
    Effect.gen(function*() {
      const found = (vramPart: number) =>
        Effect.gen(function*() {
          const { probe, url } = yield* ollama({ models: ["llama2"], compute: "cuda", vramPart })
          assert.isUndefined(yield* lookOf(probe))
          const body = JSON.stringify({ model: "llama2", stream: false })
          yield* Effect.promise(() => fetch(`${url}/api/generate`, { method: "POST", body }).then((got) => got.text()))
          assert.isUndefined(probe.load)
          return (yield* lookOf(probe))?.map(({ code }) => code)
        })
      assert.deepStrictEqual(yield* found(1), [])
      assert.deepStrictEqual(yield* found(0.5), ["engine.partly-on-cpu"])
      assert.deepStrictEqual(yield* found(0), ["engine.gpu-not-used"])
    }))

  it.scopedLive("is not well when it does not answer", () =>
    Effect.gen(function*() {
      const { control, probe, stop } = yield* ollama({ models: ["llama2"] })
      yield* Effect.promise(() => control.set({ health: "fail", healthStatus: 500 }))
      assert.strictEqual((yield* Effect.flip(probe.check)).reason, "/api/version answers with status 500")
      yield* Effect.promise(() => stop("SIGKILL"))
      assert.strictEqual((yield* Effect.flip(probe.check)).reason, "nothing listens on its port yet")
    }))
})

describe("vLLM", () => {
  it.scopedLive("is ready when it is well and lists its model", () =>
    Effect.gen(function*() {
      const { control, probe } = yield* vllm({ hangAt: "weights" })
      const waiting = yield* Effect.fork(probe.ready(silent))
      yield* Effect.promise(() => control.until(({ stage }) => stage === "weights"))
      assert.isNull(waiting.unsafePoll())
      yield* Effect.promise(() => control.set({ hangAt: "" }))
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["org/model"])
    }))

  it.scopedLive("is asked by the name that it serves under, and with its key", () =>
    Effect.gen(function*() {
      const { port, probe } = yield* vllm({}, ["--served-model-name", "mine", "--api-key", "a-secret-key"])
      assert.deepStrictEqual(yield* probe.ready(silent), ["mine"])
      const own = settings({ "vllm-model": "org/model", "vllm-gpus": "none", "vllm-port": String(port) })
      const keyless = VllmProbe.make({ ...planned(VllmPlan.plan(own, machine())), model: "mine" }, deadline)
      assert.strictEqual((yield* Effect.flip(keyless.check)).reason, "/v1/models answers with status 401")
      const env = { VLLM_API_KEY: "a-secret-key" }
      const other = VllmProbe.make({ ...planned(VllmPlan.plan(own, machine([], { env }))), model: "other" }, deadline)
      assert.strictEqual((yield* Effect.flip(other.check)).reason, "it does not list other")
    }))

  it.scopedLive("is not well when its health says so, or says nothing", () =>
    Effect.gen(function*() {
      const { control, probe } = yield* vllm({}, [], Duration.millis(500))
      yield* probe.ready(silent)
      yield* Effect.promise(() => control.set({ health: "fail" }))
      assert.strictEqual((yield* Effect.flip(probe.check)).reason, "/health answers with status 503")
      yield* Effect.promise(() => control.set({ health: "hang" }))
      assert.strictEqual((yield* Effect.flip(probe.check)).reason, "no answer within 0.5 s")
    }))

  it.scopedLive("shows by its load that it hangs, whatever its health says", () =>
    Effect.gen(function*() {
      const { control, probe, url } = yield* vllm({ firstTokenMs: 3_600_000 })
      yield* probe.ready(silent)
      const idle = yield* loadOf(probe)
      assert.strictEqual(idle?.running, 0)
      const abort = new AbortController()
      const chat = fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ model: "org/model", messages: [{ role: "user", content: "hi" }], stream: true }),
        signal: abort.signal
      }).catch(() => undefined)
      yield* Effect.promise(() => control.until(({ running }) => running === 1))
      const first = yield* loadOf(probe)
      const second = yield* loadOf(probe)
      assert.strictEqual(first?.running, 1)
      assert.deepStrictEqual(first, second)
      yield* probe.check
      abort.abort()
      yield* Effect.promise(() => chat)
    }))
})

describe("whatever an engine answers", () => {
  const text = FastCheck.oneof(
    FastCheck.string({ unit: "binary", maxLength: 200 }),
    FastCheck.json(),
    FastCheck.record({
      models: FastCheck.anything(),
      data: FastCheck.anything(),
      status: FastCheck.anything(),
      error: FastCheck.anything(),
      digest: FastCheck.anything(),
      total: FastCheck.anything(),
      completed: FastCheck.anything()
    }, { requiredKeys: [] }).map((value) =>
      JSON.stringify(value, (_, part: unknown) => typeof part === "bigint" ? String(part) : part)
    )
  )

  it.effect("is read, or said to be none, and never more than that", () =>
    Effect.scoped(Effect.gen(function*() {
      let body = ""
      const port = yield* answering((_, response) => response.end(body))
      const plan = ollamaPlan(port)
      const [one, other] = [ollamaProbe(plan, deadline), VllmProbe.make({ ...plan, model: "llama2" }, deadline)]
      const counts = yield* Effect.promise(() =>
        FastCheck.check(
          FastCheck.asyncProperty(text, async (answer) => {
            body = answer
            const asked = await Effect.runPromise(
              Effect.all([Effect.either(one.check), lookOf(one), Effect.either(other.check), loadOf(other)])
            )
            assert.lengthOf(asked, 4)
          }),
          { numRuns: 150 }
        )
      )
      assert.isFalse(counts.failed, JSON.stringify(counts.counterexample))
    })), 120_000)

  it.effect(
    "to a pull ends it with a reason or success, with figures that are bytes",
    () =>
      Effect.scoped(Effect.gen(function*() {
        let lines: ReadonlyArray<string> = []
        const port = yield* answering(withoutModels((_, response) => {
          // The last line is one that lasts, so that nothing is tried again.
          response.end([...lines, "{\"error\":\"file does not exist\"}", ""].join("\n"))
        }))
        const probe = ollamaProbe(ollamaPlan(port), deadline)
        const { onProgress, told } = progress()
        const size = FastCheck.oneof(FastCheck.integer(), FastCheck.double({ noNaN: true, noDefaultInfinity: true }))
        const line = FastCheck.record({ digest: FastCheck.constantFrom("a", "b"), total: size, completed: size }, {
          requiredKeys: ["digest"]
        })
        const counts = yield* Effect.promise(() =>
          FastCheck.check(
            FastCheck.asyncProperty(FastCheck.array(line, { maxLength: 5 }), async (some) => {
              lines = some.map((value) => JSON.stringify(value))
              const diagnosis = await Effect.runPromise(failureOf(probe.ready(onProgress)))
              assert.strictEqual(diagnosis.cause, "model-not-found")
            }),
            { numRuns: 50 }
          )
        )
        assert.isFalse(counts.failed, JSON.stringify(counts.counterexample))
        for (const { bytes } of told) {
          for (const figure of [bytes?.done ?? 0, bytes?.total ?? 0]) {
            assert.isTrue(Number.isSafeInteger(figure) && figure >= 0, String(figure))
          }
        }
      })),
    120_000
  )
})
