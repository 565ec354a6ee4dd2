/** The address of this machine that another one sees. */
import * as dgram from "node:dgram"
import * as dns from "node:dns"
import * as os from "node:os"
import * as Effect from "effect/Effect"
import type { HostPort } from "./HostPort.js"

const lookup = (host: string): Effect.Effect<dns.LookupAddress, Error> =>
  Effect.async<dns.LookupAddress, Error>((resume) =>
    dns.lookup(
      host,
      (error, address, family) => resume(error === null ? Effect.succeed({ address, family }) : Effect.fail(error))
    )
  )

/**
 * The local address that packets to a peer leave from, without an IPv6 zone. The kernel chooses it when a datagram socket
 * is connected; nothing is sent. Fails after 1 s, or when the name does not resolve or there is no route.
 */
export const towards = ({ host, port }: HostPort): Effect.Effect<string, Error> =>
  lookup(host).pipe(
    Effect.flatMap(({ address, family }) =>
      Effect.async<string, Error>((resume) => {
        const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4")
        const close = () => {
          socket.removeAllListeners()
          // An error that arrives after the answer is of no interest, but without a listener it would be fatal.
          socket.on("error", () => {})
          socket.close()
        }
        socket.once("error", (error) => {
          close()
          resume(Effect.fail(error))
        })
        // Not as connect's callback, which is also called with an error.
        socket.once("connect", () => {
          const local = socket.address().address
          close()
          resume(Effect.succeed(local.replace(/%.*$/, "")))
        })
        socket.connect(port, address)
        return Effect.sync(close)
      })
    ),
    Effect.timeoutFail({ duration: "1 second", onTimeout: () => new Error("no answer from DNS within 1 s") })
  )

/** The interfaces of this machine; none when the system refuses to list them (no file descriptors, no netlink). */
export const interfaces = (): NodeJS.Dict<Array<os.NetworkInterfaceInfo>> => {
  try {
    return os.networkInterfaces()
  } catch {
    return {}
  }
}
