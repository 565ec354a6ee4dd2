/** The address at which another machine sees this one. */
import * as dgram from "node:dgram"
import * as dns from "node:dns"
import * as os from "node:os"
import * as Effect from "effect/Effect"
import type { HostPort } from "./HostPort.js"

/** A callback API of Node that may also throw, for example without file descriptors. */
const bridge = <A>(
  start: (succeed: (value: A) => void, fail: (error: unknown) => void) => (() => void) | undefined
): Effect.Effect<A, Error> =>
  Effect.async<A, Error>((resume) => {
    const fail = (error: unknown) => resume(Effect.fail(error instanceof Error ? error : new Error(String(error))))
    try {
      const stop = start((value) => resume(Effect.succeed(value)), fail)
      return stop === undefined ? undefined : Effect.sync(stop)
    } catch (error) {
      return fail(error)
    }
  })

const lookup = (host: string): Effect.Effect<dns.LookupAddress, Error> =>
  bridge((succeed, fail) => {
    dns.lookup(host, (error, address, family) => error === null ? succeed({ address, family }) : fail(error))
    return undefined
  })

/**
 * The local address that packets to a peer leave from, without an IPv6 zone. The kernel chooses it when a datagram socket
 * is connected; nothing is sent. Fails after 1 s, or when the name does not resolve, there is no route, or the system
 * refuses a socket.
 */
export const towards = ({ host, port }: HostPort): Effect.Effect<string, Error> =>
  lookup(host).pipe(
    Effect.flatMap(({ address, family }) =>
      bridge<string>((succeed, fail) => {
        const socket = dgram.createSocket(family === 6 ? "udp6" : "udp4")
        let isOpen = true
        const close = () => {
          if (!isOpen) return
          isOpen = false
          socket.removeAllListeners()
          // A late error does not matter, but without a listener it would end the process.
          socket.on("error", () => {})
          try {
            socket.close()
          } catch {
            // The socket was never created.
          }
        }
        socket.once("error", (error) => {
          close()
          fail(error)
        })
        // Not as connect's callback, which is also called with an error.
        socket.once("connect", () => {
          try {
            succeed(socket.address().address.replace(/%.*$/, ""))
          } catch (error) {
            fail(error)
          }
          close()
        })
        socket.connect(port, address)
        return close
      })
    ),
    Effect.timeoutFail({ duration: "1 second", onTimeout: () => new Error("no answer from DNS within 1 s") })
  )

/** This machine's interfaces; none when the system refuses to list them (no file descriptors, no netlink). */
export const interfaces = (): NodeJS.Dict<Array<os.NetworkInterfaceInfo>> => {
  try {
    return os.networkInterfaces()
  } catch {
    return {}
  }
}

/** An address of this machine that others on its network may know; `undefined` when it has none but loopback. */
export const external = (): string | undefined =>
  Object.values(interfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => !internal && family === "IPv4")?.address
