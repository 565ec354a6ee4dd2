/** Why a server cannot listen on an address: the fields and the message of every such error. */

export interface BindFailure {
  readonly host: string
  readonly port: number
  readonly reason: "in-use" | "not-permitted" | "no-such-address" | "other"
  /** As the system put it. */
  readonly details: string
}

const reasons: ReadonlyArray<readonly [code: string, reason: BindFailure["reason"]]> = [
  ["EADDRINUSE", "in-use"],
  ["EACCES", "not-permitted"],
  ["EPERM", "not-permitted"],
  ["EADDRNOTAVAIL", "no-such-address"],
  // A machine without IPv6, or without IPv4.
  ["EAFNOSUPPORT", "no-such-address"],
  ["ENOTFOUND", "no-such-address"]
]

/** Derives the reason from the error of Node or grpc-js. */
export const make = (listening: { readonly host: string; readonly port: number }, details: string): BindFailure => ({
  host: listening.host,
  port: listening.port,
  reason: reasons.find(([code]) => details.includes(code))?.[1] ?? "other",
  details
})

/** One line for a person. */
export const describe = ({ details, host, port, reason }: BindFailure): string => {
  const at = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  switch (reason) {
    case "in-use":
      return `port ${port} on ${host} is taken by another program`
    case "not-permitted":
      return `this user may not listen on ${at}`
    case "no-such-address":
      return `${host} is not an address of this machine`
    case "other":
      return `cannot listen on ${at}: ${details}`
  }
}
