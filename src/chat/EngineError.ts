/** How a request to an engine fails. */
import * as Data from "effect/Data"
import * as Printable from "../text/Printable.js"
import * as SystemError from "../text/SystemError.js"

/** These reach metrics and the orchestrator, by name. */
export type EngineErrorKind =
  /** No connection, or it broke: the engine stopped, or is stopping. */
  | "unreachable"
  /** The engine accepts no more requests now. */
  | "overloaded"
  /** The engine rejected the request. */
  | "invalid-request"
  /** The engine does not have the model. */
  | "unknown-model"
  /** The engine requires an API key, or rejected the given one. */
  | "unauthorized"
  /** The engine failed. */
  | "failed"
  /** The answer ended before it was whole. */
  | "incomplete"
  /** The answer is not valid. */
  | "invalid-response"
  /** The answer is larger than what is accepted. */
  | "too-large"
  /** The engine sent nothing for too long. */
  | "stalled"
  /** A defect of this program. */
  | "internal"

export class EngineError extends Data.TaggedError("EngineError")<{
  readonly kind: EngineErrorKind
  /** In the engine's own words where it gave some, on one line, at most 500 characters. */
  readonly reason: string
  /** Of kind `internal`: what was thrown. */
  readonly cause?: unknown
}> {
  override get message(): string {
    return this.reason
  }
}

export const make = (kind: EngineErrorKind, reason: string): EngineError => new EngineError({ kind, reason })

/** What was thrown where nothing should be. */
export const ofDefect = (cause: unknown): EngineError =>
  new EngineError({ kind: "internal", reason: "an error within the agent, which its log describes", cause })

const kindOfStatus = (status: number): EngineErrorKind =>
  status === 429 || status === 503
    ? "overloaded"
    : status === 404
    ? "unknown-model"
    : status === 401 || status === 403
    ? "unauthorized"
    : status >= 400 && status < 500
    ? "invalid-request"
    : status === 502 || status === 504
    ? "unreachable"
    : "failed"

const record = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : undefined

const json = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    // Nested deeper than the stack is.
    return ""
  }
}

/**
 * What the engine says is wrong. vLLM and OpenAI write `{"error": {"message": …, "code": 400}}`, older vLLMs
 * `{"object": "error", "message": …}`, Ollama `{"error": "…"}`, and FastAPI `{"detail": …}`.
 */
const explanationIn = (body: unknown): { readonly text: string; readonly code: number | undefined } => {
  const whole = record(body)
  const error = record(whole?.["error"])
  const text = [error?.["message"], whole?.["error"], whole?.["message"], whole?.["detail"]]
    .find((value) => typeof value === "string" && value !== "")
  const said = text ?? whole?.["detail"] ?? whole?.["error"] ?? ""
  const given = error?.["code"] ?? whole?.["code"]
  const code = typeof given === "number" || typeof given === "string" ? Number(given) : Number.NaN
  return {
    text: Printable.oneLine(typeof said === "string" ? said : json(said)),
    code: Number.isInteger(code) && code >= 400 && code < 600 ? code : undefined
  }
}

/** An answer with a status other than 200. */
export const ofStatus = (status: number, body: string): EngineError => {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    parsed = undefined
  }
  const said = parsed === undefined
    ? Printable.oneLine(body.slice(0, 8_192).replace(/<[^<>]*>/g, " "))
    : explanationIn(parsed).text
  return make(kindOfStatus(status), said === "" ? `HTTP status ${status}` : said)
}

/** An error that stands where an event of the answer, or the answer, should. */
export const ofEvent = (event: unknown): EngineError => {
  const { code, text } = explanationIn(event)
  return make(
    code === undefined ? "failed" : kindOfStatus(code),
    text === "" ? "it reported an error without a description" : text
  )
}

/** Whether an event or an answer is an error: engines and agents in the field write it in band, with status 200. */
export const isInBand = (value: { readonly error?: unknown; readonly object?: unknown }): boolean =>
  (value.error !== undefined && value.error !== null) || value.object === "error"

const words: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens on its port",
  ECONNRESET: "it closed the connection",
  EPIPE: "it closed the connection"
}

/** What Node reports for a connection that failed. */
export const ofConnection = (error: Error): EngineError =>
  SystemError.codeOf(error)?.startsWith("HPE_") === true
    ? make("invalid-response", "it does not speak HTTP")
    : make("unreachable", Printable.oneLine(SystemError.describe(error, words)))
