/** Ports of this machine. */
import * as net from "node:net"
import * as Effect from "effect/Effect"

/** A port that nothing listens on; it is given back, so another program may take it. */
export const free: Effect.Effect<number> = Effect.async((resume) => {
  const server = net.createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as net.AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})
