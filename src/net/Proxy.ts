/**
 * The environment's proxies, by the rules of curl and of Go's programs: which variable counts for a target, and what is
 * excepted from it.
 */
import * as net from "node:net"
import * as Option from "effect/Option"
import * as HostPort from "./HostPort.js"

export interface Proxy {
  readonly address: HostPort.HostPort
  /** `user:password`, decoded. */
  readonly credentials?: string
  /** The variable that names it: `http_proxy`. */
  readonly variable: string
}

type Environment = Readonly<Record<string, string | undefined>>

/** The first that is set, in lower case and then in upper case; an empty one counts as not set. */
const find = (environment: Environment, names: ReadonlyArray<string>) => {
  for (const name of names) {
    for (const variable of [name, name.toUpperCase()]) {
      const value = environment[variable]?.trim()
      if (value !== undefined && value !== "") return { variable, value }
    }
  }
  return undefined
}

/** Reads `http://user:password@host:port`, or `host:port` alone. Other schemes are not supported. */
const parse = (value: string, variable: string): Proxy | undefined => {
  const written = /^[a-z][a-z0-9+.-]*:\/\//i.test(value) ? value : `http://${value}`
  if (!URL.canParse(written)) return undefined
  const url = new URL(written)
  if (url.protocol !== "http:") return undefined
  const port = url.port === "" ? 80 : Number(url.port)
  const address = Option.getOrUndefined(HostPort.parse(`${url.hostname}:${port}`))
  if (address === undefined) return undefined
  const secret = `${url.username}${url.password === "" ? "" : `:${url.password}`}`
  return { address, variable, ...(secret === "" ? {} : { credentials: decode(secret) }) }
}

const decode = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const bareHost = (host: string) => host.replace(/^\[|\]$/g, "").replace(/\.$/, "").toLowerCase()

/** Whether an entry of NO_PROXY covers a target: `*`, a name and what is below it, an address or a range, with a port or not. */
const covers = (entry: string, { host, port }: HostPort.HostPort): boolean => {
  if (entry === "*") return true
  const range = /^\[?([^\]/]+)\]?\/(\d{1,3})$/.exec(entry)
  if (range !== null) return inRange(host, range[1] ?? "", Number(range[2]))
  const { host: named, port: only } = net.isIPv6(entry)
    ? { host: entry, port: undefined }
    : splitPort(entry)
  if (only !== undefined && only !== port) return false
  // `.lan`, `*.lan` and `lan` all mean the domain and what is below it.
  const domain = bareHost(named.replace(/^\*?\./, ""))
  if (domain === "") return false
  return host === domain || (net.isIP(host) === 0 && host.endsWith(`.${domain}`))
}

const splitPort = (entry: string): { readonly host: string; readonly port?: number } => {
  const found = /^(.*):(\d{1,5})$/.exec(entry)
  return found === null ? { host: entry } : { host: found[1] ?? "", port: Number(found[2]) }
}

const inRange = (host: string, network: string, bits: number): boolean => {
  const family = net.isIP(host)
  if (family === 0 || net.isIP(network) !== family || bits > (family === 4 ? 32 : 128)) return false
  const list = new net.BlockList()
  const kind = family === 4 ? "ipv4" : "ipv6"
  list.addSubnet(network, bits, kind)
  return list.check(host, kind)
}

/** Whether NO_PROXY, `value`, excepts a target. Entries are set apart by commas or blanks. */
export const isExcepted = (value: string, target: HostPort.HostPort): boolean => {
  const host = bareHost(target.host)
  return value.slice(0, 16_384).toLowerCase().split(/[\s,]+/).some((entry) =>
    entry !== "" && covers(entry, { host, port: target.port })
  )
}

/**
 * The proxy for a target; `undefined` when it is reached directly, as this machine itself always is. Encrypted connections
 * use `https_proxy`, others `http_proxy`; `grpc_proxy` goes before both and `all_proxy` comes after.
 */
export const fromEnvironment = (
  target: HostPort.HostPort,
  secure: boolean,
  environment: Environment
): Proxy | undefined => {
  if (HostPort.isLoopback(target.host)) return undefined
  const found = find(environment, ["grpc_proxy", secure ? "https_proxy" : "http_proxy", "all_proxy"])
  if (found === undefined) return undefined
  const exceptions = find(environment, ["no_grpc_proxy", "no_proxy"])
  if (exceptions !== undefined && isExcepted(exceptions.value, target)) return undefined
  return parse(found.value, found.variable)
}
