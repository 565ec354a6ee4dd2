/** How a request to an engine fails. */
import * as Data from "effect/Data"

export type EngineErrorKind =
  /** No connection, or it broke off: the engine is gone, or going. */
  | "unreachable"
  /** The engine wants no more requests now. */
  | "overloaded"
  /** The engine finds fault with the request. */
  | "rejected"
  /** The engine does not have the model. */
  | "unknown-model"
  /** The engine wants a key, or another one. */
  | "unauthorized"
  /** The engine could not do it. */
  | "failed"
  /** The answer ended before it was complete. */
  | "cut-off"
  /** The answer is none that this client understands. */
  | "garbled"

export class EngineError extends Data.TaggedError("EngineError")<{
  readonly kind: EngineErrorKind
  /** In the engine's own words where it has said something, on one line. */
  readonly reason: string
}> {
  override get message(): string {
    return this.reason
  }
}

const maxReason = 500

/** What a peer wrote, on one line and not too long. */
export const oneLine = (text: string): string => {
  const line = text.replace(/[\s\p{Cc}]+/gu, " ").trim()
  return line.length > maxReason ? `${line.slice(0, maxReason)}…` : line
}

const kindOfStatus = (status: number): EngineErrorKind =>
  status === 429 || status === 503
    ? "overloaded"
    : status === 404
    ? "unknown-model"
    : status === 401 || status === 403
    ? "unauthorized"
    : status >= 400 && status < 500
    ? "rejected"
    : status === 502 || status === 504
    ? "unreachable"
    : "failed"

const record = (value: unknown): Readonly<Record<string, unknown>> | undefined =>
  typeof value === "object" && value !== null ? value as Readonly<Record<string, unknown>> : undefined

/**
 * What the engine says is wrong. vLLM and OpenAI write `{"error": {"message": …, "code": 400}}`, older ones of vLLM
 * `{"message": …}`, Ollama `{"error": "…"}`, and FastAPI `{"detail": …}`.
 */
export const saidIn = (body: unknown): { readonly text: string; readonly code: number | undefined } => {
  const whole = record(body)
  const error = record(whole?.["error"])
  const text = [error?.["message"], whole?.["error"], whole?.["message"], whole?.["detail"]]
    .find((value) => typeof value === "string" && value !== "")
  const code = Number(error?.["code"] ?? whole?.["code"] ?? Number.NaN)
  const said = text ?? whole?.["detail"] ?? whole?.["error"] ?? ""
  return {
    text: oneLine(typeof said === "string" ? said : JSON.stringify(said)),
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
  const said = parsed === undefined ? oneLine(body.replace(/<[^>]*>/g, " ")) : saidIn(parsed).text
  return new EngineError({ kind: kindOfStatus(status), reason: said === "" ? `status ${status}` : said })
}

/** An error that stands where an event of the answer should. */
export const ofEvent = (event: unknown): EngineError => {
  const { code, text } = saidIn(event)
  return new EngineError({
    kind: code === undefined ? "failed" : kindOfStatus(code),
    reason: text === "" ? "it broke off with an error that it does not describe" : text
  })
}

const systemReasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens on its port",
  ECONNRESET: "it closed the connection",
  EPIPE: "it closed the connection",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no way there",
  ENETUNREACH: "no way there"
}

/** What Node says of a connection that failed. */
export const ofConnection = (error: Error): EngineError => {
  const code = "code" in error && typeof error.code === "string" ? error.code : ""
  return new EngineError({
    kind: code.startsWith("HPE_") ? "garbled" : "unreachable",
    reason: code.startsWith("HPE_") ? "what it answers is not HTTP" : systemReasons[code] ?? oneLine(error.message)
  })
}
