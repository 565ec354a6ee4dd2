/**
 * An engine without a model: a server on 127.0.0.1 that speaks as much of OpenAI's API as an agent needs of an engine. Its
 * answers are what a program says.
 */
import type * as http from "node:http"
import * as Chunk from "effect/Chunk"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { EngineState } from "../node/Node.js"
import { Engines, type RunningEngine } from "../engine/Engine.js"
import type { EngineDriver } from "../engine/EngineDriver.js"
import * as OpenAiProbe from "../engine/OpenAiProbe.js"
import * as HttpListener from "../net/HttpListener.js"

const ChatRequest = Schema.Struct({
  model: Schema.String,
  messages: Schema.Array(Schema.Struct({ role: Schema.String, content: Schema.Unknown })),
  stream: Schema.optional(Schema.NullOr(Schema.Boolean))
})

/** A chat as the engine received it; other fields of the request are left out. */
export type ChatRequest = typeof ChatRequest.Type

const decodeChat = Schema.decodeUnknownEither(Schema.parseJson(ChatRequest))

export interface TestEngineOptions {
  /** Default `test-engine`. */
  readonly name?: string
  /** The model that it serves. Default `test-model`. */
  readonly model?: string
  /** The pieces of the answer to a chat. By default the text of its last message. */
  readonly answer?: (request: ChatRequest) => ReadonlyArray<string>
}

/** The largest request that it reads. */
const maxBodyBytes = 16 * 1024 * 1024

/** How many requests are remembered; of more, the oldest are forgotten. */
export const maxRequests = 1_000

/** The engine that {@link layer} starts. */
export class TestEngine extends Context.Tag("@orchion/node-agent/testing/TestEngine")<
  TestEngine,
  {
    /** `http://127.0.0.1:PORT`: for the setting `vllm-url`, for example. */
    readonly baseUrl: string
    readonly model: string
    /** Has an agent watch it, and relay requests to it: `Layer.succeed(EngineDrivers, [driver])`. */
    readonly driver: EngineDriver
    /** The chats that it was asked for, oldest first; at most {@link maxRequests}. */
    readonly requests: Effect.Effect<ReadonlyArray<ChatRequest>>
    /** Changes how it answers from now on. */
    readonly setAnswer: (answer: (request: ChatRequest) => ReadonlyArray<string>) => Effect.Effect<void>
    /** An engine that is not healthy answers everything with status 503. Healthy by default. */
    readonly setHealthy: (isHealthy: boolean) => Effect.Effect<void>
  }
>() {}

const textOf = (content: unknown): string => typeof content === "string" ? content : JSON.stringify(content)

/** The text of a request's last message. */
const echo = ({ messages }: ChatRequest): ReadonlyArray<string> => [textOf(messages.at(-1)?.content ?? "")]

/** The body, or nothing when it is larger than an engine takes or its sender went away. */
const read = (request: http.IncomingMessage): Effect.Effect<string | undefined> =>
  Effect.promise(async () => {
    const chunks: Array<Buffer> = []
    let bytes = 0
    try {
      for await (const chunk of request) {
        bytes += (chunk as Buffer).length
        if (bytes > maxBodyBytes) return undefined
        chunks.push(chunk as Buffer)
      }
    } catch {
      return undefined
    }
    return Buffer.concat(chunks).toString("utf8")
  })

const sendJson = (response: http.ServerResponse, status: number, body: unknown) =>
  Effect.sync(() => void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body)))

const sendError = (response: http.ServerResponse, status: number, message: string) =>
  sendJson(response, status, { error: { message, type: "error", param: null, code: status } })

const usage = { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }

const sendStream = (response: http.ServerResponse, model: string, pieces: ReadonlyArray<string>) =>
  Effect.sync(() => {
    const event = (choices: ReadonlyArray<object>, more: object = {}) =>
      `data: ${
        JSON.stringify({ id: "chatcmpl-test", object: "chat.completion.chunk", created: 0, model, choices, ...more })
      }\n\n`
    response.writeHead(200, { "content-type": "text/event-stream" })
    for (const content of pieces) response.write(event([{ index: 0, delta: { content }, finish_reason: null }]))
    response.write(event([{ index: 0, delta: {}, finish_reason: "stop" }]))
    response.write(event([], { usage }))
    response.end("data: [DONE]\n\n")
  })

const sendAnswer = (response: http.ServerResponse, model: string, pieces: ReadonlyArray<string>) =>
  sendJson(response, 200, {
    id: "chatcmpl-test",
    object: "chat.completion",
    created: 0,
    model,
    choices: [{ index: 0, message: { role: "assistant", content: pieces.join("") }, finish_reason: "stop" }],
    usage
  })

const make = (options: TestEngineOptions) =>
  Effect.gen(function*() {
    const { answer = echo, model = "test-model", name = "test-engine" } = options
    const answering = yield* Ref.make(answer)
    const isHealthy = yield* Ref.make(true)
    const requests = yield* Ref.make(Chunk.empty<ChatRequest>())

    const chat = (request: http.IncomingMessage, response: http.ServerResponse) =>
      Effect.gen(function*() {
        const body = yield* read(request)
        if (body === undefined) return yield* sendError(response, 413, "the request is too large")
        const decoded = decodeChat(body)
        if (Either.isLeft(decoded)) return yield* sendError(response, 400, decoded.left.message)
        const asked = decoded.right
        if (asked.model !== model) return yield* sendError(response, 404, `there is no model ${asked.model}`)
        yield* Ref.update(requests, (known) => Chunk.append(Chunk.takeRight(known, maxRequests - 1), asked))
        const pieces = (yield* Ref.get(answering))(asked)
        return yield* (asked.stream === true ? sendStream : sendAnswer)(response, model, pieces)
      })

    const { port } = yield* HttpListener.make({ host: "127.0.0.1", port: 0 }, (request, response) =>
      Effect.gen(function*() {
        if (!(yield* Ref.get(isHealthy))) {
          return yield* sendError(response, 503, "the engine is not healthy")
        }
        switch (`${request.method} ${request.url}`) {
          case "GET /health":
            return yield* sendJson(response, 200, {})
          case "GET /v1/models":
            return yield* sendJson(response, 200, { object: "list", data: [{ id: model, object: "model" }] })
          case "POST /v1/chat/completions":
            return yield* chat(request, response)
          default:
            return yield* sendError(response, 404, `there is no ${request.method} ${request.url}`)
        }
      })).pipe(Effect.orDie)
    const baseUrl = `http://127.0.0.1:${port}`
    const driver: EngineDriver = {
      name,
      title: name,
      model,
      wantsGpu: false,
      plan: () =>
        Effect.succeed({
          _tag: "External",
          name,
          baseUrl,
          model,
          findings: [],
          remedy: "Keep the test engine's scope open."
        }),
      probe: (plan, checkDeadline) =>
        OpenAiProbe.make({ ...plan, healthPath: "/health" }, checkDeadline),
      log: {},
      diagnosis: { title: name, known: [], flags: {} }
    }
    return TestEngine.of({
      baseUrl,
      model,
      driver,
      requests: Effect.map(Ref.get(requests), Chunk.toReadonlyArray),
      setAnswer: (answer) =>
        Ref.set(answering, answer),
      setHealthy: (healthy) => Ref.set(isHealthy, healthy)
    })
  })

/** Listens on a free port of 127.0.0.1 until the scope closes. */
export const layer = (options: TestEngineOptions = {}): Layer.Layer<TestEngine> =>
  Layer.scoped(TestEngine, make(options))

/**
 * The engine as a node's only one, ready from the start and without an agent that watches it: for tests of what relays
 * requests to engines.
 */
export const layerEngines = (state: EngineState = "ready"): Layer.Layer<Engines, never, TestEngine> =>
  Layer.effect(
    Engines,
    Effect.map(TestEngine, ({ baseUrl, driver, model }) => {
      const engine: RunningEngine = {
        name: driver.name,
        title: driver.title,
        state,
        baseUrl,
        model,
        models: state === "ready" ? [model] : [],
        detail: "",
        activity: { inFlight: 0, lastProgressAt: 0 }
      }
      const reports = [{ name: engine.name, state, models: engine.models, detail: "", restarts: 0 }]
      return {
        current: () => [engine],
        reports: () => reports,
        changes: Stream.concat(Stream.make(reports), Stream.never)
      }
    })
  )
