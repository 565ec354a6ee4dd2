/** An HTTP server on top of Node's, with Effects as handlers: it listens within a millisecond and closes promptly. */
import * as Http from "node:http"
import type { AddressInfo, Socket } from "node:net"
import type { Duplex } from "node:stream"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as SystemError from "../text/SystemError.js"
import * as BindFailure from "./BindFailure.js"

/** The server cannot listen on its address. */
export class HttpBindError extends Data.TaggedError("HttpBindError")<BindFailure.BindFailure> {
  override get message(): string {
    return BindFailure.describe(this)
  }
}

export interface HttpListenerOptions {
  /** An address of this machine; `::` for all of them. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** How long responses may take to reach their readers after close interrupted their handlers. Default 200 ms. */
  readonly closeGrace?: Duration.DurationInput
  /** Connections at once; each costs a file descriptor. One peer may have three quarters of them. Default 512. */
  readonly maxConnections?: number
  /** How long a request's headers may take. Default 10 s. */
  readonly headersTimeout?: Duration.DurationInput
  /** How long a client may stall while sending a request or reading a response. Default 60 s. */
  readonly silence?: Duration.DurationInput
  /** How long a connection without a request is kept: longer than the 60 s of common proxies. Default 75 s. */
  readonly keepAlive?: Duration.DurationInput
}

/** Answers a request; interrupted when the client goes away and when the server closes. */
export type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse) => Effect.Effect<void>

/** A handler for Node's `http` and frameworks built on it. */
export type NodeListener = (request: Http.IncomingMessage, response: Http.ServerResponse) => void

/** The limit of pipelined requests per connection. Browsers and client libraries do not pipeline. */
const maxPipelined = 16

/** How often a lasting shortage is logged. */
const reminderMillis = 60_000

/** The exchanges of one connection. */
interface Connection {
  readonly pending: Set<() => void>
  /** Resolved when the newest request of the connection is answered. */
  last: Deferred.Deferred<void> | undefined
  /** The exchange in progress. */
  current: { readonly request: Http.IncomingMessage; readonly response: Http.ServerResponse } | undefined
  isRefused: boolean
}

const connectionOf = (connections: WeakMap<Socket, Connection>, socket: Socket): Connection => {
  const known = connections.get(socket)
  if (known !== undefined) return known
  const connection: Connection = { pending: new Set(), last: undefined, current: undefined, isRefused: false }
  connections.set(socket, connection)
  // A response that waits for its turn gets no event when its connection closes.
  socket.once("close", () => {
    for (const end of connection.pending) end()
  })
  return connection
}

/** The handler for Node, and the exchanges of each connection. */
const bridge = (handler: Handler) =>
  Effect.map(FiberSet.makeRuntime<never>(), (fork) => {
    const connections = new WeakMap<Socket, Connection>()

    const listener: NodeListener = (request, response) => {
      const { socket } = request
      const connection = connectionOf(connections, socket)
      if (connection.isRefused) return
      if (connection.pending.size > maxPipelined) {
        connection.isRefused = true
        return void socket.destroy()
      }
      // A client that disconnects in the middle is not logged: its `close` ends the handler.
      request.on("error", () => {})
      response.on("error", () => {})
      const before = connection.last
      const answered = Deferred.unsafeMake<void>(FiberId.none)
      connection.last = answered

      const fiber = fork(
        (before === undefined ? Effect.void : Deferred.await(before)).pipe(
          Effect.zipRight(Effect.suspend(() => {
            connection.current = { request, response }
            return handler(request, response)
          })),
          Effect.catchAllDefect((defect) =>
            Effect.zipRight(
              Effect.logError(`A defect in the handler of ${request.method} ${request.url}`, defect),
              Effect.sync(() => response.headersSent ? response.destroy() : response.writeHead(500).end())
            )
          ),
          // An interrupted handler's response is over.
          Effect.ensuring(Effect.sync(() => response.end()))
        )
      )
      const end = () => {
        if (!connection.pending.delete(end)) return
        if (connection.current?.response === response) connection.current = undefined
        fiber.unsafeInterruptAsFork(fiber.id())
        Deferred.unsafeDone(answered, Effect.void)
      }
      connection.pending.add(end)
      response.on("close", end)
    }
    return { listener, connections, fork }
  })

/**
 * The handler for your own server: Node's `http`, Express, Fastify. Its exchanges end with the scope. Limits on
 * connections and on slow clients are that server's.
 */
export const listener = (handler: Handler): Effect.Effect<NodeListener, never, Scope.Scope> =>
  Effect.map(bridge(handler), ({ listener }) => listener)

/** Responds to an invalid or incomplete request: in JSON, like every other refusal. */
const refuse = (socket: Duplex, status: number, message: string) => {
  if (!socket.writable) return void socket.destroy()
  const body = `${JSON.stringify({ error: { message, type: "invalid_request_error", param: null, code: null } })}\n`
  socket.end(
    `HTTP/1.1 ${status} ${Http.STATUS_CODES[status] ?? ""}\r\nConnection: close\r\n`
      + `Content-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy()
  )
}

const seconds = (millis: number) => `${Math.round(millis / 100) / 10} s`

const onClientError = (headersTimeout: number) => (error: Error, socket: Duplex) => {
  const code = SystemError.codeOf(error) ?? ""
  if (code === "ECONNRESET" || code === "EPIPE") return void socket.destroy()
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") {
    return refuse(socket, 408, `the request's headers did not arrive within ${seconds(headersTimeout)}`)
  }
  if (code === "HPE_HEADER_OVERFLOW") return refuse(socket, 431, "the request's headers are larger than 16 KiB")
  refuse(socket, 400, "this is not an HTTP/1.1 request; the gRPC services are on another port")
}

/** Ends connections that stall. */
const onSilence = (connections: WeakMap<Socket, Connection>, silence: number) => (socket: Socket) => {
  const current = connections.get(socket)?.current
  if (current === undefined) return void socket.destroy()
  const { request, response } = current
  if (!request.complete && !response.headersSent) {
    return refuse(socket, 408, `nothing of the request arrived for ${seconds(silence)}`)
  }
  // Otherwise the handler has nothing to send yet; the client may wait as long as it likes.
  if (!request.complete || socket.writableLength > 0 || response.writableLength > 0) socket.destroy()
}

/** Logs that connections are refused: immediately, and every minute while that lasts. */
const shortage = (fork: (effect: Effect.Effect<void>) => unknown) => {
  let toldAt = -Infinity
  return (reason: string) =>
    fork(Effect.flatMap(Clock.currentTimeMillis, (now) => {
      if (now - toldAt < reminderMillis) return Effect.void
      toldAt = now
      return Effect.logWarning(`Refusing HTTP connections: ${reason}`)
    }))
}

/** Limits the connections per peer, and ends idle ones when few are left. */
const guardConnections = (server: Http.Server, max: number, refuseConnection: (reason: string) => void) => {
  const peers = new Map<string, number>()
  const perPeer = Math.ceil(max * 0.75)
  let open = 0
  server.maxConnections = max
  server.on("drop", () => refuseConnection(`${max} are open, which is the limit`))
  server.on("connection", (socket: Socket) => {
    const peer = socket.remoteAddress ?? ""
    const count = (peers.get(peer) ?? 0) + 1
    peers.set(peer, count)
    open += 1
    socket.once("close", () => {
      open -= 1
      const left = (peers.get(peer) ?? 1) - 1
      if (left <= 0) peers.delete(peer)
      else peers.set(peer, left)
    })
    if (open > perPeer) server.closeIdleConnections()
    if (count > perPeer) {
      refuseConnection(`${peer} has ${perPeer} open, which is the limit of one peer`)
      socket.destroy()
    }
  })
}

/** Serves until the scope closes; then handlers are interrupted and the port is free. */
export const make = (
  options: HttpListenerOptions,
  handler: Handler
): Effect.Effect<{ readonly port: number }, HttpBindError, Scope.Scope> =>
  Effect.gen(function*() {
    const headersTimeout = Duration.toMillis(options.headersTimeout ?? "10 seconds")
    const silence = Duration.toMillis(options.silence ?? "60 seconds")
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        Http.createServer({
          headersTimeout,
          // A request may take as long as its sender likes, as long as data keeps arriving.
          requestTimeout: 0,
          keepAliveTimeout: Duration.toMillis(options.keepAlive ?? "75 seconds"),
          connectionsCheckingInterval: Math.min(5_000, headersTimeout),
          maxHeaderSize: 16 * 1024
        })
      ),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          const force = setTimeout(() => server.closeAllConnections(), Duration.toMillis(options.closeGrace ?? 200))
          return Effect.sync(() => clearTimeout(force))
        })
    )
    // Made after the server, so that closing interrupts the handlers first.
    const { connections, fork, listener } = yield* bridge(handler)
    const refuseConnection = shortage(fork)
    server.timeout = silence
    server.on("timeout", onSilence(connections, silence))
    server.on("clientError", onClientError(headersTimeout))
    server.on("request", listener)
    guardConnections(server, options.maxConnections ?? 512, refuseConnection)

    yield* Effect.async<void, HttpBindError>((resume) => {
      const failed = (error: Error) => resume(Effect.fail(new HttpBindError(BindFailure.make(options, error.message))))
      server.once("error", failed)
      server.listen({ host: options.host, port: options.port }, () => {
        server.off("error", failed)
        // Running out of file descriptors must not end the process; the refused client retries.
        server.on("error", (error) => refuseConnection(SystemError.describe(error)))
        resume(Effect.void)
      })
    })
    // A server that listens on a port, as this one does, has an address of this form.
    return { port: (server.address() as AddressInfo).port }
  })

/**
 * Writes a part of a response and waits until the system has accepted it, so that only one part per client is in
 * memory. Never returns when the client is gone: its `close` interrupts the handler.
 */
export const write = (response: Http.ServerResponse, part: string): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    response.write(part, (error) => {
      if (error === undefined || error === null) resume(Effect.void)
    })
  })

/** The minimum size of a write, in characters. */
const partLength = 64 * 1024

/** Writes a sequence of texts, produced on demand and joined into larger writes. */
export const writeAll = (response: Http.ServerResponse, texts: Iterable<string>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const iterator = texts[Symbol.iterator]()
    const next: Effect.Effect<void> = Effect.suspend(() => {
      const part: Array<string> = []
      let length = 0
      while (length < partLength) {
        const { done, value } = iterator.next()
        if (done === true) return part.length === 0 ? Effect.void : write(response, part.join(""))
        part.push(value)
        length += value.length
      }
      return Effect.zipRight(write(response, part.join("")), next)
    })
    return next
  })
