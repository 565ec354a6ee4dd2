/**
 * The sockets, HTTP/2 sessions and streams below a gRPC server, with their bounds. grpc-js bounds messages only: how many
 * connections there are, how long one may be silent, and how much of unfinished requests is held in memory is decided here.
 */
import * as dns from "node:dns"
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2"
import * as net from "node:net"
import type { AddressInfo } from "node:net"
import type * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as BindFailure from "../net/BindFailure.js"
import * as ConnectionLimits from "../net/ConnectionLimits.js"

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly connections: ConnectionLimits.ConnectionLimits
  /** Bytes of all requests that are being received or answered. */
  readonly maxHeldBytes: number
}

/** What was turned away. */
export type Refusal =
  | ConnectionLimits.Refusal
  | { readonly peer: string; readonly reason: "held-bytes"; readonly limit: number }
  | { readonly peer: ""; readonly reason: "accept"; readonly details: string }

/** gRPC's RESOURCE_EXHAUSTED, as a whole answer. */
const tooMuch = {
  ":status": 200,
  "content-type": "application/grpc",
  "grpc-status": "8",
  "grpc-message": "too many large requests at once; try again later"
}

/**
 * Bounds the bytes of requests that are held: counted as they arrive, and until the call is over, since a handler has them
 * until then. A stream of many messages gives back what it had once its client is slowed by flow control, and is not counted.
 */
const boundBytes = (
  { maxHeldBytes }: ListenerOptions,
  isCounted: (path: string) => boolean,
  onRefusal: (refusal: Refusal) => void
) => {
  let held = 0
  return (stream: ServerHttp2Stream, path: string) => {
    if (!isCounted(path)) return
    let own = 0
    stream.on("data", (chunk: Buffer) => {
      own += chunk.length
      held += chunk.length
      if (held <= maxHeldBytes || stream.headersSent || stream.destroyed) return
      onRefusal({ peer: stream.session?.socket.remoteAddress ?? "", reason: "held-bytes", limit: maxHeldBytes })
      stream.respond(tooMuch, { endStream: true })
      // In the same turn, Node 22 would drop the answer.
      setImmediate(() => stream.close())
    })
    stream.once("close", () => {
      held -= own
    })
  }
}

/** The HTTP/2 server that an injector feeds: grpc-js makes it, and gives no other way to see its streams. */
const http2ServersOf = (server: grpc.Server): Iterable<Http2Server> => {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<Http2Server, unknown> }
  return http2Servers?.keys() ?? []
}

const watchSessions = (
  server: grpc.Server,
  connections: ConnectionLimits.Connections,
  watchStream: (stream: ServerHttp2Stream, path: string) => void
) => {
  for (const http2Server of http2ServersOf(server)) {
    http2Server.on("session", (session: ServerHttp2Session) => {
      // What a peer does to its connection ends that connection, and nothing else.
      session.on("error", () => {})
    })
    // Before grpc-js's own, which pauses the stream in the same turn: no data is lost.
    http2Server.prependListener("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {})
      const socket = stream.session?.socket
      if (socket !== undefined) stream.once("close", connections.begin(socket))
      watchStream(stream, headers[":path"] ?? "")
    })
  }
}

const addressesOf = (host: string): Effect.Effect<ReadonlyArray<string>, Error> =>
  net.isIP(host) > 0 ? Effect.succeed([host]) : Effect.async((resume) =>
    dns.lookup(
      host,
      { all: true },
      (error, found) =>
        resume(error === null ? Effect.succeed([...new Set(found.map(({ address }) => address))]) : Effect.fail(error))
    )
  )

const listenAt = (
  host: string,
  port: number,
  onConnection: (socket: net.Socket) => void,
  onError: (error: Error) => void
): Effect.Effect<number, Error, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<net.Server, Error>((resume) => {
      const server = net.createServer({ noDelay: true }, onConnection)
      const failed = (error: Error) => resume(Effect.fail(error))
      server.once("error", failed)
      server.listen({ host, port }, () => {
        server.off("error", failed)
        // Without a listener, a connection that cannot be accepted would end the process.
        server.on("error", onError)
        resume(Effect.succeed(server))
      })
    }),
    (server) => Effect.sync(() => void server.close())
    // A server that listens on a port, as this one does, has an address of this form.
  ).pipe(Effect.map((server) => (server.address() as AddressInfo).port))

/**
 * Listens, and hands what it accepts to grpc-js's server; stops accepting with the scope. `isCounted` tells the methods whose
 * requests are single messages. `onRefusal` is called, from callbacks, for each thing that is turned away.
 */
export const listen = (
  server: grpc.Server,
  credentials: grpc.ServerCredentials,
  options: ListenerOptions,
  isCounted: (path: string) => boolean,
  onRefusal: (refusal: Refusal) => void
): Effect.Effect<{ readonly port: number }, BindFailure.BindFailure, Scope.Scope> =>
  Effect.gen(function*() {
    const connections = ConnectionLimits.make(options.connections, onRefusal)
    const injector = server.createConnectionInjector(credentials)
    watchSessions(server, connections, boundBytes(options, isCounted, onRefusal))
    const onConnection = (socket: net.Socket) => {
      socket.on("error", () => {})
      if (connections.accept(socket)) injector.injectConnection(socket)
    }
    const onError = (error: Error) => onRefusal({ peer: "", reason: "accept", details: error.message })
    const [first = options.host, ...others] = yield* addressesOf(options.host)
    const port = yield* listenAt(first, options.port, onConnection, onError)
    // A name such as `localhost` has several addresses; one of them is enough.
    for (const other of others) yield* Effect.ignore(listenAt(other, port, onConnection, onError))
    return { port }
  }).pipe(Effect.mapError((error) => BindFailure.make(options, error.message)))
