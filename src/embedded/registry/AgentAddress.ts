/**
 * Whether the orchestrator may dial the address that a node advertises. Registering nodes must not be a way to make it
 * connect to its own machine, to a cloud's metadata service, or to itself.
 */
import * as net from "node:net"
import * as Option from "effect/Option"
import * as HostPort from "../../net/HostPort.js"
import * as LocalAddress from "../../net/LocalAddress.js"

const never = new net.BlockList()
never.addSubnet("0.0.0.0", 8)
never.addSubnet("169.254.0.0", 16)
never.addSubnet("224.0.0.0", 3)
never.addAddress("::", "ipv6")
never.addSubnet("fe80::", 10, "ipv6")
never.addSubnet("ff00::", 8, "ipv6")

const loopback = new net.BlockList()
loopback.addSubnet("127.0.0.0", 8)
loopback.addAddress("::1", "ipv6")

const isIn = (list: net.BlockList, address: string) => list.check(address, net.isIPv6(address) ? "ipv6" : "ipv4")

/** `127.1`, `0x7f000001`, `2130706433`: numbers that system libraries read as addresses, each in its own way. */
const isNumeric = (host: string) => /^(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?$/i.test(host)

/** The address of a peer, from gRPC's `host:port`, without IPv6's forms of IPv4. */
export const peerHost = (peer: string): string =>
  peer.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1").replace(/^::ffff:(?=\d+\.)/i, "")

export const isLoopbackPeer = (host: string): boolean => net.isIP(host) !== 0 && isIn(loopback, host)

/** Why an IP address must not be dialled; `isLocal` is whether the node registered from this machine. */
export const problem = (address: string, isLocal: boolean): string | undefined => {
  const host = address.replace(/%.*$/, "")
  if (net.isIP(host) === 0) return "it is not an IP address"
  if (isIn(never, host)) return "it is a link-local, multicast or unspecified address"
  if (!isLocal && isIn(loopback, host)) {
    return "it is a loopback address, which leads from the orchestrator to itself; set --advertise-address on the node"
  }
  return undefined
}

/** Whether text is `host:port` with a host that is a name or a whole IP address. */
export const isWellFormed = (address: string): boolean =>
  Option.exists(HostPort.parse(address), ({ host }) => net.isIP(host) !== 0 || !isNumeric(host))

/** Why a well-formed address must not be dialled. Names are looked at when they are resolved. */
export const problemOf = (
  address: string,
  options: { readonly isLocal: boolean; readonly ownPorts: ReadonlyArray<number> }
): string | undefined => {
  const { host, port } = Option.getOrElse(HostPort.parse(address), () => ({ host: "", port: 0 }))
  const literal = host === "localhost" || host.endsWith(".localhost") ? "127.0.0.1" : host
  if (net.isIP(literal) === 0) return undefined
  const found = problem(literal, options.isLocal)
  if (found !== undefined) return found
  const isOwn = () =>
    isIn(loopback, literal)
    || Object.values(LocalAddress.interfaces()).some((list) => list?.some((one) => one.address === literal))
  return options.ownPorts.includes(port) && isOwn() ? "it is the orchestrator's own port" : undefined
}
