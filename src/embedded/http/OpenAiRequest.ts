/** Translates requests of OpenAI's API into the wire's. */
import * as Either from "effect/Either"
import { chatFields } from "../../chat/ChatFields.js"
import type { ChatCompletionRequest } from "../../proto/generated/orchion/v1/ChatCompletionRequest.js"

/** What is wrong with a request, and which part of it. */
export interface Mistake {
  readonly message: string
  readonly param: string | null
}

export interface ChatAsked {
  readonly request: ChatCompletionRequest & { readonly model: string }
  readonly stream: boolean
  /** Whether the stream ends with the token counts. */
  readonly includeUsage: boolean
}

export interface EmbeddingsAsked {
  readonly model: string
  readonly input: ReadonlyArray<string>
  readonly base64: boolean
}

type Json = Readonly<Record<string, unknown>>

const mistake = (message: string, param: string | null = null) => Either.left<Mistake>({ message, param })

const isRecord = (value: unknown): value is Json => typeof value === "object" && value !== null && !Array.isArray(value)

const parse = (body: string): Either.Either<Json, Mistake> => {
  let parsed: unknown
  try {
    // Windows' editors and shells put a byte order mark before a file's text.
    parsed = JSON.parse(body.startsWith("\uFEFF") ? body.slice(1) : body)
  } catch {
    return mistake(body.trim() === "" ? "the request has no body; send JSON" : "the request's body is not JSON")
  }
  return isRecord(parsed) ? Either.right(parsed) : mistake("the request's body is not a JSON object")
}

const model = ({ model }: Json): Either.Either<string, Mistake> =>
  typeof model === "string" && model !== ""
    ? Either.right(model)
    : mistake("name a model: GET /v1/models lists those that are served", "model")

const contentOf = (content: unknown, where: string): Either.Either<string, Mistake> => {
  if (typeof content === "string") return Either.right(content)
  if (content === null || content === undefined) return Either.right("")
  if (!Array.isArray(content)) return mistake("a message's content is a text, or a list of parts", where)
  const texts: Array<string> = []
  for (const part of content) {
    if (!isRecord(part) || part["type"] !== "text" || typeof part["text"] !== "string") {
      return mistake("of a message's parts, only those of the type text can be relayed", where)
    }
    texts.push(part["text"])
  }
  return Either.right(texts.join(""))
}

/** Options whose effect on the answer cannot be relayed: they are refused, not silently dropped. */
const unsupported: ReadonlyArray<readonly [name: string, used: (value: unknown) => boolean]> = [
  ["tools", (value) => Array.isArray(value) && value.length > 0],
  ["functions", (value) => Array.isArray(value) && value.length > 0],
  ["logprobs", (value) => value === true],
  ["audio", () => true]
]

/** Fields of a message that change the answer. Others (`name`, `refusal`, `annotations`) are hints that engines ignore. */
const notRelayed = new Set(["tool_calls", "tool_call_id", "function_call", "audio"])

/** Fields that have their own in the wire's request, and those of no meaning without what is not supported. */
const own = new Set([
  ...chatFields,
  "tools",
  "functions",
  "tool_choice",
  "function_call",
  "parallel_tool_calls",
  "logprobs"
])

const numberOf = (value: unknown, name: string): Either.Either<number | undefined, Mistake> =>
  value === undefined || value === null
    ? Either.right(undefined)
    : typeof value === "number"
    ? Either.right(value)
    : mistake(`${name} is a number`, name)

export const chat = (body: string): Either.Either<ChatAsked, Mistake> =>
  Either.gen(function*() {
    const json = yield* parse(body)
    const named = yield* model(json)
    const given = json["messages"]
    if (!Array.isArray(given) || given.length === 0) {
      return yield* mistake("give messages: a list of objects with a role and a content", "messages")
    }
    const messages: Array<{ role: string; content: string }> = []
    for (const [index, message] of given.entries()) {
      const where = `messages[${index}]`
      if (!isRecord(message) || typeof message["role"] !== "string") {
        return yield* mistake("a message is an object with a role and a content", where)
      }
      if (message["role"] === "tool" || message["role"] === "function") {
        return yield* mistake("calls of tools cannot be relayed, nor can what came of them", `${where}.role`)
      }
      for (const [name, value] of Object.entries(message)) {
        if (notRelayed.has(name) && value !== null && !(Array.isArray(value) && value.length === 0)) {
          return yield* mistake(`a message's ${name} cannot be relayed; leave it out`, `${where}.${name}`)
        }
      }
      messages.push({ role: message["role"], content: yield* contentOf(message["content"], `${where}.content`) })
    }
    for (const [name, used] of unsupported) {
      const value = json[name]
      if (value !== undefined && value !== null && used(value)) {
        return yield* mistake(`${name} cannot be relayed; leave it out`, name)
      }
    }
    const temperature = yield* numberOf(json["temperature"], "temperature")
    const limit = json["max_completion_tokens"] ?? json["max_tokens"]
    const maxTokens = yield* numberOf(limit, "max_tokens")
    if (maxTokens !== undefined && (!Number.isInteger(maxTokens) || maxTokens < 1 || maxTokens > 2 ** 31 - 1)) {
      return yield* mistake(`max_tokens cannot be ${maxTokens}; give a whole number from 1 up`, "max_tokens")
    }
    if (temperature !== undefined && (temperature < 0 || temperature > 2)) {
      return yield* mistake(`temperature cannot be ${temperature}; give a number from 0 to 2`, "temperature")
    }
    const { stream, stream_options: streamOptions } = json
    if (stream !== undefined && stream !== null && typeof stream !== "boolean") {
      return yield* mistake("stream is true or false", "stream")
    }
    const options = Object.entries(json).filter(([name, value]) => !own.has(name) && value !== null)
    const optionsJson = yield* Either.try({
      try: () => JSON.stringify(Object.fromEntries(options)),
      // Writing recurses where reading does not.
      catch: (): Mistake => ({ message: "the request's options are nested too deeply", param: null })
    })
    return {
      stream: stream === true,
      includeUsage: isRecord(streamOptions) && streamOptions["include_usage"] === true,
      request: {
        model: named,
        messages,
        stream: stream === true,
        ...(temperature === undefined ? {} : { temperature, greedy: temperature === 0 }),
        ...(maxTokens === undefined ? {} : { max_tokens: maxTokens }),
        ...(options.length === 0 ? {} : { options_json: optionsJson })
      }
    }
  })

export const embeddings = (body: string): Either.Either<EmbeddingsAsked, Mistake> =>
  Either.gen(function*() {
    const json = yield* parse(body)
    const named = yield* model(json)
    const { dimensions, encoding_format: encoding = "float", input } = json
    const texts = typeof input === "string" ? [input] : input
    if (!Array.isArray(texts) || texts.length === 0) {
      return yield* mistake("give input: a text, or a list of texts", "input")
    }
    if (!texts.every((text) => typeof text === "string")) {
      return yield* mistake("input is a text, or a list of texts; tokens cannot be relayed", "input")
    }
    if (encoding !== "float" && encoding !== "base64" && encoding !== null) {
      return yield* mistake("encoding_format is float or base64", "encoding_format")
    }
    if (dimensions !== undefined && dimensions !== null) {
      return yield* mistake("dimensions cannot be relayed; leave it out", "dimensions")
    }
    return { model: named, input: texts, base64: encoding === "base64" }
  })
