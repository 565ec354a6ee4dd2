/** Channel credentials that know the sockets of their connections, lead them through a proxy, and end them. */
import type { Socket } from "node:net"
import type * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Proxy from "../net/Proxy.js"
import * as ProxyTunnel from "../net/ProxyTunnel.js"

/** How long saying goodbye to the peer may take. */
const closeGrace = "200 millis"

export interface Tunnel {
  readonly proxy: Proxy.Proxy
  /** `host:port` behind the proxy. */
  readonly target: string
}

/**
 * Closing a client lets its calls run on, each to its own deadline or for ever, on a connection that may be dead. When
 * the scope closes, after the client has been closed, what is still open is destroyed, and those calls end.
 */
export const make = (
  credentials: grpc.ChannelCredentials,
  tunnel: Tunnel | undefined
): Effect.Effect<grpc.ChannelCredentials, never, Scope.Scope> =>
  Effect.gen(function*() {
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
    const createSecureConnector = credentials._createSecureConnector.bind(credentials)
    // The one place where grpc-js hands out the sockets that it connects.
    credentials._createSecureConnector = (...args) => {
      const connector = createSecureConnector(...args)
      return {
        waitForReady: () => connector.waitForReady(),
        getCallCredentials: () => connector.getCallCredentials(),
        destroy: () => connector.destroy(),
        connect: async (socket) => {
          sockets.add(socket)
          socket.once("close", () => sockets.delete(socket))
          // Between two owners of the socket, nobody else listens.
          socket.on("error", () => {})
          if (closed) socket.destroy()
          if (tunnel !== undefined) await ProxyTunnel.open(socket, tunnel.proxy, tunnel.target)
          return connector.connect(socket)
        }
      }
    }
    return credentials
  })
