/** Requests from the wire: validated, and translated into the engine's JSON. */
import * as Either from "effect/Either"
import { maxChoices } from "../chat/AnswerProgress.js"
import { chatFields } from "../chat/ChatFields.js"
import * as ModelName from "../chat/ModelName.js"
import * as GrpcError from "../grpc/GrpcError.js"
import type { ChatCompletionRequest__Output } from "../proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { EmbeddingRequest__Output } from "../proto/generated/orchion/v1/EmbeddingRequest.js"
import { quoted } from "./EngineRoute.js"

const roles = new Set(["system", "developer", "user", "assistant", "tool"])

/** Inputs of one request for embeddings. */
const maxInputs = 10_000

/** A request to an engine. */
export interface EngineChat {
  /** The request as JSON, with the engine's own name for the model. */
  readonly bodyFor: (model: string) => string
  /** How many choices the answer is to have. */
  readonly choices: number
}

type Options = Readonly<Record<string, unknown>>
type Checked<A> = Either.Either<A, GrpcError.GrpcError>

const invalid = (details: string) => Either.left(GrpcError.fail(GrpcError.Status.INVALID_ARGUMENT, details))

const checkModel = (model: string): Checked<void> =>
  model === ""
    ? invalid("the request names no model")
    : model.length > ModelName.maxLength
    ? invalid(`the model's name has ${model.length} characters; give at most ${ModelName.maxLength}`)
    : Either.void

const checkMessages = ({ messages }: ChatCompletionRequest__Output): Checked<void> => {
  if (messages.length === 0) return invalid("the request has no messages")
  const at = messages.findIndex(({ role }) => !roles.has(role))
  const role = messages[at]?.role
  if (role === undefined) return Either.void
  const problem = role === "" ? "has no role" : `has the role ${quoted(role)}`
  return invalid(`message ${at + 1} ${problem}; give ${[...roles].join(", ")}`)
}

const checkNumbers = ({ max_tokens, temperature }: ChatCompletionRequest__Output): Checked<void> =>
  !Number.isFinite(temperature) || temperature < 0
    ? invalid(`the temperature cannot be ${temperature}; give a number from 0 up`)
    : max_tokens < 0
    ? invalid(`max_tokens cannot be ${max_tokens}; give a number from 1 up, or 0 for no limit`)
    : Either.void

/** The options that have no field of their own in the request. */
const optionsOf = (text: string): Checked<Options> => {
  if (text === "") return Either.right({})
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    return invalid("options_json is not JSON")
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return invalid("options_json is no JSON object")
  }
  const options = parsed as Options
  const name = Object.keys(options).find((name) => chatFields.has(name))
  if (name !== undefined) return invalid(`options_json cannot hold ${quoted(name)}, which has a field of its own`)
  return Either.right(options)
}

/** The engine decides whether it supports that many; here each costs a bounded amount of memory. */
const choicesOf = ({ n }: Options): Checked<number> =>
  typeof n !== "number" || !Number.isInteger(n)
    ? Either.right(1)
    : n > maxChoices
    ? invalid(`n cannot be ${n}; give a number up to ${maxChoices}`)
    : Either.right(n)

/** Halves of surrogate pairs, as `JSON.stringify` writes them: engines fail where they meet one. */
const loneSurrogate = /(?<!\\)((?:\\\\)*)\\ud[89a-f][0-9a-f]{2}/g

/** The options as the end of an object that has other members before them. */
const restOf = (options: Options): string => {
  const json = JSON.stringify(options)
  const rest = json.includes("\\ud") ? json.replace(loneSurrogate, "$1\ufffd") : json
  return rest === "{}" ? "}" : `,${rest.slice(1)}`
}

/** What the engine is asked: always for a stream, so that its progress is seen and it can be cancelled. */
export const toEngine = (request: ChatCompletionRequest__Output): Checked<EngineChat> =>
  Either.gen(function*() {
    yield* checkModel(request.model)
    yield* checkMessages(request)
    yield* checkNumbers(request)
    const options = yield* optionsOf(request.options_json)
    const choices = yield* choicesOf(options)
    const { greedy, max_tokens, messages, temperature } = request
    const body = {
      messages: messages.map(({ content, role }) => ({ role, content: content.toWellFormed() })),
      stream: true,
      stream_options: { include_usage: true },
      // A float on the wire has seven significant digits; the rest is conversion noise.
      ...(temperature > 0 || greedy ? { temperature: Number(temperature.toPrecision(7)) } : {}),
      ...(max_tokens > 0 ? { max_tokens } : {})
    }
    // Too deep nesting fails here, where it is still the request's fault.
    const rest = yield* Either.try({
      try: () => `${JSON.stringify(body).slice(1, -1)}${restOf(options)}`,
      catch: () => GrpcError.fail(GrpcError.Status.INVALID_ARGUMENT, "options_json is nested too deeply")
    })
    return { choices, bodyFor: (model) => `{"model":${JSON.stringify(model.toWellFormed())},${rest}` }
  })

export const validInput = ({ input, model }: EmbeddingRequest__Output): Checked<ReadonlyArray<string>> =>
  Either.flatMap(checkModel(model), () =>
    input.length === 0
      ? invalid("the request has no input")
      : input.length > maxInputs
      ? invalid(`the request has ${input.length} inputs; give at most ${maxInputs}`)
      : Either.right(input.map((text) => text.toWellFormed())))
