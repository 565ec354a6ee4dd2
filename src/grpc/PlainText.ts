/** Plain-text credentials that know the sockets of their connections, and end them. */
import type { Socket } from "node:net"
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

/** How long the goodbye to the peer may take. */
const closeGrace = "200 millis"

/**
 * Closing a client lets its calls run on, each to its own deadline or for ever, on a connection that may be dead. When
 * the scope closes, after the client has been closed, what is still open is destroyed, and those calls end.
 */
export const make: Effect.Effect<grpc.ChannelCredentials, never, Scope.Scope> = Effect.gen(function*() {
  const sockets = new Set<Socket>()
  let closed = false
  yield* Effect.addFinalizer(() =>
    Effect.async<void>((resume) => {
      closed = true
      const look = () => {
        if (sockets.size === 0) resume(Effect.void)
      }
      for (const socket of sockets) socket.once("close", look)
      look()
    }).pipe(
      Effect.interruptible,
      Effect.timeoutOption(closeGrace),
      Effect.zipRight(Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
      }))
    )
  )
  const credentials = grpc.credentials.createInsecure()
  const createSecureConnector = credentials._createSecureConnector.bind(credentials)
  // The one place where grpc-js hands out the sockets that it connects.
  credentials._createSecureConnector = (...args) => {
    const connector = createSecureConnector(...args)
    return {
      ...connector,
      connect: (socket) => {
        sockets.add(socket)
        socket.once("close", () => sockets.delete(socket))
        if (closed) socket.destroy()
        return connector.connect(socket)
      }
    }
  }
  return credentials
})
