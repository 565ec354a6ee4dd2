/**
 * A client of OpenAI's API as engines speak it. Chats use callbacks: a Stream would cost more per token than everything
 * else.
 */
import type { IncomingMessage } from "node:http"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { guarded } from "../effect/Callback.js"
import * as ChatEvents from "./ChatEvents.js"
import * as Embeddings from "./Embeddings.js"
import * as EngineConnections from "./EngineConnections.js"
import * as EngineError from "./EngineError.js"

/** A chat in flight. */
export interface ChatCall {
  /** Nothing more is read from the engine, which slows it, until `resume`. */
  readonly pause: () => void
  readonly resume: () => void
  /** Closes the connection, which cancels the request inside the engine; the listener is not called again. */
  readonly cancel: () => void
}

export interface ChatOptions {
  /** The request as JSON; it must ask for a stream. */
  readonly body: string
  /** How many choices it asks for. */
  readonly choices: number
}

export interface OpenAiClient {
  /** Asks for a streamed answer. The listener is not called before this returns, and none of its calls may throw. */
  readonly chat: (target: EngineConnections.Target, options: ChatOptions, listener: ChatEvents.ChatListener) => ChatCall
  readonly embeddings: (
    target: EngineConnections.Target,
    model: string,
    input: ReadonlyArray<string>
  ) => Effect.Effect<Embeddings.Embeddings, EngineError.EngineError>
}

/** The limit of an engine's explanation of an error, in bytes. */
const maxErrorBytes = 64 * 1024
/** How long an engine may take to explain an error that it has announced. */
const errorMillis = 2_000
/** An answer with embeddings: some 16,000 numbers for each input, as JSON. */
const embeddingBytes = 512 * 1024
const maxEmbeddingsBytes = 256 * 1024 * 1024

const isJson = (response: IncomingMessage) => /^application\/json\b/i.test(response.headers["content-type"] ?? "")

/** A whole JSON where events were asked for: an error, if the engine says so. */
const ofJson = (body: string): EngineError.EngineError => {
  try {
    const parsed: unknown = JSON.parse(body)
    if (typeof parsed === "object" && parsed !== null && EngineError.isInBand(parsed)) {
      return EngineError.ofEvent(parsed)
    }
  } catch {
    // Reported below.
  }
  return EngineError.make("invalid-response", "it does not stream its answer")
}

const chat =
  (connections: EngineConnections.EngineConnections, now: () => number): OpenAiClient["chat"] =>
  (target, { body, choices }, listener) => {
    let response: IncomingMessage | undefined
    let isPaused = false
    let isOver = false
    const fail = (error: EngineError.EngineError) => {
      if (isOver) return
      isOver = true
      exchange.cancel()
      listener.failed(error)
    }
    const failWith = (cause: unknown) => fail(EngineError.ofDefect(cause))
    const events = ChatEvents.make({
      delta: (index, content, reasoning) => {
        if (!isOver) listener.delta(index, content, reasoning)
      },
      done: (end) => {
        if (isOver) return
        isOver = true
        // The connection can be used again once the little that may follow was read.
        response?.resume()
        listener.done(end)
      },
      failed: fail
    }, { choices, now })

    const readError = (incoming: IncomingMessage, status: number) => {
      const late = setTimeout(() => incoming.destroy(), errorMillis)
      EngineConnections.readAll(
        incoming,
        maxErrorBytes,
        guarded(({ bytes }: EngineConnections.Body) => {
          clearTimeout(late)
          const text = bytes.toString("utf8")
          fail(status === 200 ? ofJson(text) : EngineError.ofStatus(status, text))
        }, failWith)
      )
    }

    const exchange = connections.post(target, "/v1/chat/completions", body, {
      failed: fail,
      response: (incoming) => {
        response = incoming
        const status = incoming.statusCode ?? 0
        if (status !== 200 || isJson(incoming)) return readError(incoming, status)
        incoming.on("data", guarded(events.push, failWith))
        incoming.on("end", guarded(events.end, failWith))
        incoming.on(
          "close",
          guarded(() => {
            if (events.isWhole()) events.end()
            else fail(EngineError.make("unreachable", "the connection to it broke"))
          }, failWith)
        )
        if (isPaused) incoming.pause()
      }
    })
    return {
      pause: () => {
        isPaused = true
        response?.pause()
      },
      resume: () => {
        isPaused = false
        response?.resume()
      },
      cancel: () => {
        isOver = true
        exchange.cancel()
      }
    }
  }

/** The embeddings that an answer with status 200 holds. */
const embeddingsIn = (body: string, count: number): Either.Either<Embeddings.Embeddings, EngineError.EngineError> => {
  let parsed: unknown
  try {
    parsed = JSON.parse(body)
  } catch {
    return Either.left(EngineError.make("invalid-response", "its answer is not JSON"))
  }
  if (typeof parsed !== "object" || parsed === null) {
    return Either.left(EngineError.make("invalid-response", "its answer is no JSON object"))
  }
  if (EngineError.isInBand(parsed)) return Either.left(EngineError.ofEvent(parsed))
  const { data, usage } = parsed as { readonly data?: unknown; readonly usage?: unknown }
  return Either.mapBoth(Embeddings.inOrder(data, count), {
    onLeft: (problem) => EngineError.make("invalid-response", `its answer ${problem}`),
    onRight: (embeddings) => ({ embeddings, promptTokens: ChatEvents.usageOf(usage)?.promptTokens ?? 0 })
  })
}

const ofBody = ({ bytes, end }: EngineConnections.Body, count: number) =>
  end === "too-large"
    ? Either.left(EngineError.make("too-large", `its answer is too large for ${count} embeddings`))
    : end === "broken"
    ? Either.left(
      EngineError.make(
        "incomplete",
        bytes.length > 0 ? "the answer ended before it was complete" : "the connection to it broke"
      )
    )
    : embeddingsIn(bytes.toString("utf8"), count)

const embeddings =
  (connections: EngineConnections.EngineConnections): OpenAiClient["embeddings"] => (target, model, input) =>
    Effect.async((resume) => {
      const fail = (error: EngineError.EngineError) => resume(Effect.fail(error))
      const body = JSON.stringify({ model, input, encoding_format: "float" })
      const maxBytes = Math.min(maxEmbeddingsBytes, maxErrorBytes + input.length * embeddingBytes)
      const exchange = connections.post(target, "/v1/embeddings", body, {
        failed: fail,
        response: (incoming) =>
          EngineConnections.readAll(
            incoming,
            maxBytes,
            guarded((body: EngineConnections.Body) => {
              const status = incoming.statusCode ?? 0
              resume(
                status === 200
                  ? ofBody(body, input.length)
                  : Effect.fail(EngineError.ofStatus(status, body.bytes.subarray(0, maxErrorBytes).toString("utf8")))
              )
            }, (cause) => fail(EngineError.ofDefect(cause)))
          )
      })
      return Effect.sync(exchange.cancel)
    })

/** Its connections are closed with the scope. */
export const make: Effect.Effect<OpenAiClient, never, Scope.Scope> = Effect.gen(function*() {
  const clock = yield* Effect.clock
  const connections = yield* EngineConnections.make
  return {
    chat: chat(connections, () => clock.unsafeCurrentTimeMillis()),
    embeddings: embeddings(connections)
  }
})
