/**
 * Who may read the HTTP API from a browser: the page that this server itself delivered, and origins that were allowed.
 *
 * A page of another site can make a browser send requests here, and can point a name of its own at this machine (DNS
 * rebinding). The first shows in `Origin` and `Sec-Fetch-Site`, the second in `Host`.
 */
import type { IncomingHttpHeaders } from "node:http"
import { isIP } from "node:net"
import * as HostPort from "../../net/HostPort.js"

/** Which names a server on this address answers to, and to whose pages. */
export interface Names {
  /** What it listens on. */
  readonly bindAddress: string
  /** The machine's name. */
  readonly hostname: string
  /** The URL under which a proxy or a domain name leads here: `https://llm.example.com`. */
  readonly publicUrl?: string | undefined
  /** Origins of pages, apps and extensions that may ask: `http://localhost:3000`, `app://obsidian.md`. */
  readonly allowOrigins?: ReadonlyArray<string> | undefined
}

const hostPattern = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/

const hostOf = (header: string): string | undefined => {
  const match = hostPattern.exec(header)
  return (match?.[1] ?? match?.[2])?.toLowerCase()
}

const publicOf = ({ publicUrl }: Names) =>
  publicUrl !== undefined && URL.canParse(publicUrl) ? new URL(publicUrl) : undefined

/** Whether no outsider can point the name at this machine. Any port is accepted: a tunnel may use another one. */
const isOurs = (host: string, names: Names): boolean => {
  const { bindAddress, hostname } = names
  return HostPort.isLoopback(host) || host === bindAddress.toLowerCase()
    || host === publicOf(names)?.hostname.replace(/^\[|\]$/g, "") || (
      // An address is no name that could be pointed elsewhere.
      !HostPort.isLoopback(bindAddress) && (
        isIP(host) !== 0 || host === hostname.toLowerCase() || host === `${hostname.toLowerCase()}.local`
      )
    )
}

/** Names that cannot be registered publicly: the network's owner decides where they lead. */
const isPrivate = (host: string): boolean =>
  isIP(host) !== 0 || !host.includes(".")
  || /\.(?:local|localdomain|localhost|lan|internal|home\.arpa|test)\.?$/.test(host)

const isAllowedOrigin = (origin: string, { allowOrigins = [] }: Names): boolean =>
  allowOrigins.some((allowed) => allowed === "*" || allowed.replace(/\/$/, "").toLowerCase() === origin.toLowerCase())

const isOwnOrigin = (origin: string, host: string, names: Names): boolean =>
  origin === `http://${host}` || origin === `https://${host}` || origin === publicOf(names)?.origin

/**
 * Whether it comes from a program, which asks by whatever name it reaches this server under, and not from a page.
 * Browsers send `Origin` with everything but reads of the page's own site; what only reads counts as a program's only
 * under a name that no outsider can point here, since a page may set its own `User-Agent`. `Sec-Fetch-Site` is a
 * browser's alone; other headers of that name are sent by programs in Node, too.
 */
export const isProgram = (headers: IncomingHttpHeaders, method = "POST"): boolean => {
  const agent = headers["user-agent"] ?? ""
  return headers.origin === undefined && headers["sec-fetch-site"] === undefined
    && (!/^Mozilla\//i.test(agent) || /PowerShell/i.test(agent))
    && (method === "POST" || isPrivate(hostOf(headers.host ?? "") ?? "."))
}

/** Headers for the pages of an origin that was allowed; `undefined` where none are needed. */
export const corsHeaders = (
  headers: IncomingHttpHeaders,
  names: Names
): Readonly<Record<string, string>> | undefined => {
  const { host = "", origin } = headers
  if (origin === undefined || isOwnOrigin(origin, host, names) || !isAllowedOrigin(origin, names)) return undefined
  const asked = headers["access-control-request-headers"]
  return {
    "Access-Control-Allow-Origin": origin,
    Vary: "Origin",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": typeof asked === "string" && /^[\w\s,-]{1,1000}$/.test(asked)
      ? asked
      : "Content-Type",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600"
  }
}

/** Why a request is refused; `undefined` when it is not. */
export const refusal = (headers: IncomingHttpHeaders, names: Names): string | undefined => {
  const host = headers.host ?? ""
  const name = hostOf(host)
  if (name === undefined || !isOurs(name, names)) {
    const others = HostPort.isLoopback(names.bindAddress) ? "" : `, ${names.hostname} or an address of this machine`
    return `this server does not go by the name it was asked for; use localhost${others}, `
      + "or start it with --public-url and the URL that leads here"
  }
  const { origin } = headers
  if (origin !== undefined) {
    return isOwnOrigin(origin, host, names) || isAllowedOrigin(origin, names)
      ? undefined
      : "pages of other sites may not ask this server; start it with --allow-origin and the page's origin to allow it"
  }
  const site = headers["sec-fetch-site"]
  if ((site === "cross-site" || site === "same-site") && headers["sec-fetch-mode"] !== "navigate") {
    return "pages of other sites may not ask this server; start it with --allow-origin and the page's origin to allow it"
  }
  return undefined
}
