/** OpenAI's HTTP API in front of the cluster: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`. */
import type { IncomingMessage, ServerResponse } from "node:http"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as GrpcError from "../../grpc/GrpcError.js"
import * as ChatRelay from "../../chat/ChatRelay.js"
import type { ChatCompletionResponse } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { Dispatcher } from "../dispatch/Dispatcher.js"
import type { Handler } from "../../net/HttpListener.js"
import * as OpenAiRequest from "./OpenAiRequest.js"

/** The largest request, as the agents take it. */
const maxBodyBytes = 16 * 1024 * 1024

const { Status } = GrpcError

interface Refusal {
  readonly status: number
  readonly type: string
  readonly code: string | null
}

const internal: Refusal = { status: 500, type: "server_error", code: "internal_error" }

const refusals = new Map<GrpcError.Status, Refusal>([
  [Status.INVALID_ARGUMENT, { status: 400, type: "invalid_request_error", code: null }],
  [Status.FAILED_PRECONDITION, { status: 400, type: "invalid_request_error", code: null }],
  [Status.NOT_FOUND, { status: 404, type: "invalid_request_error", code: "model_not_found" }],
  [Status.RESOURCE_EXHAUSTED, { status: 429, type: "rate_limit_error", code: "overloaded" }],
  [Status.UNAVAILABLE, { status: 503, type: "server_error", code: "unavailable" }],
  [Status.DEADLINE_EXCEEDED, { status: 504, type: "server_error", code: "timeout" }],
  [Status.UNIMPLEMENTED, { status: 501, type: "server_error", code: "unimplemented" }]
])

/** The error as OpenAI's clients read it. */
export const errorBody = (message: string, type: string, code: string | null = null, param: string | null = null) => ({
  error: { message, type, param, code }
})

/** Too large for the node: the request's fault, although gRPC says RESOURCE_EXHAUSTED. */
const refusalOf = ({ code, details }: GrpcError.GrpcError): Refusal =>
  GrpcError.isTooLarge(code, details)
    ? { status: 413, type: "invalid_request_error", code: "request_too_large" }
    : refusals.get(code) ?? internal

const readBody = (request: IncomingMessage): Effect.Effect<string | undefined> =>
  Effect.async((resume) => {
    const chunks: Array<Buffer> = []
    let size = 0
    request.on("data", (chunk: Buffer) => {
      size += chunk.length
      if (size <= maxBodyBytes) return void chunks.push(chunk)
      // What still comes is read and forgotten, so that the answer reaches a client that is still sending.
      chunks.length = 0
      resume(Effect.succeed(undefined))
    })
    request.on("end", () => resume(Effect.succeed(Buffer.concat(chunks).toString("utf8"))))
    // A request that breaks off has nobody to be answered: the end of its connection interrupts this.
    request.on("error", () => {})
  })

export interface OpenAiApiOptions {
  readonly dispatcher: Dispatcher["Type"]
  /** Of every answer. */
  readonly headers: Readonly<Record<string, string>>
}

export interface OpenAiApi {
  /** Answers requests whose path begins with `/v1/`. */
  readonly handle: (path: string, ...request: Parameters<Handler>) => Effect.Effect<void>
  readonly refuse: (response: ServerResponse, status: number, message: string) => Effect.Effect<void>
}

export const make = ({ dispatcher, headers }: OpenAiApiOptions): OpenAiApi => {
  const answer = (response: ServerResponse, status: number, value: unknown, more: Record<string, string> = {}) =>
    Effect.sync(() => {
      const body = `${JSON.stringify(value)}\n`
      response.writeHead(status, {
        ...headers,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": Buffer.byteLength(body),
        ...more
      }).end(body)
    })

  const refuse: OpenAiApi["refuse"] = (response, status, message) =>
    answer(response, status, errorBody(message, "invalid_request_error"))

  const failed = (response: ServerResponse, error: GrpcError.GrpcError) => {
    const { code, status, type } = refusalOf(error)
    return answer(
      response,
      status,
      errorBody(error.details, type, code, code === "model_not_found" ? "model" : null),
      status === 429 || status === 503 ? { "Retry-After": "1" } : {}
    )
  }

  /** The end of a stream, without `[DONE]`: nobody is to take it for a whole answer. */
  const brokenOff = (response: ServerResponse, error: GrpcError.GrpcError) =>
    Effect.sync(() => {
      const { code, type } = refusalOf(error)
      response.end(`data: ${JSON.stringify(errorBody(error.details, type, code))}\n\n`)
    })

  /** For who still waits when the server closes. */
  const stopped = (response: ServerResponse) =>
    Effect.suspend(() => {
      if (response.destroyed || response.writableEnded) return Effect.void
      const error = GrpcError.fail(Status.UNAVAILABLE, "the orchestrator is stopping")
      return response.headersSent ? brokenOff(response, error) : failed(response, error)
    })

  /** A request's body, read and understood; else the answer says why not. */
  const withBody = <A>(
    request: IncomingMessage,
    response: ServerResponse,
    parse: (body: string) => Either.Either<A, OpenAiRequest.Mistake>,
    use: (asked: A) => Effect.Effect<void>
  ) =>
    Effect.flatMap(readBody(request), (body) => {
      if (body === undefined) {
        return answer(
          response,
          413,
          errorBody(
            `the request is larger than ${maxBodyBytes / 1024 / 1024} MiB`,
            "invalid_request_error",
            "request_too_large"
          ),
          { Connection: "close" }
        )
      }
      const parsed = parse(body)
      return Either.isRight(parsed)
        ? use(parsed.right)
        : answer(response, 400, errorBody(parsed.left.message, "invalid_request_error", null, parsed.left.param))
    })

  const whole = (response: ServerResponse, { request }: OpenAiRequest.ChatAsked) => {
    const collector = ChatRelay.collect()
    return dispatcher.chat(request, collector.open).pipe(
      Effect.zipRight(collector.finish),
      Effect.matchEffect({
        onFailure: (error) => failed(response, error),
        onSuccess: (message) => answer(response, 200, completionOf(message))
      })
    )
  }

  const streamed = (response: ServerResponse, { includeUsage, request }: OpenAiRequest.ChatAsked) => {
    const sse = eventsTo(response, headers, includeUsage)
    const relay = ChatRelay.make(sse.write)
    return dispatcher.chat(request, relay.open).pipe(
      Effect.zipRight(relay.finish),
      Effect.matchEffect({
        onFailure: (error) =>
          relay.flush.pipe(
            Effect.zipRight(Effect.suspend(() => {
              if (!response.headersSent) return failed(response, error)
              return brokenOff(response, error)
            }))
          ),
        onSuccess: () => Effect.sync(() => void response.end("data: [DONE]\n\n"))
      }),
      Effect.onInterrupt(() => Effect.timeoutOption(Effect.interruptible(relay.flush), "100 millis"))
    )
  }

  const chat: Handler = (request, response) =>
    withBody(request, response, OpenAiRequest.chat, (asked) => (asked.stream ? streamed : whole)(response, asked))

  const embeddings: Handler = (request, response) =>
    withBody(
      request,
      response,
      OpenAiRequest.embeddings,
      ({ base64, input, model }) =>
        Effect.matchEffect(dispatcher.embeddings(model, input), {
          onFailure: (error) => failed(response, error),
          onSuccess: ({ data, usage_prompt_tokens }) =>
            answer(response, 200, {
              object: "list",
              data: data.map(({ embedding, index }) => ({
                object: "embedding",
                index,
                embedding: base64
                  ? Buffer.from(new Float32Array(embedding).buffer).toString("base64")
                  : embedding
              })),
              model,
              usage: { prompt_tokens: usage_prompt_tokens, total_tokens: usage_prompt_tokens }
            })
        })
    )

  const models = Effect.map(dispatcher.served, ({ served }) => {
    const ready = new Map<string, number>()
    for (const { model, registered_unix, state } of served) {
      if (state === "ready") ready.set(model, Math.min(ready.get(model) ?? Infinity, registered_unix))
    }
    return [...ready].map(([id, created]) => ({ id, object: "model", created, owned_by: "orchion" }))
  })

  const list: Handler = (_, response) =>
    Effect.flatMap(models, (data) => answer(response, 200, { object: "list", data }))

  const one = (id: string): Handler => (_, response) =>
    Effect.flatMap(models, (data) => {
      const found = data.find((model) => model.id === id)
      return found === undefined
        ? answer(
          response,
          404,
          errorBody(
            `model ${JSON.stringify(id)} is not served now`,
            "invalid_request_error",
            "model_not_found",
            "model"
          )
        )
        : answer(response, 200, found)
    })

  const routes = new Map<string, readonly [method: string, handler: Handler]>([
    ["/v1/chat/completions", ["POST", chat]],
    ["/v1/embeddings", ["POST", embeddings]],
    ["/v1/models", ["GET", list]]
  ])

  const routeOf = (path: string) =>
    routes.get(path)
      ?? (path.startsWith("/v1/models/") ? ["GET", one(decoded(path.slice("/v1/models/".length)))] as const : undefined)

  return {
    refuse,
    handle: (path, request, response) => {
      const route = routeOf(path)
      if (route === undefined) {
        return refuse(response, 404, `there is no ${path} here; there are ${[...routes.keys()].join(", ")}`)
      }
      const [method, handler] = route
      const given = request.method === "HEAD" ? "GET" : request.method
      return given === method
        ? Effect.onInterrupt(handler(request, response), () => stopped(response))
        : answer(response, 405, errorBody(`${path} takes ${method}`, "invalid_request_error"), { Allow: method })
    }
  }
}

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const usageOf = ({ completion_tokens = 0, prompt_tokens = 0 }: NonNullable<ChatCompletionResponse["usage"]>) => ({
  prompt_tokens,
  completion_tokens,
  total_tokens: prompt_tokens + completion_tokens
})

const finishReasonOf = (reason: string | undefined): string | null =>
  reason === undefined || reason === "" ? null : reason

const completionOf = ({ choices = [], created, id, model, usage }: ChatCompletionResponse) => ({
  id,
  object: "chat.completion",
  created: Number(created),
  model,
  choices: choices.map(({ finish_reason, index, message, reasoning }) => ({
    index,
    message: {
      role: "assistant",
      content: message?.content ?? "",
      refusal: null,
      ...(reasoning === undefined || reasoning === "" ? {} : { reasoning_content: reasoning })
    },
    logprobs: null,
    finish_reason: finishReasonOf(finish_reason)
  })),
  ...(usage === undefined || usage === null ? {} : { usage: usageOf(usage) })
})

/** Writes messages as server-sent events; the headers go out with the first, when the status is known. */
const eventsTo = (response: ServerResponse, headers: Readonly<Record<string, string>>, includeUsage: boolean) => {
  const begun = new Set<number>()
  let prefix = ""
  const suffix = includeUsage ? `,"usage":null}\n\n` : "}\n\n"

  const choiceOf = (
    { finish_reason, index = 0, message, reasoning }: NonNullable<ChatCompletionResponse["choices"]>[0]
  ) => {
    const content = message?.content ?? ""
    const first = !begun.has(index)
    begun.add(index)
    const delta = {
      ...(first ? { role: "assistant" } : {}),
      ...(content === "" && !first ? {} : { content }),
      ...(reasoning === undefined || reasoning === "" ? {} : { reasoning_content: reasoning })
    }
    return { index, delta, logprobs: null, finish_reason: finishReasonOf(finish_reason) }
  }

  return {
    write: (message: ChatCompletionResponse, taken: () => void) => {
      const { choices = [], created, id, model, usage } = message
      if (prefix === "") {
        response.writeHead(200, {
          ...headers,
          "Content-Type": "text/event-stream; charset=utf-8",
          // Proxies are not to collect what should arrive at once.
          "X-Accel-Buffering": "no"
        })
        const head = JSON.stringify({ id, object: "chat.completion.chunk", created: Number(created), model })
        prefix = `data: ${head.slice(0, -1)},"choices":`
      }
      const text = `${prefix}${JSON.stringify(choices.map(choiceOf))}${suffix}`
      const last = includeUsage && usage !== undefined && usage !== null
        ? `${prefix}[],"usage":${JSON.stringify(usageOf(usage))}}\n\n`
        : ""
      response.write(text + last, (error) => {
        if (error === undefined || error === null) taken()
      })
    }
  }
}
