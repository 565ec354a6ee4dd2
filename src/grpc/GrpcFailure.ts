/**
 * What a failed call means, in words for a person. grpc-js reports the most different things as one status (an unknown
 * certificate, a web server and a dead machine are all UNAVAILABLE), and its texts name its own insides: here they are
 * recognised by what they contain.
 */
import * as Printable from "../text/Printable.js"
import * as SystemError from "../text/SystemError.js"
import * as GrpcError from "./GrpcError.js"

const { Status } = GrpcError

export interface GrpcFailure {
  readonly kind:
    /** The peer answered with this status, for reasons of its own. */
    | "status"
    /** It does not serve the method. */
    | "unimplemented"
    /** A message was beyond what its reader takes: repeating it does not help. */
    | "too-large"
    | "timeout"
    /** Something answers there, and it is no gRPC server. */
    | "not-grpc"
    /** A certificate or a way of encrypting that one side does not accept. */
    | "tls"
    /** The proxy that the environment names does not lead there. */
    | "proxy"
    /** No connection, or one that broke. */
    | "connection"
  /** One printable line, for after a colon. */
  readonly reason: string
}

/** In characters. What a peer writes into a status is shown up to here. */
const maxReason = 500

/** What a system error of a connection attempt means. */
const connectionErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: nothing listens there",
  ETIMEDOUT: "the connection attempt timed out",
  EPROTO: "it does not speak TLS"
}

type Rule = readonly [pattern: RegExp, kind: GrpcFailure["kind"], reason: (match: RegExpExecArray) => string]

const say = (reason: string) => () => reason

/** First match wins. */
const rules: ReadonlyArray<Rule> = [
  // Our own words, of the tunnel through a proxy.
  [/proxy: (the proxy .{1,400} to no_proxy)/, "proxy", ([, said = ""]) => said],
  // Certificates and encryption. OpenSSL's texts, and the codes that Node gives them.
  [
    /unable to verify the first certificate|self[- ]signed certificate|unable to get (?:local )?issuer certificate|UNABLE_TO_(?:VERIFY|GET)|SELF_SIGNED_CERT/,
    "tls",
    say("its certificate is signed by an authority that this machine does not know; give that authority's certificate")
  ],
  [
    /certificate has expired|CERT_HAS_EXPIRED/,
    "tls",
    say("its certificate has expired; renew it, or correct the clock of this machine")
  ],
  [
    /certificate is not yet valid|CERT_NOT_YET_VALID/,
    "tls",
    say("its certificate is not valid yet; the clock of this machine is probably behind")
  ],
  [
    /Hostname\/IP does not match certificate's altnames:? ?(.{0,200})|ERR_TLS_CERT_ALTNAME_INVALID/,
    "tls",
    ([, names = ""]) =>
      `its certificate is for another name${names === "" ? "" : ` (${names})`}; use a name that the certificate has`
  ],
  [
    /wrong version number|packet length too long|record layer failure/,
    "tls",
    say("it does not speak TLS; connect in plain text, or enable TLS there")
  ],
  [/certificate required/, "tls", say("it wants a client certificate, and none was given")],
  [
    /alert (?:unknown ca|bad certificate|certificate unknown|certificate revoked|certificate expired|access denied)/,
    "tls",
    say("it does not accept this client's certificate; its log says why")
  ],
  [/handshake failure/, "tls", say("the two sides do not agree on a way of encrypting")],
  // A web server, or something else altogether.
  [
    /Received HTTP status code (50[234])/,
    "not-grpc",
    ([, code]) => `a proxy answers there with HTTP status ${code}: what is behind it does not`
  ],
  [/Received HTTP status code (\d+)/, "not-grpc", ([, code]) => notGrpc(`it answers with HTTP status ${code}`)],
  [
    /Received message larger than max \((\d+) vs (\d+)\)/,
    "too-large",
    ([, size, limit]) => `the message is too large: ${size} bytes, where ${limit} are accepted`
  ],
  [
    /larger than max \((\d+) vs\.? (\d+)\)/,
    "too-large",
    ([, size, limit]) => `the message is too large: ${size} bytes, where ${limit} are accepted`
  ],
  [
    /with a size larger than (\d+)|to a size larger than (\d+)/,
    "too-large",
    ([, sent, received]) => `the message is too large: more than the ${sent ?? received} bytes that are accepted`
  ],
  [/Protocol error|HPE_|bad client magic/, "not-grpc", () => notGrpc("it does not speak HTTP/2")],
  // Names and connections.
  [/Name resolution failed/, "connection", () => SystemError.reasonOf("ENOTFOUND")],
  [
    /Last error: Failed to connect/,
    "connection",
    say("it closed the connection before a word was said; it may expect TLS, or another certificate")
  ],
  [/Connection dropped|Socket closed|Connection closed|socket hang up/, "connection", say("the connection was closed")],
  [/Stream refused by server/, "connection", say("it takes no more requests on this connection")],
  [
    /Bandwidth exhausted or memory limit exceeded/,
    "connection",
    say("it ended the connection: too many requests or pings")
  ],
  [
    /No status information received|Call ended without gRPC status|Received RST_STREAM with code \d+/,
    "connection",
    say("the answer broke off: the connection or a proxy on the way ended it")
  ],
  [/Last error: (?:undefined|null|)(?:\.|$| \()/, "connection", say("the connection could not be made")]
]

const notGrpc = (how: string) => `something that is not gRPC answers there: ${how}`

/** The length of a message that is really the beginning of a text: `<html>` reads as 1,752,460,652 bytes. */
const asText = (size: number): string | undefined => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(size)
  return bytes.every((byte) => (byte >= 0x20 && byte < 0x7f) || byte === 0x0a || byte === 0x0d)
    ? bytes.toString("latin1")
    : undefined
}

/** The rules that a status of one's own choosing cannot meet by its wording alone. */
const isTransports = (code: GrpcError.Status) =>
  code === Status.UNAVAILABLE || code === Status.INTERNAL || code === Status.UNKNOWN || code === Status.CANCELLED
  || code === Status.RESOURCE_EXHAUSTED

const systemErrorIn = (details: string): string | undefined => {
  const code = SystemError.codeIn(details)
  if (code === undefined) return undefined
  const reason = SystemError.reasonOf(code, connectionErrors)
  return reason === code ? undefined : reason
}

const find = (details: string): GrpcFailure | undefined => {
  for (const [pattern, kind, reason] of rules) {
    const match = pattern.exec(details)
    if (match !== null) return { kind, reason: reason(match) }
  }
  return undefined
}

const recognise = (code: GrpcError.Status, details: string): GrpcFailure | undefined => {
  const size = /^Received message larger than max \((\d{1,10}) vs \d+\)/.exec(details)?.[1]
  const text = size === undefined || Number(size) > 0xffff_ffff ? undefined : asText(Number(size))
  if (text !== undefined) return { kind: "not-grpc", reason: notGrpc("it answers with text") }
  // A web server's answer has any status: what HTTP's means is not the peer's word on our request.
  if (!isTransports(code) && !/^Received HTTP status code/.test(details)) return undefined
  const found = find(details)
  if (found !== undefined) return found
  const system = code === Status.UNAVAILABLE ? systemErrorIn(details) : undefined
  return system === undefined ? undefined : { kind: "connection", reason: system }
}

/** What a failed call means. */
export const of = (error: GrpcError.GrpcError): GrpcFailure => {
  if (error.code === Status.DEADLINE_EXCEEDED) return { kind: "timeout", reason: "no answer in time" }
  // Texts of a library are recognised within their first part; what is longer is a peer's own.
  const found = recognise(error.code, error.details.slice(0, 4000))
  if (found !== undefined) return { kind: found.kind, reason: Printable.oneLine(found.reason, maxReason) }
  if (error.code === Status.UNIMPLEMENTED) return { kind: "unimplemented", reason: "it does not serve this method" }
  const details = Printable.oneLine(error.details, maxReason)
  return { kind: "status", reason: details === "" ? error.codeName : details }
}
