/** The few questions that are asked of an engine to look after it. Inference has a client of its own. */
import * as http from "node:http"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"

/** The engine did not answer, or not in time. */
export class EngineSilent extends Data.TaggedError("EngineSilent")<{
  /** In a few words: `connection refused`. */
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

/** More than any answer that is asked for here. */
const maxBytes = 8 * 1024 * 1024

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens on its port yet",
  ECONNRESET: "it closed the connection",
  EPIPE: "it closed the connection",
  ETIMEDOUT: "no answer"
}

const reasonOf = (error: Error): string =>
  ("code" in error && typeof error.code === "string" ? reasons[error.code] : undefined) ?? error.message

const open = ({ apiKey, body, method, url }: Question): http.ClientRequest => {
  const payload = body === undefined ? undefined : JSON.stringify(body)
  const request = http.request(url, {
    method,
    // One connection a question: those that are kept would outlive the container behind the port.
    agent: false,
    headers: {
      ...(payload === undefined
        ? {}
        : { "content-type": "application/json", "content-length": Buffer.byteLength(payload) }),
      ...(apiKey === undefined ? {} : { authorization: `Bearer ${Redacted.value(apiKey)}` })
    }
  })
  request.end(payload)
  return request
}

/** Asks, and reads the whole answer. */
export const ask = (question: Question, deadline: Duration.DurationInput): Effect.Effect<Reply, EngineSilent> =>
  Effect.async<Reply, EngineSilent>((resume) => {
    const request = open(question)
    const fail = (error: Error) => resume(Effect.fail(new EngineSilent({ reason: reasonOf(error) })))
    request.on("error", fail)
    request.on("response", (response) => {
      const chunks: Array<Buffer> = []
      let size = 0
      response.on("error", fail)
      response.on("data", (chunk: Buffer) => {
        size += chunk.length
        if (size > maxBytes) request.destroy(new Error("its answer has no end"))
        else chunks.push(chunk)
      })
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }))
      )
    })
    return Effect.sync(() => request.destroy())
  }).pipe(
    Effect.timeoutFail({
      duration: deadline,
      onTimeout: () =>
        new EngineSilent({ reason: `no answer within ${Math.round(Duration.toSeconds(deadline) * 10) / 10} s` })
    })
  )

/**
 * Asks, and hands out the answer's lines as they come; the connection is closed with the scope. `next` answers with
 * `undefined` at the end.
 */
export const lines = (
  question: Question
): Effect.Effect<
  { readonly status: number; readonly next: Effect.Effect<string | undefined, EngineSilent> },
  EngineSilent,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const request = yield* Effect.acquireRelease(
      Effect.sync(() => open(question)),
      (request) =>
        Effect.sync(() => {
          // An error that comes after the end is of no interest, but without a listener it would be fatal.
          request.on("error", () => {})
          request.destroy()
        })
    )
    const response = yield* Effect.async<http.IncomingMessage, EngineSilent>((resume) => {
      request.on("error", (error) => resume(Effect.fail(new EngineSilent({ reason: reasonOf(error) }))))
      request.once("response", (response) => resume(Effect.succeed(response)))
    })
    const iterator = split(response)
    return {
      status: response.statusCode ?? 0,
      next: Effect.map(
        Effect.tryPromise({
          try: () => iterator.next(),
          catch: (error) =>
            new EngineSilent({ reason: error instanceof Error ? reasonOf(error) : "it closed the connection" })
        }),
        ({ done, value }) => done === true ? undefined : value
      )
    }
  })

async function* split(response: http.IncomingMessage): AsyncGenerator<string, undefined> {
  response.setEncoding("utf8")
  let rest = ""
  for await (const chunk of response) {
    rest += chunk as string
    if (rest.length > maxBytes) throw new Error("its answer has a line without an end")
    const parts = rest.split("\n")
    rest = parts.pop() ?? ""
    for (const line of parts) if (line.trim() !== "") yield line
  }
  if (rest.trim() !== "") yield rest
  return undefined
}
