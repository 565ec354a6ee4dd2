/** OpenAI's HTTP API in front of the cluster: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`. */
import type { ServerResponse } from "node:http"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ChatRelay from "../../chat/ChatRelay.js"
import { find } from "../../chat/ModelName.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import { type Handler, writeAll } from "../../net/HttpListener.js"
import type { EmbeddingResponse__Output } from "../../proto/generated/orchion/v1/EmbeddingResponse.js"
import { oneLine } from "../../text/Printable.js"
import type { Dispatcher } from "../dispatch/Dispatcher.js"
import { completionOf, errorBody, eventsTo, refusalOf } from "./OpenAiAnswer.js"
import * as OpenAiRequest from "./OpenAiRequest.js"
import type { BodyGate, BodyRefused } from "./RequestBody.js"

const { Status } = GrpcError

export interface OpenAiApiOptions {
  readonly dispatcher: Dispatcher
  readonly bodies: BodyGate
  /** Of every answer. */
  readonly headers: Readonly<Record<string, string>>
  /** While nothing of a streamed answer comes, a comment says so this often. Default 15 s. */
  readonly comments?: Duration.DurationInput | undefined
}

export interface OpenAiApi {
  /** Answers requests whose path begins with `/v1/`. */
  readonly handle: (path: string, ...request: Parameters<Handler>) => Effect.Effect<void>
  readonly refuse: (response: ServerResponse, status: number, message: string) => Effect.Effect<void>
}

/** How answers are written: with these headers. */
interface Answers {
  readonly headers: Readonly<Record<string, string>>
  readonly json: (
    response: ServerResponse,
    status: number,
    value: unknown,
    more?: Record<string, string>
  ) => Effect.Effect<void>
  readonly parts: (response: ServerResponse, texts: Iterable<string>) => Effect.Effect<void>
  readonly failed: (response: ServerResponse, error: GrpcError.GrpcError) => Effect.Effect<void>
}

const answersWith = (headers: Readonly<Record<string, string>>): Answers => {
  const type = { "Content-Type": "application/json; charset=utf-8" }
  const json: Answers["json"] = (response, status, value, more = {}) =>
    Effect.sync(() => {
      const body = `${JSON.stringify(value)}\n`
      response.writeHead(status, { ...headers, ...type, "Content-Length": Buffer.byteLength(body), ...more }).end(body)
    })
  return {
    headers,
    json,
    parts: (response, texts) =>
      Effect.suspend(() => {
        response.writeHead(200, { ...headers, ...type })
        return writeAll(response, texts)
      }),
    failed: (response, error) => {
      const { code, status, type } = refusalOf(error)
      return json(
        response,
        status,
        errorBody(error.details, type, code, code === "model_not_found" ? "model" : null),
        status === 429 || status === 503 ? { "Retry-After": "1" } : {}
      )
    }
  }
}

/** Ends a stream without `[DONE]`, so that no client mistakes it for a whole answer. */
const brokenOff = (response: ServerResponse, error: GrpcError.GrpcError) =>
  Effect.sync(() => {
    const { code, type } = refusalOf(error)
    response.end(`data: ${JSON.stringify(errorBody(error.details, type, code))}\n\n`)
  })

/** For clients that still wait when the server closes. */
const stopped = (answers: Answers, response: ServerResponse) =>
  Effect.suspend(() => {
    if (response.destroyed || response.writableEnded) return Effect.void
    const error = GrpcError.fail(Status.UNAVAILABLE, "the orchestrator is stopping")
    return response.headersSent ? brokenOff(response, error) : answers.failed(response, error)
  })

const refusedBody = (answers: Answers, response: ServerResponse, { message, status }: BodyRefused) =>
  answers.json(
    response,
    status,
    status === 413
      ? errorBody(message, "invalid_request_error", "request_too_large")
      : status === 429
      ? errorBody(message, "rate_limit_error", "overloaded")
      : errorBody(message, "invalid_request_error", "timeout"),
    { Connection: "close", ...(status === 429 ? { "Retry-After": "1" } : {}) }
  )

/** Reads and parses a request's body, or answers with the reason why not. */
const withBody = <A>(
  answers: Answers,
  bodies: BodyGate,
  parse: (body: string) => Either.Either<A, OpenAiRequest.Mistake>,
  use: (response: ServerResponse, asked: A) => Effect.Effect<void>
): Handler =>
(request, response) =>
  bodies.read(request, (body) =>
    Either.match(parse(body), {
      onLeft: ({ message, param }) =>
        answers.json(response, 400, errorBody(message, "invalid_request_error", null, param)),
      onRight: (asked) => use(response, asked)
    })).pipe(Effect.catchTag("BodyRefused", (refused) => refusedBody(answers, response, refused)))

const whole = (
  dispatcher: Dispatcher,
  answers: Answers,
  response: ServerResponse,
  { request }: OpenAiRequest.ChatAsked
) =>
  Effect.matchEffect(ChatRelay.collect((open) => dispatcher.chat(request, open)), {
    onFailure: (error) => answers.failed(response, error),
    onSuccess: (message) => answers.json(response, 200, completionOf(message))
  })

const streamed = (
  dispatcher: Dispatcher,
  answers: Answers,
  comments: Duration.DurationInput,
  response: ServerResponse,
  { includeUsage, request }: OpenAiRequest.ChatAsked
) =>
  Effect.suspend(() => {
    const events = eventsTo(response, answers.headers, includeUsage)
    let isQuiet = true
    const relay = ChatRelay.relay((open) => dispatcher.chat(request, open), (message, taken) => {
      isQuiet = false
      events.write(message, taken)
    })
    const comment = Effect.sync(() => {
      if (isQuiet) events.comment()
      isQuiet = true
    })
    return relay.pipe(
      Effect.raceFirst(Effect.forever(Effect.zipRight(Effect.sleep(comments), comment))),
      Effect.matchEffect({
        onFailure: (error) =>
          Effect.suspend(() => response.headersSent ? brokenOff(response, error) : answers.failed(response, error)),
        onSuccess: () => Effect.sync(() => void response.end("data: [DONE]\n\n"))
      })
    )
  })

function* embeddingTexts(
  { data, usage_prompt_tokens: tokens }: EmbeddingResponse__Output,
  { base64, model }: OpenAiRequest.EmbeddingsAsked
): Iterable<string> {
  yield `{"object":"list","model":${JSON.stringify(model)},"usage":${
    JSON.stringify({ prompt_tokens: tokens, total_tokens: tokens })
  },"data":[`
  for (const [position, { embedding, index }] of data.entries()) {
    const vector = base64 ? Buffer.from(new Float32Array(embedding).buffer).toString("base64") : embedding
    yield `${position === 0 ? "" : ","}${JSON.stringify({ object: "embedding", index, embedding: vector })}`
  }
  yield "]}\n"
}

/** The models that are ready by their engines' names for them, and since when. */
const modelsOf = (dispatcher: Dispatcher) =>
  Effect.map(dispatcher.served, ({ served }) => {
    const ready = new Map<string, number>()
    for (const { model, registered_unix, state } of served) {
      if (state === "ready") ready.set(model, Math.min(ready.get(model) ?? Infinity, registered_unix))
    }
    return ready
  })

const modelJson = (id: string, created: number) => ({ id, object: "model", created, owned_by: "orchion" })

function* modelTexts(models: Effect.Effect.Success<ReturnType<typeof modelsOf>>): Iterable<string> {
  yield `{"object":"list","data":[`
  let separator = ""
  for (const [id, created] of models) {
    yield `${separator}${JSON.stringify(modelJson(id, created))}`
    separator = ","
  }
  yield "]}\n"
}

/** By any name that a request may use: `llama3.2` is Ollama's `llama3.2:latest`. */
const oneModel = (dispatcher: Dispatcher, answers: Answers, id: string): Handler => (_, response) =>
  Effect.flatMap(modelsOf(dispatcher), (models) => {
    const found = find([...models.keys()], id)
    const created = models.get(found ?? "")
    return found === undefined || created === undefined
      ? answers.json(
        response,
        404,
        errorBody(
          `model "${oneLine(id, 200)}" is not served now`,
          "invalid_request_error",
          "model_not_found",
          "model"
        )
      )
      : answers.json(response, 200, modelJson(found, created))
  })

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

export const make = ({ bodies, comments = "15 seconds", dispatcher, headers }: OpenAiApiOptions): OpenAiApi => {
  const answers = answersWith(headers)
  const chat = withBody(
    answers,
    bodies,
    OpenAiRequest.chat,
    (response, asked) =>
      asked.stream
        ? streamed(dispatcher, answers, comments, response, asked)
        : whole(dispatcher, answers, response, asked)
  )
  const embeddings = withBody(
    answers,
    bodies,
    OpenAiRequest.embeddings,
    (response, asked) =>
      Effect.matchEffect(dispatcher.embeddings(asked.model, asked.input), {
        onFailure: (error) => answers.failed(response, error),
        onSuccess: (answer) => answers.parts(response, embeddingTexts(answer, asked))
      })
  )
  const list: Handler = (_, response) =>
    Effect.flatMap(modelsOf(dispatcher), (models) => answers.parts(response, modelTexts(models)))

  const routes = new Map<string, readonly [method: string, handler: Handler]>([
    ["/v1/chat/completions", ["POST", chat]],
    ["/v1/embeddings", ["POST", embeddings]],
    ["/v1/models", ["GET", list]]
  ])
  const routeOf = (path: string) =>
    routes.get(path) ?? (path.startsWith("/v1/models/")
      ? ["GET", oneModel(dispatcher, answers, decoded(path.slice("/v1/models/".length)))] as const
      : undefined)

  return {
    refuse: (response, status, message) => answers.json(response, status, errorBody(message, "invalid_request_error")),
    handle: (path, request, response) => {
      const route = routeOf(path)
      if (route === undefined) {
        const message = `there is no ${oneLine(path, 200)} here; there are ${[...routes.keys()].join(", ")}`
        return answers.json(response, 404, errorBody(message, "invalid_request_error"))
      }
      const [method, handler] = route
      const given = request.method === "HEAD" ? "GET" : request.method
      return given === method
        ? Effect.onInterrupt(handler(request, response), () => stopped(answers, response))
        : answers.json(response, 405, errorBody(`${path} takes ${method}`, "invalid_request_error"), { Allow: method })
    }
  }
}
