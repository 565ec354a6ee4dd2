/** Network addresses: `host:port`, an IPv6 host in brackets, and the ways in which people write them. */
import * as net from "node:net"
import * as Option from "effect/Option"

export interface HostPort {
  /** A name or an address; an IPv6 one without its brackets. */
  readonly host: string
  readonly port: number
}

const pattern = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.]+)?)\]|([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?\.?)):(\d{1,5})$/

/** In characters: a name of the DNS, brackets, a zone and a port. */
const maxLength = 320

/** Reads `host:port` with a port from 1 to 65535. */
export const parse = (text: string): Option.Option<HostPort> => {
  const match = text.length > maxLength ? null : pattern.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  const isHost = host !== undefined && host.length <= 253 && (match?.[1] === undefined || net.isIPv6(host))
  return !isHost || port < 1 || port > 65_535
    ? Option.none()
    : Option.some({ host, port })
}

/** Names of resolvers that mean a host and a port; an authority (`dns://8.8.8.8/host`) is not supported. */
const resolver = /^(?:(?:dns|passthrough):(?:\/\/\/)?|ipv[46]:)/i

/**
 * Reads the target of a gRPC connection as Go's programs take it: `host:port`; a host alone, whose port is `defaultPort`;
 * `:port` for this machine; `dns:///host:port` and `passthrough:///host:port`; an IPv6 address with or without brackets.
 * Surrounding blanks do not count.
 */
export const parseTarget = (text: string, defaultPort: number): Option.Option<HostPort> => {
  const target = text.slice(0, maxLength + 64).trim().replace(resolver, "")
  if (target.startsWith(":") && !net.isIPv6(target)) return parse(`localhost${target}`)
  if (net.isIPv6(target)) return parse(`[${target}]:${defaultPort}`)
  return Option.orElse(parse(target), () => parse(`${target}:${defaultPort}`))
}

export const format = ({ host, port }: HostPort): string => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/** Whether only programs on this machine can reach the host. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)
