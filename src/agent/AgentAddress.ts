/** Where the orchestrator reaches this agent's `NodeAgent` service. */
import * as os from "node:os"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as HostPort from "../net/HostPort.js"
import * as LocalAddress from "../net/LocalAddress.js"

/** An address that other machines may know, for when the route to the orchestrator cannot be determined. */
const anyAddress = (): string => LocalAddress.external() ?? os.hostname()

/** How the local address towards a peer is found; tests have machines whose addresses change. */
export class Route extends Context.Reference<Route>()("@orchion/node-agent/AgentAddress/Route", {
  defaultValue: (): (peer: HostPort.HostPort) => Effect.Effect<string, Error> => LocalAddress.towards
}) {}

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
      Effect.flatMap(Route, (towards) => towards(options.orchestrator)).pipe(
        Effect.orElse(() => Effect.sync(anyAddress)),
        Effect.map((host) => HostPort.format({ host, port: options.port }))
      )
  })
