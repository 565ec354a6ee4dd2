/** Peers that are no gRPC servers, or bad ones. */
import * as http2 from "node:http2"
import * as net from "node:net"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** A TCP server that does something to each connection; answers its address. */
export const tcp = (onConnection: (socket: net.Socket) => void): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly server: net.Server; readonly sockets: Set<net.Socket> }>((resume) => {
        const sockets = new Set<net.Socket>()
        const server = net.createServer((socket) => {
          sockets.add(socket)
          socket.on("close", () => sockets.delete(socket))
          socket.on("error", () => {})
          onConnection(socket)
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
      }),
      ({ server, sockets }) =>
        Effect.async<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    ),
    ({ server }) => `127.0.0.1:${(server.address() as net.AddressInfo).port}`
  )

/** An HTTP/2 server that does something to each request. */
export const h2 = (onStream: (stream: http2.ServerHttp2Stream) => void): Effect.Effect<string, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly server: http2.Http2Server; readonly sessions: Set<http2.ServerHttp2Session> }>(
        (resume) => {
          const sessions = new Set<http2.ServerHttp2Session>()
          const server = http2.createServer()
          server.on("session", (session) => {
            sessions.add(session)
            session.on("error", () => {})
            session.on("close", () => sessions.delete(session))
          })
          server.on("stream", (stream) => {
            stream.on("error", () => {})
            onStream(stream)
          })
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sessions })))
        }
      ),
      ({ server, sessions }) =>
        Effect.async<void>((resume) => {
          for (const session of sessions) session.destroy()
          server.close(() => resume(Effect.void))
        })
    ),
    ({ server }) => `127.0.0.1:${(server.address() as net.AddressInfo).port}`
  )

/** An address of this machine where nothing listens. */
export const nobody: Effect.Effect<string> = Effect.scoped(tcp(() => {}))
