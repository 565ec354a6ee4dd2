/** Where the orchestrator reaches this agent's `NodeAgent` service. */
import * as dgram from "node:dgram"
import * as dns from "node:dns"
import * as os from "node:os"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as HostPort from "../config/HostPort.js"

/**
 * The local address that packets to the orchestrator leave from. The kernel chooses it when a datagram socket is
 * connected; nothing is sent.
 */
const localAddressTowards = ({ host, port }: HostPort.HostPort): Effect.Effect<string, unknown> =>
  Effect.async<dns.LookupAddress, unknown>((resume) =>
    dns.lookup(
      host,
      (error, address, family) => resume(error === null ? Effect.succeed({ address, family }) : Effect.fail(error))
    )
  ).pipe(
    Effect.flatMap(({ address, family }) =>
      Effect.async<string, unknown>((resume) => {
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
          resume(Effect.succeed(local))
        })
        socket.connect(port, address)
        return Effect.sync(close)
      })
    ),
    Effect.timeout("1 second")
  )

/** An address that other machines may know, for when the way to the orchestrator cannot be found out now. */
const anyAddress = (): string =>
  Object.values(os.networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => !internal && family === "IPv4")?.address ?? os.hostname()

/** `host:port`, an IPv6 host in brackets. */
export const find = (options: {
  readonly advertised: Option.Option<{ readonly host: string; readonly port: Option.Option<number> }>
  readonly orchestrator: HostPort.HostPort
  /** The port that the service listens on. */
  readonly port: number
}): Effect.Effect<string> =>
  Option.match(options.advertised, {
    onSome: ({ host, port }) =>
      Effect.succeed(HostPort.format({ host, port: Option.getOrElse(port, () => options.port) })),
    onNone: () =>
      localAddressTowards(options.orchestrator).pipe(
        // Link-local IPv6 addresses carry a zone that means nothing elsewhere.
        Effect.map((host) => host.replace(/%.*$/, "")),
        Effect.orElse(() => Effect.sync(anyAddress)),
        Effect.map((host) => HostPort.format({ host, port: options.port }))
      )
  })
