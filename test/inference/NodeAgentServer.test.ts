import * as os from "node:os"
import * as v8 from "node:v8"
import * as vm from "node:vm"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import { Status } from "../../src/grpc/GrpcError.js"
import { HealthService, NodeAgentService } from "../../src/proto/OrchionV1.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Inference from "../support/Inference.js"
import * as Peers from "../support/Peers.js"
import * as Temporary from "../support/Temporary.js"

const { engine, finishOf, request, textOf } = Inference

/** A node with vLLM, and vLLM's control. */
const withVllm = (switches: Partial<StandIns.Switches> = {}, settings: Readonly<Record<string, string>> = {}) =>
  Effect.gen(function*() {
    const vllm = yield* StandIns.scoped("vllm", { switches })
    const node = yield* Inference.node([engine("vllm", vllm.url)], settings)
    return { vllm, node, set: (more: Partial<StandIns.Switches>) => Effect.promise(() => vllm.control.set(more)) }
  })

const withOllama = (switches: Partial<StandIns.Switches> = {}, pulls = false) =>
  Effect.gen(function*() {
    const store = yield* Temporary.directory
    const ollama = yield* StandIns.scoped("ollama", {
      switches: { models: ["llama2:latest", "qwen:7b"], ...switches },
      env: { OLLAMA_MODELS: store }
    })
    const node = yield* Inference.node([
      engine("ollama", ollama.url, {
        model: "llama2",
        models: ["llama2:latest", "qwen:7b"],
        ...(pulls ? Inference.pulling(ollama.url) : {})
      })
    ])
    return { ollama, node, set: (more: Partial<StandIns.Switches>) => Effect.promise(() => ollama.control.set(more)) }
  })

/** Without it, what is measured is mostly what nobody needs any more. */
const collectGarbage = (): void => {
  v8.setFlagsFromString("--expose-gc")
  const collect: unknown = vm.runInNewContext("gc")
  if (typeof collect === "function") collect()
}

describe("a node's inference", () => {
  it.scopedLive("relays a chat as chunks that end with a finish reason", () =>
    Effect.gen(function*() {
      const { node } = yield* withVllm({ tokenMs: 20 })
      const messages = yield* node.chat(request("Hello"))
      assert.strictEqual(textOf(messages), StandIns.answerText("Hello"))
      assert.strictEqual(finishOf(messages), "stop")
      // A reader that keeps up gets the pieces as they come.
      assert.isAbove(messages.length, 2)
      for (const message of messages) {
        assert.strictEqual(message.object, "chat.completion.chunk")
        assert.strictEqual(message.model, "test/model")
        assert.strictEqual(message.id, messages[0]?.id)
        assert.strictEqual(message.choices[0]?.message?.role, "assistant")
      }
      assert.isTrue(messages.slice(0, -1).every(({ choices }) => choices[0]?.finish_reason === ""))
      assert.deepInclude(messages.at(-1)?.usage, { completion_tokens: 16 })
      assert.strictEqual(messages.reduce((sum, { pieces }) => sum + pieces, 0), 16)
    }))

  it.scopedLive("answers with one message when no stream is asked for", () =>
    Effect.gen(function*() {
      const { node } = yield* withVllm()
      const [message, ...others] = yield* node.chat(request("Hello", { stream: false }))
      assert.deepStrictEqual(others, [])
      assert.strictEqual(message?.object, "chat.completion")
      assert.strictEqual(message?.choices[0]?.message?.content, StandIns.answerText("Hello"))
      assert.strictEqual(message?.choices[0]?.finish_reason, "stop")
      assert.deepInclude(message?.usage, { completion_tokens: 16 })
    }))

  it.scopedLive("is reached under both addresses that localhost has", (context) =>
    Effect.gen(function*() {
      if (!Object.values(os.networkInterfaces()).flat().some((known) => known?.address === "::1")) return context.skip()
      const { node } = yield* withVllm()
      for (const address of [`127.0.0.1:${node.port}`, `[::1]:${node.port}`]) {
        const client = yield* GrpcClient.make({ address })
        yield* client.unary(HealthService, "Check", { service: "" }, { deadline: "5 seconds" })
      }
    }))

  it.scopedLive("prefers the engine that has a model by its exact name", () =>
    Effect.gen(function*() {
      const [vllm, ollama] = yield* Effect.all([StandIns.scoped("vllm"), StandIns.scoped("ollama")])
      const node = yield* Inference.node([
        engine("ollama", ollama.url, { models: ["llama2:latest"] }),
        engine("vllm", vllm.url, { models: ["llama2"] })
      ])
      yield* Effect.either(node.chat(request("Hi", { model: "llama2" })))
      const asked = yield* Effect.forEach([vllm, ollama], ({ control }) =>
        Effect.map(
          Effect.promise(() => control.read()),
          ({ counters }) => counters.requests["/v1/chat/completions"] ?? 0
        ))
      assert.deepStrictEqual(asked, [1, 0])
    }))

  it.scopedLive("gives a place back also when a request cannot even be sent", () =>
    Effect.gen(function*() {
      const broken = engine("vllm", "no address")
      const node = yield* Inference.node([broken])
      for (const stream of [true, false]) {
        yield* Effect.flip(node.chat(request("Hi", { stream })))
        assert.strictEqual(broken.activity.inFlight, 0)
      }
      yield* Effect.flip(node.embeddings("test/model", ["a"]))
      assert.strictEqual(broken.activity.inFlight, 0)
    }))

  it.scopedLive("takes embeddings for no answer's first word", () =>
    Effect.gen(function*() {
      const { node } = yield* withVllm()
      yield* node.embeddings("test/model", ["a"])
      assert.notProperty(node.router.stats("vllm"), "firstTokenMs")
    }))

  it.scopedLive("sends the engine exactly what was asked", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm()
      const asked = Effect.map(Effect.promise(() => vllm.control.read()), ({ counters }) =>
        JSON.parse(counters.last?.body ?? ""))
      yield* node.chat(request("Hello", { temperature: 0.7, max_tokens: 3, options_json: "{\"top_p\":0.5}" }))
      assert.deepStrictEqual(yield* asked, {
        top_p: 0.5,
        model: "test/model",
        messages: [{ role: "user", content: "Hello" }],
        stream: true,
        stream_options: { include_usage: true },
        temperature: 0.7,
        max_tokens: 3
      })
      yield* node.chat(request("Hello"))
      assert.notProperty(yield* asked, "temperature")
      yield* node.chat(request("Hello", { greedy: true }))
      assert.strictEqual((yield* asked).temperature, 0)
    }))

  it.scopedLive("makes embeddings of many texts in one request to the engine", () =>
    Effect.gen(function*() {
      const { node, set, vllm } = yield* withVllm()
      const texts = Array.from({ length: 200 }, (_, index) => `text ${index}`)
      const { data, model, object, usage_prompt_tokens } = yield* node.embeddings("test/model", texts)
      assert.deepStrictEqual(
        data.map(({ embedding }) => embedding),
        texts.map((text) => [...StandIns.vector(text)])
      )
      assert.deepStrictEqual([model, object], ["test/model", "list"])
      assert.isAbove(usage_prompt_tokens, 0)
      const { counters } = yield* Effect.promise(() => vllm.control.read())
      assert.strictEqual(counters.requests["/v1/embeddings"], 1)

      yield* set({ embeddingsFault: "reversed" })
      const reversed = yield* node.embeddings("test/model", ["a", "b"])
      assert.deepStrictEqual(reversed.data.map(({ embedding, index }) => [index, embedding]), [
        [0, [...StandIns.vector("a")]],
        [1, [...StandIns.vector("b")]]
      ])
      yield* set({ embeddingsFault: "short" })
      assert.strictEqual((yield* Effect.flip(node.embeddings("test/model", ["a", "b"]))).code, Status.INTERNAL)
      yield* set({ embeddingsFault: "status", embeddingsFaultStatus: 400 })
      assert.strictEqual((yield* Effect.flip(node.embeddings("test/model", ["a"]))).code, Status.INVALID_ARGUMENT)
      yield* set({ embeddingsFault: "reset" })
      assert.strictEqual((yield* Effect.flip(node.embeddings("test/model", ["a"]))).code, Status.UNAVAILABLE)
    }))

  it.scopedLive("finds Ollama's models with and without their tag, also those that were not configured", () =>
    Effect.gen(function*() {
      const { node } = yield* withOllama()
      for (const model of ["llama2", "llama2:latest", "qwen:7b"]) {
        const messages = yield* node.chat(request("Hi", { model }))
        assert.strictEqual(textOf(messages), StandIns.answerText("Hi"))
        assert.strictEqual(messages[0]?.model, model)
      }
      const error = yield* Effect.flip(node.chat(request("Hi", { model: "qwen" })))
      assert.strictEqual(error.code, Status.NOT_FOUND)
      assert.strictEqual(
        error.details,
        "model 'qwen' is not served by this node: it serves llama2:latest, qwen:7b"
      )
    }))

  it.scopedLive("has Ollama pull a model that is asked for, once, when it may", () =>
    Effect.gen(function*() {
      const { node, ollama } = yield* withOllama(
        { library: ["tiny"], pullBytes: 1000, pullLineMs: 5 },
        true
      )
      const answers = yield* Effect.all(
        Array.from({ length: 5 }, () => node.chat(request("Hi", { model: "tiny" }))),
        { concurrency: "unbounded" }
      )
      for (const messages of answers) assert.strictEqual(textOf(messages), StandIns.answerText("Hi"))
      const { counters } = yield* Effect.promise(() => ollama.control.read())
      assert.deepStrictEqual(counters.pulls.map(({ end }) => end), ["success"])
      const error = yield* Effect.flip(node.chat(request("Hi", { model: "no-such-model" })))
      assert.strictEqual(error.code, Status.NOT_FOUND)
      assert.include(error.details, "Ollama's library has no model")
    }))

  it.scopedLive("ends a pull when its last caller leaves", () =>
    Effect.gen(function*() {
      const { node, ollama } = yield* withOllama(
        { pullBytes: 1_000_000, pullRate: 1000 },
        true
      )
      const waiting = yield* Effect.fork(node.chat(request("Hi", { model: "large" })))
      yield* Effect.promise(() => ollama.control.until(({ counters }) => counters.pulls.length === 1))
      yield* Fiber.interrupt(waiting)
      yield* Effect.promise(() => ollama.control.until(({ counters }) => counters.pulls[0]?.end === "cancelled"))
    }))

  it.scopedLive("refuses what makes no sense before any engine is asked", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm()
      const cases: ReadonlyArray<readonly [Parameters<typeof request>[1], string]> = [
        [{ model: "" }, "the request names no model"],
        [{ messages: [] }, "the request has no messages"],
        [
          { messages: [{ role: "wizard", content: "Hi" }] },
          "message 1 has the role 'wizard'; give system, developer, user, assistant, tool"
        ],
        [
          { messages: [{ role: "user", content: "Hi" }, { content: "x" }] },
          "message 2 has no role; give system, developer, user, assistant, tool"
        ],
        [{ temperature: Number.NaN }, "the temperature cannot be NaN; give a number from 0 up"],
        [{ temperature: Infinity }, "the temperature cannot be Infinity; give a number from 0 up"],
        [{ temperature: -1 }, "the temperature cannot be -1; give a number from 0 up"],
        [{ max_tokens: -5 }, "max_tokens cannot be -5; give a number from 1 up, or 0 for no limit"],
        [{ options_json: "{" }, "options_json is not JSON"],
        [{ options_json: "[]" }, "options_json is no JSON object"],
        [{ options_json: "{\"stream\":false}" }, "options_json cannot hold 'stream', which has a field of its own"]
      ]
      for (const [more, details] of cases) {
        const error = yield* Effect.flip(node.chat(request("Hi", more)))
        assert.deepStrictEqual([error.code, error.details], [Status.INVALID_ARGUMENT, details])
      }
      const large = yield* Effect.flip(node.chat(request("x".repeat(17_000_000))))
      assert.strictEqual(large.code, Status.RESOURCE_EXHAUSTED)
      assert.include(large.details, "larger than max")
      assert.strictEqual((yield* Effect.flip(node.embeddings("", ["a"]))).code, Status.INVALID_ARGUMENT)
      assert.strictEqual((yield* Effect.flip(node.embeddings("test/model", []))).code, Status.INVALID_ARGUMENT)
      const { counters } = yield* Effect.promise(() => vllm.control.read())
      assert.deepStrictEqual(counters.requests["/v1/chat/completions"] ?? 0, 0)
    }))

  it.scopedLive("distinguishes an engine that is not ready from an unknown model", () =>
    Effect.gen(function*() {
      const { node } = yield* withVllm()
      const [vllm] = node.engines
      assert.isDefined(vllm)
      node.engines = [
        { ...vllm, state: "loading", models: [], detail: "loading the weights, 45 %" },
        engine("ollama", "", { state: "ready", model: "llama2", models: ["llama2:latest"] })
      ]
      const loading = yield* Effect.flip(node.chat(request("Hi")))
      assert.strictEqual(loading.code, Status.UNAVAILABLE)
      assert.strictEqual(
        loading.details,
        "model 'test/model' cannot be used now: vLLM is loading its model: loading the weights, 45 %"
      )
      const unknown = yield* Effect.flip(node.chat(request("Hi", { model: "other" })))
      assert.strictEqual(unknown.code, Status.NOT_FOUND)
      assert.strictEqual(
        unknown.details,
        "model 'other' is not served by this node: it serves llama2:latest; "
          + "vLLM is loading its model: loading the weights, 45 % (test/model)"
      )
      node.engines = []
      const none = yield* Effect.flip(node.chat(request("Hi")))
      assert.strictEqual(
        none.details,
        "model 'test/model' is not served by this node: it runs no inference engine "
          + "(--engines-on-demand starts the one that a model's name asks for)"
      )
    }))

  it.scopedLive("says what an engine's failure means, at every stage of an answer", () =>
    Effect.gen(function*() {
      const { node, set } = yield* withVllm({ tokenMs: 1 })
      const status = (chatFaultStatus: number, chatFaultBody = "") =>
        ({ chatFault: "status", chatFaultStatus, chatFaultBody }) as const
      const cases: ReadonlyArray<readonly [Partial<StandIns.Switches>, Status, tokens: number]> = [
        [status(400, "{\"error\":{\"message\":\"max_tokens is too large\"}}"), Status.INVALID_ARGUMENT, 0],
        [status(404), Status.NOT_FOUND, 0],
        [status(422, "{\"detail\":[{\"msg\":\"field required\"}]}"), Status.INVALID_ARGUMENT, 0],
        [status(429), Status.RESOURCE_EXHAUSTED, 0],
        [status(503), Status.RESOURCE_EXHAUSTED, 0],
        [status(500, "<html><b>Internal</b> error</html>"), Status.INTERNAL, 0],
        [status(502), Status.UNAVAILABLE, 0],
        [{ chatFault: "reset" }, Status.UNAVAILABLE, 0],
        [{ chatFault: "error", chatFaultAfter: 5 }, Status.INTERNAL, 5],
        [{ chatFault: "destroy", chatFaultAfter: 5 }, Status.UNAVAILABLE, 5],
        [{ chatFault: "no-done", chatFaultAfter: 5 }, Status.UNAVAILABLE, 5],
        [{ chatFault: "no-finish", chatFaultAfter: 5 }, Status.UNAVAILABLE, 5],
        [{ sse: ["garbage"], sseAt: 4 }, Status.INTERNAL, 5]
      ]
      for (const [switches, code, tokens] of cases) {
        yield* set({ chatFault: "", chatFaultBody: "", sse: [], ...switches })
        let text = ""
        const error = yield* Effect.flip(
          node.client.receive(NodeAgentService, "ChatCompletion", request("Hi"), () => (message) => {
            text += textOf([message])
            assert.strictEqual(finishOf([message]), "")
          })
        )
        assert.deepStrictEqual([JSON.stringify(switches), Status[error.code]], [JSON.stringify(switches), Status[code]])
        assert.strictEqual(text, StandIns.answerText("Hi", tokens), JSON.stringify(switches))
        assert.notInclude(error.details, "\n")
        assert.isAbove(error.details.length, 10)
      }
      yield* set({ ...status(400, "{\"error\":{\"message\":\"max_tokens is too large\"}}"), sse: [] })
      const { details } = yield* Effect.flip(node.chat(request("Hi")))
      assert.strictEqual(details, "vLLM refuses the request: max_tokens is too large")
      // After all of it: complete is what has its finish reason.
      yield* set({ chatFault: "no-done", chatFaultAfter: -1 })
      assert.strictEqual(textOf(yield* node.chat(request("Hi"))), StandIns.answerText("Hi"))
    }))

  it.scopedLive("reports that an engine died, before and within an answer, and that nothing listens", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm({ tokenMs: 5, tokens: 10_000 })
      const fiber = yield* Effect.fork(Effect.flip(node.chat(request("Hi"))))
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.tokens > 5))
      yield* Effect.promise(() => vllm.stop("SIGKILL"))
      assert.strictEqual((yield* Fiber.join(fiber)).code, Status.UNAVAILABLE)
      const gone = yield* Effect.flip(node.chat(request("Hi")))
      assert.strictEqual(gone.code, Status.UNAVAILABLE)
      assert.strictEqual(gone.details, "vLLM cannot be reached: nothing listens on its port")
      const other = yield* Peers.tcp((socket) => socket.on("data", () => socket.write("SSH-2.0-x\r\n")))
      node.engines = [engine("vllm", `http://127.0.0.1:${other}`)]
      assert.strictEqual((yield* Effect.flip(node.chat(request("Hi")))).code, Status.INTERNAL)
      // Begins to say what is wrong, and does not come to the point.
      const teapot = yield* Peers.garbage
      node.engines = [engine("vllm", `http://127.0.0.1:${teapot}`)]
      assert.strictEqual((yield* Effect.flip(node.chat(request("Hi")))).code, Status.INVALID_ARGUMENT)
      assert.strictEqual(node.engines[0]?.activity.inFlight, 0)
    }))

  it.scopedLive("uses a kept connection that the engine has closed without anybody noticing", () =>
    Effect.gen(function*() {
      const { node } = yield* withVllm({ keepAliveMs: 50 })
      for (let round = 0; round < 8; round++) {
        assert.strictEqual(textOf(yield* node.chat(request("Hi"))), StandIns.answerText("Hi"))
        yield* Effect.sleep(round * 2 + 43)
      }
    }))

  it.scopedLive("gives an engine a limited number of requests at once, and refuses more", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm({ tokenMs: 5, tokens: 100_000 }, { "max-requests-per-engine": "4" })
      const running = yield* Effect.fork(
        Effect.all(Array.from({ length: 4 }, () => node.chat(request("Hi"))), { concurrency: "unbounded" })
      )
      yield* Effect.promise(() => vllm.control.until(({ running }) => running === 4))
      const error = yield* Effect.flip(node.chat(request("Hi")))
      assert.deepStrictEqual([error.code, error.details], [
        Status.RESOURCE_EXHAUSTED,
        "vLLM has 4 requests of this node in flight, the limit; try again later"
      ])
      yield* Fiber.interrupt(running)
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 4))
      yield* Effect.promise(() => vllm.control.set({ tokens: 4 }))
      yield* node.chat(request("Hi"))
      const { completionTokens, errors, errorsByKind, inFlight, requests } = node.router.stats("vllm")
      assert.deepStrictEqual(errorsByKind, [{ kind: "not-admitted", count: 1 }])
      assert.deepInclude({ errors, inFlight, requests }, { errors: 1, inFlight: 0, requests: 5 })
      assert.isAtLeast(completionTokens, 4)
    }))

  it.scopedLive("cancels the request inside the engine when its caller leaves, or its deadline passes", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm({ tokenMs: 5, tokens: 100_000 })
      const isCancelled = Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 1))
      const isRunning = Effect.promise(() => vllm.control.until(({ running }) => running === 1))
      for (const stream of [true, false]) {
        yield* Effect.promise(() => vllm.control.reset())
        const fiber = yield* Effect.fork(node.chat(request("Hi", { stream })))
        yield* isRunning
        yield* Fiber.interrupt(fiber)
        yield* isCancelled
      }
      yield* Effect.promise(() => vllm.control.reset())
      yield* node.client.receive(NodeAgentService, "ChatCompletion", request("Hi"), () => () => {}, {
        deadline: "300 millis"
      }).pipe(Effect.flip)
      yield* isCancelled
    }))

  it.scoped("cancels a request of which the engine sends nothing more, and gives its place to the next", () =>
    Effect.gen(function*() {
      const { node, set, vllm } = yield* withVllm({ chatFault: "stall", chatFaultAfter: 3 }, {
        "engine-idle-timeout": "5m",
        "max-requests-per-engine": "1"
      })
      const fiber = yield* Effect.fork(Effect.flip(node.chat(request("Hi"))))
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.tokens === 3))
      yield* TestClock.adjust("6 minutes")
      const error = yield* Fiber.join(fiber)
      assert.deepStrictEqual([error.code, error.details], [
        Status.UNAVAILABLE,
        "vLLM stalled: it sent nothing of the answer for 5m"
      ])
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 1))
      yield* set({ chatFault: "" })
      assert.strictEqual(textOf(yield* node.chat(request("Hi"))), StandIns.answerText("Hi"))
      assert.deepStrictEqual(node.router.stats("vllm").errorsByKind, [{ kind: "stalled", count: 1 }])
    }))

  it.scoped("cancels a request of whose answer nothing is read, and gives its place to the next", () =>
    Effect.gen(function*() {
      const { node, set, vllm } = yield* withVllm({ tokenMs: 0, tokens: 1_000_000, tokenBytes: 4096 }, {
        "max-requests-per-engine": "1"
      })
      const reading = yield* Effect.fork(
        node.client.receive(NodeAgentService, "ChatCompletion", request("Hi"), ({ pause }) => () => pause())
      )
      yield* Effect.promise(() => vllm.control.until(({ pausedNow }) => pausedNow === 1, 15_000))
      yield* TestClock.adjust("3 minutes")
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 1))
      yield* set({ tokens: 4, tokenBytes: 0 })
      assert.strictEqual(textOf(yield* node.chat(request("Hi"))), StandIns.answerText("Hi", 4))
      assert.strictEqual(node.engines[0]?.activity.inFlight, 0)
      yield* Fiber.interrupt(reading)
    }))

  it.scopedLive("slows the engine when the reader stops, and keeps little in memory", () =>
    Effect.gen(function*() {
      const streams = 8
      const { node, vllm } = yield* withVllm({ tokenMs: 0, tokens: 200_000, tokenBytes: 64 })
      collectGarbage()
      const before = process.memoryUsage()
      const fiber = yield* Effect.fork(Effect.all(
        Array.from({ length: streams }, () =>
          node.client.receive(NodeAgentService, "ChatCompletion", request("Hi"), ({ pause }) => () => pause())),
        { concurrency: "unbounded" }
      ))
      yield* Effect.promise(() =>
        vllm.control.until(({ pausedNow }) => pausedNow === streams, 15_000)
      )
      collectGarbage()
      const after = process.memoryUsage()
      // This process holds both ends.
      const perStream = (after.heapUsed + after.external - before.heapUsed - before.external) / streams
      assert.isBelow(perStream, 1024 * 1024)
      const { counters } = yield* Effect.promise(() => vllm.control.read())
      assert.isBelow(counters.tokens / streams, 100_000)
      yield* Fiber.interrupt(fiber)
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === streams))
    }), 40_000)

  it.scopedLive("keeps hundreds of answers apart, some of them abandoned", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm({ tokenMs: 5, tokens: 40 }, { "max-requests-per-engine": "1000" })
      const results = yield* Effect.forEach(
        Array.from({ length: 300 }, (_, index) => index),
        (index) =>
          Effect.gen(function*() {
            const fiber = yield* Effect.fork(node.chat(request(`chat-${index}`)))
            if (index % 10 !== 3) return yield* Fiber.join(fiber)
            yield* Effect.sleep((index * 7919) % 400)
            yield* Fiber.interrupt(fiber)
            return undefined
          }),
        { concurrency: "unbounded" }
      )
      results.forEach((messages, index) => {
        if (messages === undefined) return
        assert.strictEqual(textOf(messages), StandIns.answerText(`chat-${index}`, 40))
        assert.strictEqual(finishOf(messages), "stop")
      })
      assert.strictEqual(results.filter((messages) => messages === undefined).length, 30)
      yield* Effect.promise(() => vllm.control.until(({ running, waiting }) => running === 0 && waiting === 0))
      assert.strictEqual(node.engines[0]?.activity.inFlight, 0)
    }), 60_000)

  it.scopedLive("lets what runs come to its end when it stops, and takes nothing new", () =>
    Effect.gen(function*() {
      const { node, vllm } = yield* withVllm({ tokenMs: 10, tokens: 60 })
      const health = (service: string) =>
        node.client.unary(HealthService, "Check", { service }, { deadline: "5 seconds" })
      assert.strictEqual((yield* health("")).status, "SERVING")
      assert.strictEqual((yield* health(NodeAgentService.name)).status, "SERVING")
      assert.strictEqual((yield* Effect.flip(health("other"))).code, Status.NOT_FOUND)
      const watched = yield* Effect.fork(
        node.client.serverStream(HealthService, "Watch", { service: "" }).pipe(Stream.take(2), Stream.runCollect)
      )
      const running = yield* Effect.fork(node.chat(request("Hi")))
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.tokens > 3))
      const drained = yield* Effect.fork(node.drain)
      assert.deepStrictEqual([...yield* Fiber.join(watched)].map(({ status }) => status), ["SERVING", "NOT_SERVING"])
      const error = yield* Effect.flip(node.chat(request("Hi")))
      assert.deepStrictEqual([error.code, error.details], [
        Status.UNAVAILABLE,
        "this node is shutting down and accepts no more requests; ask another one"
      ])
      assert.strictEqual((yield* health("")).status, "NOT_SERVING")
      assert.strictEqual(textOf(yield* Fiber.join(running)), StandIns.answerText("Hi", 60))
      yield* Fiber.join(drained)
    }))

  it.scopedLive("ends an incomplete answer so that no client takes it for a whole one", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { tokenMs: 10, tokens: 100_000 } })
      const scope = yield* Scope.make()
      const node = yield* Scope.extend(
        Inference.node([engine("vllm", vllm.url)], { "drain-timeout": "200ms" }),
        scope
      )
      const running = yield* Effect.fork(Effect.either(node.chat(request("Hi"))))
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.tokens > 3))
      const [elapsed] = yield* Effect.timed(node.drain)
      assert.isAtLeast(Duration.toMillis(elapsed), 190)
      const ended = yield* Fiber.join(running)
      assert.isTrue(Either.isLeft(ended))
      if (Either.isLeft(ended)) assert.strictEqual(ended.left.code, Status.UNAVAILABLE)
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 1))
      yield* Scope.close(scope, Exit.void)
    }))
})
