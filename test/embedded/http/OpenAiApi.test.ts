import * as http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import OpenAI from "openai"
import * as Cluster from "../../support/Cluster.js"
import * as StandIns from "../../support/engines/StandIns.js"
import * as Inference from "../../support/Inference.js"

const clientOf = ({ url }: Cluster.Cluster) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0, timeout: 20_000 })

const messages = (content: string) => [{ role: "user" as const, content }]

/** One node with vLLM, and a client of OpenAI's in front. */
const start = (switches: Partial<StandIns.Switches> = {}) =>
  Effect.gen(function*() {
    const vllm = yield* StandIns.scoped("vllm", { switches })
    const cluster = yield* Cluster.make([[Inference.engine("vllm", vllm.url)]])
    return { vllm, cluster, client: clientOf(cluster) }
  })

/** What went wrong, as the client tells it. */
const failure = (promise: PromiseLike<unknown>) =>
  Effect.promise(async () => {
    try {
      await promise
    } catch (error) {
      if (error instanceof OpenAI.APIError) return error
      throw error
    }
    throw new Error("it went well")
  })

describe("OpenAI's client in front of the embedded orchestrator", () => {
  it.scopedLive("gets a whole answer, with its tokens counted", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const completion = yield* Effect.promise(() =>
        client.chat.completions.create({ model: "test/model", messages: messages("Hello there") })
      )
      assert.strictEqual(completion.object, "chat.completion")
      assert.strictEqual(completion.choices[0]?.message.content, StandIns.answerText("Hello there"))
      assert.strictEqual(completion.choices[0]?.finish_reason, "stop")
      assert.strictEqual(completion.usage?.completion_tokens, 16)
    }))

  it.scopedLive("gets a stream, and its tokens at the end when it asks for them", () =>
    Effect.gen(function*() {
      const { client } = yield* start({ tokenMs: 1 })
      const chunks = yield* Effect.promise(async () => {
        const stream = await client.chat.completions.create({
          model: "test/model",
          messages: messages("Hi"),
          stream: true,
          stream_options: { include_usage: true }
        })
        const all: Array<OpenAI.ChatCompletionChunk> = []
        for await (const chunk of stream) all.push(chunk)
        return all
      })
      assert.strictEqual(
        chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""),
        StandIns.answerText("Hi")
      )
      assert.strictEqual(chunks[0]?.choices[0]?.delta.role, "assistant")
      assert.strictEqual(chunks.at(-2)?.choices[0]?.finish_reason, "stop")
      assert.deepStrictEqual(chunks.at(-1)?.choices, [])
      assert.strictEqual(chunks.at(-1)?.usage?.completion_tokens, 16)
    }))

  it.scopedLive("gets embeddings, as numbers and as it asks for them itself", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      for (const encoding_format of [undefined, "float" as const]) {
        const { data, usage } = yield* Effect.promise(() =>
          client.embeddings.create({
            model: "test/model",
            input: ["one", "two"],
            ...(encoding_format === undefined ? {} : { encoding_format })
          })
        )
        assert.deepStrictEqual(data.map(({ embedding }) => [...embedding].map(Math.fround)), [
          [...StandIns.vector("one")],
          [...StandIns.vector("two")]
        ])
        assert.isAbove(usage.prompt_tokens, 0)
      }
    }))

  it.scopedLive("lists the models that are served, and shows one of them", () =>
    Effect.gen(function*() {
      const { client } = yield* start()
      const models = yield* Effect.promise(() => client.models.list())
      assert.deepStrictEqual(models.data.map(({ id, owned_by }) => [id, owned_by]), [["test/model", "orchion"]])
      assert.strictEqual((yield* Effect.promise(() => client.models.retrieve("test/model"))).id, "test/model")
      assert.strictEqual((yield* failure(client.models.retrieve("other"))).status, 404)
    }))

  it.scopedLive("gets the errors that it knows", () =>
    Effect.gen(function*() {
      const { client, vllm } = yield* start()
      const unknown = yield* failure(client.chat.completions.create({ model: "nope", messages: messages("Hi") }))
      assert.instanceOf(unknown, OpenAI.NotFoundError)
      assert.strictEqual(unknown.code, "model_not_found")
      assert.include(unknown.message, "served are test/model")

      const none = yield* failure(client.chat.completions.create({ model: "test/model", messages: [] }))
      assert.instanceOf(none, OpenAI.BadRequestError)
      assert.strictEqual(none.param, "messages")

      const tools = yield* failure(client.chat.completions.create({
        model: "test/model",
        messages: messages("Hi"),
        tools: [{ type: "function", function: { name: "f" } }]
      }))
      assert.strictEqual(tools.param, "tools")

      yield* Effect.promise(() => vllm.control.set({ chatFault: "status", chatFaultStatus: 503 }))
      const busy = yield* failure(client.chat.completions.create({ model: "test/model", messages: messages("Hi") }))
      assert.instanceOf(busy, OpenAI.RateLimitError)
    }))

  it.scopedLive("learns when an answer breaks off, and does not take it for a whole one", () =>
    Effect.gen(function*() {
      for (const chatFault of ["error", "destroy", "no-done", "no-finish"] as const) {
        const { client } = yield* start({ chatFault, chatFaultAfter: 5, tokenMs: 1 })
        let text = ""
        yield* failure((async () => {
          const stream = await client.chat.completions.create({
            model: "test/model",
            messages: messages("Hi"),
            stream: true
          })
          for await (const { choices } of stream) text += choices[0]?.delta.content ?? ""
        })())
        assert.strictEqual(text, StandIns.answerText("Hi", 5), chatFault)
      }
    }))

  it.scopedLive("learns when the orchestrator stops", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { tokenMs: 5, tokens: 100_000 } })
      const scope = yield* Scope.make()
      const engines = [Inference.engine("vllm", vllm.url)]
      const node = yield* Inference.node(engines)
      const cluster = yield* Scope.extend(Cluster.make([]), scope)
      yield* cluster.register(Cluster.described("a", node.port, engines))
      const ask = (stream: boolean) =>
        Effect.promise(() =>
          fetch(`${cluster.url}/v1/chat/completions`, {
            method: "POST",
            body: JSON.stringify({ model: "test/model", messages: messages("Hi"), stream })
          })
        )
      const whole = yield* Effect.fork(ask(false))
      const streamed = yield* ask(true)
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.requests["/v1/chat/completions"] === 2))
      yield* Effect.fork(Scope.close(scope, Exit.void))
      const body = yield* Effect.promise(() => streamed.text())
      assert.match(body, /"the orchestrator is stopping".*\n\n$/)
      assert.notInclude(body, "[DONE]")
      assert.strictEqual((yield* Fiber.join(whole)).status, 503)
    }))

  it.scopedLive("stops the engine when it goes away", () =>
    Effect.gen(function*() {
      const { client, vllm } = yield* start({ tokenMs: 5, tokens: 100_000 })
      const at = yield* Effect.promise(async () => {
        const stream = await client.chat.completions.create({
          model: "test/model",
          messages: messages("Hi"),
          stream: true
        })
        for await (const chunk of stream) if (chunk.choices[0]?.delta.content !== "") break
        return Date.now()
      })
      const { counters } = yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 1))
      assert.isBelow((counters.cancellations[0]?.at ?? 0) - at, 1000)
    }))
})

describe("the embedded orchestrator's OpenAI API", () => {
  it.scopedLive("sends comments while a streamed answer is still to come, and an error after them", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { firstTokenMs: 400 } })
      const cluster = yield* Cluster.make([[Inference.engine("vllm", vllm.url)]], { comments: "20 millis" })
      const ask = () =>
        Effect.promise(async () => {
          const response = await fetch(`${cluster.url}/v1/chat/completions`, {
            method: "POST",
            body: JSON.stringify({ model: "test/model", messages: messages("Hi"), stream: true })
          })
          return { status: response.status, body: await response.text() }
        })
      const answered = yield* ask()
      assert.match(answered.body, /^(?:: waiting\n\n)+data: /)
      assert.match(answered.body, /data: \[DONE\]\n\n$/)
      yield* Effect.promise(() => vllm.control.set({ chatFault: "error", chatFaultAfter: 0 }))
      const failed = yield* ask()
      assert.strictEqual(failed.status, 200)
      assert.match(failed.body, /^(?:: waiting\n\n)+data: \{"error":/)
      assert.notInclude(failed.body, "[DONE]")
    }))

  it.scopedLive("passes over a byte order mark", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const body = JSON.stringify({ model: "m", messages: messages("Hi") })
      assert.strictEqual((yield* post(cluster, "/v1/chat/completions", `\uFEFF${body}`)).status, 404)
    }))

  /** Status and error of what it answers to a body. */
  const post = (cluster: Cluster.Cluster, path: string, body: string, headers: http.OutgoingHttpHeaders = {}) =>
    Effect.async<{ readonly status: number | undefined; readonly error: Record<string, unknown> }>((resume) => {
      const request = http.request(`${cluster.url}${path}`, { method: "POST", agent: false, headers }, (response) => {
        let text = ""
        response.setEncoding("utf8").on("data", (part: string) => text += part)
        response.on("end", () => resume(Effect.succeed({ status: response.statusCode, error: JSON.parse(text).error })))
      })
      request.on("error", () => {})
      request.end(body)
    })

  it.scopedLive("says what is wrong with a request, and where", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const chat = "/v1/chat/completions"
      const asked = (more: object) => JSON.stringify({ model: "m", messages: messages("Hi"), ...more })
      const cases: ReadonlyArray<readonly [path: string, body: string, status: number, param: string | null]> = [
        [chat, "", 400, null],
        [chat, "{", 400, null],
        [chat, "[]", 400, null],
        [chat, "{}", 400, "model"],
        [chat, asked({ messages: {} }), 400, "messages"],
        [chat, asked({ messages: ["Hi"] }), 400, "messages[0]"],
        [chat, asked({ messages: [{ role: "user", content: 5 }] }), 400, "messages[0].content"],
        [
          chat,
          asked({ messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] }),
          400,
          "messages[0].content"
        ],
        [chat, asked({ messages: [{ role: "tool", content: "5", tool_call_id: "x" }] }), 400, "messages[0].role"],
        [
          chat,
          asked({ messages: [{ role: "user", content: "5", tool_call_id: "x" }] }),
          400,
          "messages[0].tool_call_id"
        ],
        [chat, asked({ stream: "yes" }), 400, "stream"],
        [chat, asked({ max_tokens: -1 }), 400, "max_tokens"],
        [chat, asked({ temperature: "hot" }), 400, "temperature"],
        [chat, asked({ logprobs: true }), 400, "logprobs"],
        [chat, asked({}), 404, "model"],
        [chat, "x".repeat(17 * 1024 * 1024), 413, null],
        ["/v1/embeddings", JSON.stringify({ model: "m" }), 400, "input"],
        ["/v1/embeddings", JSON.stringify({ model: "m", input: [[1, 2]] }), 400, "input"],
        ["/v1/embeddings", JSON.stringify({ model: "m", input: "a", dimensions: 5 }), 400, "dimensions"],
        ["/v1/models", "{}", 405, null],
        ["/v1/completions", "{}", 404, null]
      ]
      for (const [path, body, status, param] of cases) {
        const answer = yield* post(cluster, path, body)
        const shown = `${path} ${body.slice(0, 100)}`
        assert.deepStrictEqual([shown, answer.status, answer.error["param"]], [shown, status, param])
        assert.isString(answer.error["message"])
        assert.isString(answer.error["type"])
      }
    }))

  it.scopedLive("is not for pages of other sites", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const refused = yield* post(cluster, "/v1/chat/completions", "{}", { origin: "http://evil.example" })
      assert.strictEqual(refused.status, 403)
      assert.isString(refused.error["message"])
      const rebound = yield* post(cluster, "/v1/chat/completions", "{}", {
        host: "evil.example",
        origin: "http://evil.example"
      })
      assert.strictEqual(rebound.status, 403)
      const program = yield* post(cluster, "/v1/chat/completions", "{}", { host: "gateway.lan" })
      assert.strictEqual(program.status, 400)
      const own = yield* post(cluster, "/v1/chat/completions", "{}", { origin: cluster.url })
      assert.strictEqual(own.status, 400)
    }))
})
