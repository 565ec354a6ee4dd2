/** Answers and errors as OpenAI's clients read them. */
import type { ServerResponse } from "node:http"
import * as GrpcError from "../../grpc/GrpcError.js"
import type { ChatCompletionResponse } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"

const { Status } = GrpcError

export interface Refusal {
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

/** The body of an error. */
export const errorBody = (message: string, type: string, code: string | null = null, param: string | null = null) => ({
  error: { message, type, param, code }
})

/** Too large for the node: the request's fault, although gRPC says RESOURCE_EXHAUSTED. */
export const refusalOf = ({ code, details }: GrpcError.GrpcError): Refusal =>
  GrpcError.isTooLarge(code, details)
    ? { status: 413, type: "invalid_request_error", code: "request_too_large" }
    : refusals.get(code) ?? internal

const usageOf = ({ completion_tokens = 0, prompt_tokens = 0 }: NonNullable<ChatCompletionResponse["usage"]>) => ({
  prompt_tokens,
  completion_tokens,
  total_tokens: prompt_tokens + completion_tokens
})

const finishReasonOf = (reason: string | undefined): string | null =>
  reason === undefined || reason === "" ? null : reason

/** A whole chat completion. */
export const completionOf = ({ choices = [], created, id, model, usage }: ChatCompletionResponse) => ({
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

export interface ChatEventWriter {
  readonly write: (message: ChatCompletionResponse, taken: () => void) => void
  /** Says that the answer is still to come, in a comment: proxies and clients end connections on which nothing happens. */
  readonly comment: () => void
}

/** Writes messages as server-sent events; the headers go out with the first, when the status is known. */
export const eventsTo = (
  response: ServerResponse,
  headers: Readonly<Record<string, string>>,
  includeUsage: boolean
): ChatEventWriter => {
  const begun = new Set<number>()
  let prefix = ""
  const suffix = includeUsage ? `,"usage":null}\n\n` : "}\n\n"

  const begin = () => {
    if (response.headersSent) return
    response.writeHead(200, {
      ...headers,
      "Content-Type": "text/event-stream; charset=utf-8",
      // Proxies must not buffer the stream.
      "X-Accel-Buffering": "no"
    })
  }

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
    write: (message, taken) => {
      const { choices = [], created, id, model, usage } = message
      begin()
      if (prefix === "") {
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
    },
    comment: () => {
      // A reader that does not keep up needs no reminder.
      if (response.writableEnded || response.destroyed || response.writableNeedDrain) return
      begin()
      response.write(": waiting\n\n")
    }
  }
}
