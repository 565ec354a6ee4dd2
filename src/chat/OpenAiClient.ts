/**
 * OpenAI's API as the engines speak it, over connections that are kept. Chats are handed over by callbacks: a Stream
 * would cost more for each token than everything else that is done with it.
 */
import * as http from "node:http"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as ChatEvents from "./ChatEvents.js"
import * as EngineError from "./EngineError.js"

/** Who is asked. */
export interface Target {
  /** Without a slash at the end: `http://127.0.0.1:8000`. */
  readonly baseUrl: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
}

/** A chat that runs. */
export interface ChatCall {
  /** Nothing more is read from the engine, which slows it, until `resume`. */
  readonly pause: () => void
  readonly resume: () => void
  /** Closes the connection at once, by which the engine knows; the listener hears no more. */
  readonly cancel: () => void
}

export interface Embeddings {
  /** In the order of the input. */
  readonly embeddings: ReadonlyArray<ReadonlyArray<number>>
  readonly promptTokens: number
}

export interface OpenAiClient {
  /** Asks for a streamed answer; `body` is the request as JSON, `choices` how many it asks for. */
  readonly chat: (target: Target, body: string, listener: ChatEvents.ChatListener, choices: number) => ChatCall
  readonly embeddings: (
    target: Target,
    model: string,
    input: ReadonlyArray<string>
  ) => Effect.Effect<Embeddings, EngineError.EngineError>
}

/** Of what an engine says about an error. */
const maxErrorBytes = 64 * 1024
/** How long an engine may take to say what is wrong, once it has said that something is. */
const errorMillis = 2_000
/** Of an answer with embeddings: a thousand of them with 4,096 numbers each are some 80 MB. */
const maxEmbeddingsBytes = 256 * 1024 * 1024

/** Less than the 5 s after which vLLM closes a connection that nobody uses. */
const idleMillis = 4_000

interface Post {
  readonly options: http.RequestOptions
  readonly body: string
}

/** Reading an address takes longer than sending to it; there are as many as engines. */
const places = new Map<string, { readonly host: string; readonly port: string; readonly prefix: string }>()

const placeOf = (baseUrl: string) => {
  const known = places.get(baseUrl)
  if (known !== undefined) return known
  const { hostname, pathname, port } = new URL(baseUrl)
  const place = {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? "80" : port,
    prefix: pathname.replace(/\/$/, "")
  }
  // An engine that was given a new port leaves its old one behind.
  if (places.size >= 64) places.clear()
  places.set(baseUrl, place)
  return place
}

const postTo = ({ apiKey, baseUrl }: Target, path: string, body: string): Post => {
  const { host, port, prefix } = placeOf(baseUrl)
  return { body, options: { method: "POST", host, port, path: `${prefix}${path}`, headers: headersOf(apiKey, body) } }
}

const headersOf = (apiKey: Target["apiKey"], body: string) => ({
  "content-type": "application/json",
  "content-length": Buffer.byteLength(body),
  ...(apiKey === undefined ? {} : { authorization: `Bearer ${Redacted.value(apiKey)}` })
})

interface PostListener {
  readonly response: (response: http.IncomingMessage) => void
  readonly failed: (error: Error) => void
}

/** Sends it once more when the kept connection turns out to have been closed: the engine has not seen it then. */
const post = (agent: http.Agent, { body, options }: Post, { failed, response }: PostListener) => {
  let current: http.ClientRequest
  let answered = false
  const send = (first: boolean) => {
    const request = http.request({ ...options, agent: first ? agent : false })
    current = request
    request.on("error", (error) => {
      if (answered || request !== current) return
      const code = "code" in error ? error.code : undefined
      if (first && request.reusedSocket && (code === "ECONNRESET" || code === "EPIPE")) return send(false)
      failed(error)
    })
    request.on("response", (incoming) => {
      answered = true
      response(incoming)
    })
    request.end(body)
  }
  send(true)
  return () => {
    // What a request that is destroyed reports then is of no interest.
    answered = true
    current.destroy()
  }
}

const isJson = (response: http.IncomingMessage) => /^application\/json\b/i.test(response.headers["content-type"] ?? "")

/** The whole of an answer, or its beginning when it has no end. */
const readAll = (response: http.IncomingMessage, most: number, whole: (body: Buffer, complete: boolean) => void) => {
  const chunks: Array<Buffer> = []
  let size = 0
  let over = false
  const finish = (complete: boolean) => {
    if (over) return
    over = true
    whole(Buffer.concat(chunks), complete)
  }
  response.on("data", (chunk: Buffer) => {
    size += chunk.length
    if (size <= most) return void chunks.push(chunk)
    finish(false)
    response.destroy()
  })
  response.on("error", () => finish(false))
  response.on("close", () => finish(false))
  response.on("end", () => finish(true))
}

const chat = (agent: http.Agent): OpenAiClient["chat"] => (target, body, listener, choices) => {
  let response: http.IncomingMessage | undefined
  let paused = false
  let over = false
  const fail = (error: EngineError.EngineError) => {
    if (over) return
    over = true
    destroy()
    listener.failed(error)
  }
  const events = ChatEvents.make({
    delta: (index, content, reasoning) => {
      if (!over) listener.delta(index, content, reasoning)
    },
    done: (end) => {
      if (over) return
      over = true
      // The connection can be used again once the little that may follow was read.
      response?.resume()
      listener.done(end)
    },
    failed: fail
  }, choices)
  const destroy = post(agent, postTo(target, "/v1/chat/completions", body), {
    failed: (error) => fail(EngineError.ofConnection(error)),
    response: (incoming) => {
      response = incoming
      const status = incoming.statusCode ?? 0
      if (status !== 200 || isJson(incoming)) {
        const late = setTimeout(() => incoming.destroy(), errorMillis)
        readAll(incoming, maxErrorBytes, (bytes) => {
          clearTimeout(late)
          const said = bytes.toString("utf8")
          fail(status === 200 ? ofJson(said) : EngineError.ofStatus(status, said))
        })
        return
      }
      incoming.on("data", events.push)
      incoming.on("end", events.end)
      incoming.on("error", () => {})
      incoming.on("close", () => {
        if (events.complete()) return events.end()
        fail(new EngineError.EngineError({ kind: "unreachable", reason: "the connection to it broke off" }))
      })
      if (paused) incoming.pause()
    }
  })
  return {
    pause: () => {
      paused = true
      response?.pause()
    },
    resume: () => {
      paused = false
      response?.resume()
    },
    cancel: () => {
      over = true
      destroy()
    }
  }
}

/** A whole JSON where events were asked for: an error, if the engine says so. */
const ofJson = (said: string): EngineError.EngineError => {
  try {
    const parsed: unknown = JSON.parse(said)
    if (typeof parsed === "object" && parsed !== null && "error" in parsed) return EngineError.ofEvent(parsed)
  } catch {
    // Told below.
  }
  return new EngineError.EngineError({ kind: "garbled", reason: "it does not stream its answer" })
}

const isNumbers = (value: unknown): value is ReadonlyArray<number> =>
  Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === "number")

/** The embeddings of an answer, each where its index says; `undefined` when one is missing or is none. */
const embeddingsOf = (answer: unknown, count: number): Embeddings | undefined => {
  const data = (answer as { readonly data?: unknown } | null)?.data
  if (!Array.isArray(data) || data.length !== count) return undefined
  const embeddings: Array<ReadonlyArray<number>> = []
  data.forEach((item: { readonly embedding?: unknown; readonly index?: unknown } | null, position) => {
    const index = typeof item?.index === "number" ? item.index : position
    if (isNumbers(item?.embedding)) embeddings[index] = item.embedding
  })
  for (let index = 0; index < count; index++) if (embeddings[index] === undefined) return undefined
  return embeddings.length === count
    ? { embeddings, promptTokens: ChatEvents.usageOf((answer as { usage?: unknown }).usage)?.promptTokens ?? 0 }
    : undefined
}

const embeddings = (agent: http.Agent): OpenAiClient["embeddings"] => (target, model, input) =>
  Effect.async((resume) => {
    const fail = (error: EngineError.EngineError) => resume(Effect.fail(error))
    const body = JSON.stringify({ model, input, encoding_format: "float" })
    const destroy = post(agent, postTo(target, "/v1/embeddings", body), {
      failed: (error) => fail(EngineError.ofConnection(error)),
      response: (incoming) =>
        readAll(incoming, maxEmbeddingsBytes, (bytes, complete) => {
          const status = incoming.statusCode ?? 0
          const said = bytes.toString("utf8")
          if (status !== 200) return fail(EngineError.ofStatus(status, said.slice(0, maxErrorBytes)))
          if (!complete) {
            const reason = bytes.length > 0 && incoming.complete === false
              ? "the answer ended before it was complete"
              : "the connection to it broke off"
            return fail(new EngineError.EngineError({ kind: "cut-off", reason }))
          }
          let parsed: unknown
          try {
            parsed = JSON.parse(said)
          } catch {
            return fail(new EngineError.EngineError({ kind: "garbled", reason: "its answer is not JSON" }))
          }
          if (typeof parsed === "object" && parsed !== null && "error" in parsed) {
            return fail(EngineError.ofEvent(parsed))
          }
          const found = embeddingsOf(parsed, input.length)
          return found === undefined
            ? fail(
              new EngineError.EngineError({
                kind: "garbled",
                reason: `its answer does not hold ${input.length} embeddings`
              })
            )
            : resume(Effect.succeed(found))
        })
    })
    return Effect.sync(destroy)
  })

/** Its connections are closed with the scope. */
export const make: Effect.Effect<OpenAiClient, never, Scope.Scope> = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() =>
      // How many requests an engine is given at once is the router's to bound.
      new http.Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 256, timeout: idleMillis })
    ),
    (agent) => Effect.sync(() => agent.destroy())
  ),
  (agent) => ({ chat: chat(agent), embeddings: embeddings(agent) })
)
