/**
 * Who may read the HTTP API from a browser: only the page that this server itself delivered.
 *
 * A page of another site can make a browser send requests here, and can point a name of its own at this machine (DNS
 * rebinding). The first shows in `Origin` and `Sec-Fetch-Site`, the second in `Host`.
 */
import type { IncomingHttpHeaders } from "node:http"
import { isIP } from "node:net"
import * as HostPort from "../../net/HostPort.js"

/** Which names a server on this address answers to: those that no stranger can point at it. */
export interface Names {
  /** What it listens on. */
  readonly bindAddress: string
  /** The machine's name. */
  readonly hostname: string
}

const hostPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/

const hostOf = (header: string): string | undefined => {
  const match = hostPattern.exec(header)
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}

/** The port is left open: a tunnel or a container may have another one in front. */
const isOurs = (host: string, { bindAddress, hostname }: Names): boolean =>
  HostPort.isLoopback(host) || host === bindAddress.toLowerCase() || (
    // An address is no name that could be pointed elsewhere.
    !HostPort.isLoopback(bindAddress) && (
      isIP(host) !== 0 || host === hostname.toLowerCase() || host === `${hostname.toLowerCase()}.local`
    )
  )

/**
 * Whether it comes from a program, which asks by whatever name it reaches this server under, and not from a page. A page
 * cannot leave out `Origin` but where it only reads; `Sec-Fetch-Site` it cannot leave out where the browser sends it, but
 * programs in Node send the other headers of that name.
 */
export const isProgram = (headers: IncomingHttpHeaders): boolean =>
  headers.origin === undefined && headers["sec-fetch-site"] === undefined
  && !/^Mozilla\//i.test(headers["user-agent"] ?? "")

/** Why a request is refused; `undefined` when it is not. */
export const refusal = (headers: IncomingHttpHeaders, names: Names): string | undefined => {
  const host = headers.host ?? ""
  const name = hostOf(host)
  if (name === undefined || !isOurs(name, names)) {
    const others = HostPort.isLoopback(names.bindAddress) ? "" : `, ${names.hostname} or an address of this machine`
    return `this server does not go by the name it was asked for; use localhost${others}`
  }
  const { origin } = headers
  if (origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`) {
    return "pages of other sites may not ask this server"
  }
  const site = headers["sec-fetch-site"]
  if ((site === "cross-site" || site === "same-site") && headers["sec-fetch-mode"] !== "navigate") {
    return "pages of other sites may not ask this server"
  }
  return undefined
}
