/** Requests as they come over the wire: checked before an engine is asked, and turned into what it is asked. */
import * as Either from "effect/Either"
import * as GrpcError from "../grpc/GrpcError.js"
import type { ChatCompletionRequest__Output } from "../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { EmbeddingRequest__Output } from "../proto/generated/orchion/v1/EmbeddingRequest.js"

const roles = new Set(["system", "developer", "user", "assistant", "tool"])

/** Inputs of one request for embeddings. */
const maxInputs = 10_000

/** Options that are said by the request's own fields, or are not the caller's to say. */
const own = new Set(["model", "messages", "stream", "stream_options", "temperature", "max_tokens"])

const invalid = (details: string) => Either.left(GrpcError.fail(GrpcError.Status.INVALID_ARGUMENT, details))

const shown = (text: string) => JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)

const optionsOf = (text: string): Either.Either<Readonly<Record<string, unknown>>, GrpcError.GrpcError> => {
  if (text === "") return Either.right({})
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return invalid("the request's further options are not JSON")
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return invalid("the request's further options are no JSON object")
  }
  const options = parsed as Readonly<Record<string, unknown>>
  const mistaken = Object.keys(options).find((name) => own.has(name))
  return mistaken === undefined
    ? Either.right(options)
    : invalid(`the request's further options cannot say ${shown(mistaken)}`)
}

/** What an engine is asked. */
export interface EngineChat {
  readonly body: string
  /** How many its answer is to have. */
  readonly choices: number
}

/** What the engine is asked, as JSON: always for a stream, by which it is seen to work and can be cancelled. */
export const toEngine = (request: ChatCompletionRequest__Output): Either.Either<EngineChat, GrpcError.GrpcError> => {
  const { greedy, max_tokens, messages, model, temperature } = request
  if (model === "") return invalid("the request names no model")
  if (messages.length === 0) return invalid("the request has no messages")
  for (const [index, { role }] of messages.entries()) {
    if (!roles.has(role)) {
      return invalid(
        role === ""
          ? `message ${index + 1} has no role; give ${[...roles].join(", ")}`
          : `message ${index + 1} has the role ${shown(role)}; give ${[...roles].join(", ")}`
      )
    }
  }
  if (!Number.isFinite(temperature) || temperature < 0) {
    return invalid(`the temperature cannot be ${temperature}; give a number from 0 up`)
  }
  if (max_tokens < 0) return invalid(`max_tokens cannot be ${max_tokens}; give a number from 1 up, or 0 for no limit`)
  return Either.map(optionsOf(request.options_json), (options) => ({
    // Whether it can be that many is the engine's to say.
    choices: typeof options["n"] === "number" && Number.isInteger(options["n"]) ? options["n"] : 1,
    body: JSON.stringify({
      ...options,
      model,
      messages: messages.map(({ content, role }) => ({ role, content })),
      stream: true,
      stream_options: { include_usage: true },
      // A float of the wire has seven digits; the rest is noise of its conversion.
      ...(temperature > 0 || greedy ? { temperature: Number(temperature.toPrecision(7)) } : {}),
      ...(max_tokens > 0 ? { max_tokens } : {})
    })
  }))
}

export const validInput = (
  { input, model }: EmbeddingRequest__Output
): Either.Either<ReadonlyArray<string>, GrpcError.GrpcError> =>
  model === ""
    ? invalid("the request names no model")
    : input.length === 0
    ? invalid("the request has no input")
    : input.length > maxInputs
    ? invalid(`the request has ${input.length} inputs; no more than ${maxInputs} are taken at once`)
    : Either.right(input)
