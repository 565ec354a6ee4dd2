/** Requests to an engine for supervision. Inference has its own client. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as HttpClient from "../net/HttpClient.js"

/** The engine did not answer, or not in time. */
export class EngineUnreachable extends Data.TaggedError("EngineUnreachable")<{
  /** In a few words, for after a colon: `nothing listens on its port yet`. */
  readonly reason: string
}> {
  override get message(): string {
    return this.reason
  }
}

export interface Reply {
  readonly status: number
  readonly body: string
}

export interface Question {
  readonly method: "GET" | "POST"
  readonly url: string
  readonly apiKey?: Redacted.Redacted<string> | undefined
  /** Sent as JSON. */
  readonly body?: unknown
}

/** The largest answer, and the longest line of one. */
const maxBytes = 8 * 1024 * 1024

/** Until the answer to a question that streams its lines begins. */
const linesDeadline = Duration.minutes(2)

const silent = ({ code, reason }: HttpClient.HttpFailed) =>
  new EngineUnreachable({ reason: code === "ECONNREFUSED" ? "nothing listens on its port yet" : reason })

const requestOf = ({ apiKey, body, method, url }: Question): HttpClient.HttpRequest => ({
  method,
  url,
  headers: {
    ...(body === undefined ? {} : { "content-type": "application/json" }),
    ...(apiKey === undefined ? {} : { authorization: `Bearer ${Redacted.value(apiKey)}` })
  },
  body: body === undefined ? undefined : JSON.stringify(body)
})

/** Sends a request and reads the whole answer: at most 8 MiB. */
export const ask = Effect.fn("EngineHttp.ask")(
  (question: Question, deadline: Duration.DurationInput): Effect.Effect<Reply, EngineUnreachable> =>
    Effect.mapError(HttpClient.send(requestOf(question), { deadline, maxBytes }), silent)
)

/**
 * Sends a request and yields the answer's lines as they arrive, without blank ones; the connection is closed with the
 * scope. `next` returns `undefined` at the end.
 */
export const lines = (
  question: Question
): Effect.Effect<
  { readonly status: number; readonly next: Effect.Effect<string | undefined, EngineUnreachable> },
  EngineUnreachable,
  Scope.Scope
> =>
  Effect.map(
    Effect.mapError(HttpClient.open(requestOf(question), { deadline: linesDeadline }), silent),
    ({ lines, status }) => ({ status, next: Effect.mapError(lines(maxBytes), silent) })
  )
