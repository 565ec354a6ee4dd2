/**
 * HTTP requests to engines over kept connections. Everything goes by callbacks, none of which lets an exception out: a
 * failure fails its own exchange only.
 */
import * as http from "node:http"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { guarded } from "../effect/Callback.js"
import * as EngineError from "./EngineError.js"

/** Who is asked. */
export interface Target {
  /** Without a slash at the end: `http://127.0.0.1:8000`. */
  readonly baseUrl: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
}

export interface ExchangeListener {
  /** The answer began. May be called once, and not after `failed`. */
  readonly response: (response: http.IncomingMessage) => void
  /** Called once. Nothing is called after it. */
  readonly failed: (error: EngineError.EngineError) => void
}

export interface Exchange {
  /** Closes the connection, which cancels the request inside the engine; the listener is not called again. */
  readonly cancel: () => void
}

export interface EngineConnections {
  /** Sends JSON by POST to a path below the target's base URL. */
  readonly post: (target: Target, path: string, body: string, listener: ExchangeListener) => Exchange
}

/** Shorter than the 5 s after which vLLM closes an idle connection. */
const idleMillis = 4_000

/** Addresses whose parts are remembered: reading one takes longer than sending to it. */
const maxAddresses = 64

interface Address {
  readonly host: string
  readonly port: string
  readonly prefix: string
}

const parse = (baseUrl: string): Address => {
  const { hostname, pathname, port } = new URL(baseUrl)
  return {
    host: hostname.replace(/^\[|\]$/g, ""),
    port: port === "" ? "80" : port,
    prefix: pathname.replace(/\/$/, "")
  }
}

const headersOf = (apiKey: Target["apiKey"], body: string) => ({
  "content-type": "application/json",
  "content-length": Buffer.byteLength(body),
  ...(apiKey === undefined ? {} : { authorization: `Bearer ${Redacted.value(apiKey)}` })
})

/** A kept connection that the engine had closed already: it has not seen the request. */
const wasStale = (request: http.ClientRequest, error: Error): boolean => {
  const code = "code" in error ? error.code : undefined
  return request.reusedSocket && (code === "ECONNRESET" || code === "EPIPE")
}

/** The connections are closed with the scope. */
export const make: Effect.Effect<EngineConnections, never, Scope.Scope> = Effect.gen(function*() {
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() =>
      // The router bounds how many requests an engine is given at once.
      new http.Agent({ keepAlive: true, maxSockets: Infinity, maxFreeSockets: 256, timeout: idleMillis })
    ),
    (agent) => Effect.sync(() => agent.destroy())
  )
  const addresses = new Map<string, Address>()
  const addressOf = (baseUrl: string): Address => {
    const known = addresses.get(baseUrl)
    if (known !== undefined) return known
    const address = parse(baseUrl)
    // An engine that moves to a new port leaves its old address behind.
    if (addresses.size >= maxAddresses) addresses.clear()
    addresses.set(baseUrl, address)
    return address
  }

  const post: EngineConnections["post"] = ({ apiKey, baseUrl }, path, body, { failed, response }) => {
    let current: http.ClientRequest | undefined
    let isOver = false
    const fail = (error: EngineError.EngineError) => {
      if (isOver) return
      isOver = true
      current?.destroy()
      failed(error)
    }
    const failWith = (cause: unknown) => fail(EngineError.ofDefect(cause))

    const send = (isFirst: boolean) => {
      const { host, port, prefix } = addressOf(baseUrl)
      const request = http.request({
        method: "POST",
        host,
        port,
        path: `${prefix}${path}`,
        headers: headersOf(apiKey, body),
        agent: isFirst ? agent : false
      })
      current = request
      let hasAnswered = false
      // Stays for as long as the request: an `error` without a listener would end the process.
      request.on(
        "error",
        guarded((error: Error) => {
          if (hasAnswered || isOver || request !== current) return
          if (isFirst && wasStale(request, error)) return send(false)
          fail(EngineError.ofConnection(error))
        }, failWith)
      )
      request.on(
        "response",
        guarded((incoming: http.IncomingMessage) => {
          hasAnswered = true
          incoming.on("error", () => {})
          if (!isOver) response(incoming)
        }, failWith)
      )
      request.end(body)
    }
    try {
      send(true)
    } catch (cause) {
      // Not before the caller has what it needs to hear of it.
      queueMicrotask(() => failWith(cause))
    }
    return {
      cancel: () => {
        isOver = true
        current?.destroy()
      }
    }
  }
  return { post }
})

/** How {@link readAll} ended. */
export interface Body {
  readonly bytes: Buffer
  /** `whole`, or why there is no more: the connection broke, or the bound was reached. */
  readonly end: "whole" | "broken" | "too-large"
}

/** Reads a whole answer, or its beginning; `done` is called once, and must not throw. */
export const readAll = (response: http.IncomingMessage, maxBytes: number, done: (body: Body) => void): void => {
  const chunks: Array<Buffer> = []
  let size = 0
  let isOver = false
  const finish = (end: Body["end"]) => {
    if (isOver) return
    isOver = true
    done({ bytes: Buffer.concat(chunks), end })
  }
  response.on("data", (chunk: Buffer) => {
    if (isOver) return
    size += chunk.length
    if (size <= maxBytes) return void chunks.push(chunk)
    finish("too-large")
    response.destroy()
  })
  response.on("close", () => finish("broken"))
  response.on("end", () => finish(response.complete ? "whole" : "broken"))
}
