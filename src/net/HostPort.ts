/** Network addresses as `host:port`, an IPv6 host in brackets. */
import * as net from "node:net"
import * as Option from "effect/Option"

export interface HostPort {
  /** A name or an address; an IPv6 one without its brackets. */
  readonly host: string
  readonly port: number
}

const pattern = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.]+)?)\]|([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?\.?)):(\d{1,5})$/

/** Reads `host:port` with a port from 1 to 65535. */
export const parse = (text: string): Option.Option<HostPort> => {
  const match = pattern.exec(text)
  const host = match?.[1] ?? match?.[2]
  const port = Number(match?.[3])
  const isHost = host !== undefined && host.length <= 253 && (match?.[1] === undefined || net.isIPv6(host))
  return !isHost || port < 1 || port > 65_535
    ? Option.none()
    : Option.some({ host, port })
}

export const format = ({ host, port }: HostPort): string => host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/** Whether only programs on this machine can reach the host. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host.endsWith(".localhost") || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(host)
