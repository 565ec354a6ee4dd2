/** The one error of gRPC calls, on either side of the wire. */
import * as grpc from "@grpc/grpc-js"
import * as Data from "effect/Data"
import * as Printable from "../text/Printable.js"

const always = new Set<grpc.status>([grpc.status.UNAVAILABLE, grpc.status.ABORTED])
const whenIdempotent = new Set<grpc.status>([
  grpc.status.DEADLINE_EXCEEDED,
  grpc.status.INTERNAL,
  grpc.status.UNKNOWN
])

/** The longest status message that is put on the wire: peers bound their header sizes. */
const maxDetailsLength = 2000

/**
 * A call that did not end with status OK.
 *
 * A client gets it with the method and the peer filled in; a handler fails with {@link fail}'s, and the server adds
 * them.
 */
export class GrpcError extends Data.TaggedError("GrpcError")<{
  /** The status code: https://grpc.io/docs/guides/status-codes/. */
  readonly code: grpc.status
  /** The status message, as the peer wrote it. */
  readonly details: string
  /** `/orchion.v1.Orchestrator/Heartbeat`; empty in a handler. */
  readonly method: string
  /** `host:port` of the other side; empty in a handler. */
  readonly peer: string
  /** Whether repeating the call may help and can do no harm. */
  readonly retryable: boolean
  readonly cause?: unknown
}> {
  /** `UNAVAILABLE`. */
  get codeName(): string {
    return grpc.status[this.code] ?? `code ${this.code}`
  }

  override get message(): string {
    const where = this.method === "" ? "" : `${this.method} at ${this.peer}: `
    return `${where}${this.codeName}: ${this.details}`
  }
}

/** Whether a message was larger than its reader takes: it will be the next time, too. */
export const isTooLarge = (code: grpc.status, details: string): boolean =>
  code === grpc.status.RESOURCE_EXHAUSTED && details.includes("larger than max")

/** Whether a call that ended with this status may be repeated. */
export const isRetryable = (code: grpc.status, details: string, idempotent: boolean): boolean =>
  always.has(code)
  || (code === grpc.status.RESOURCE_EXHAUSTED && !isTooLarge(code, details))
  || (idempotent && whenIdempotent.has(code))

/**
 * As it can be put on the wire, where halves of surrogate pairs cannot: what a peer wrote may hold them, and cutting a
 * text makes them.
 */
export const wireText = (text: string): string => text.isWellFormed() ? text : text.toWellFormed()

/**
 * A status message as it is put on the wire: on one line, without double quotes and backslashes, and bounded. Gateways in the
 * field paste it between double quotes into JSON, and grpc-js never ends a call whose message it cannot encode.
 */
export const wireDetails = (details: string): string =>
  Printable.oneLine(details, maxDetailsLength).replaceAll("\"", "'").replaceAll("\\", "/")

/** What a handler fails with to answer a call with a status. */
export const fail = (code: grpc.status, details: string): GrpcError =>
  new GrpcError({
    code,
    details: wireText(Printable.cut(details, maxDetailsLength)),
    method: "",
    peer: "",
    retryable: isRetryable(code, details, false)
  })

/** What grpc-js reports, as ours. */
export const fromServiceError = (
  error: unknown,
  call: { readonly method: string; readonly peer: string; readonly idempotent: boolean }
): GrpcError => {
  const { code, details } = statusOf(error)
  return new GrpcError({
    code,
    details,
    method: call.method,
    peer: call.peer,
    retryable: isRetryable(code, details, call.idempotent),
    cause: error
  })
}

/** A status as it came over the wire may lack its parts, and its code may be none. */
const statusOf = (error: unknown): { readonly code: grpc.status; readonly details: string } => {
  const { code, details } = (typeof error === "object" && error !== null ? error : {}) as {
    readonly code?: unknown
    readonly details?: unknown
  }
  if (typeof code === "number") {
    return {
      // The standard's rule for unknown codes.
      code: grpc.status[code] === undefined ? grpc.status.UNKNOWN : code,
      details: typeof details === "string" ? details : ""
    }
  }
  const message = error instanceof Error ? error.message : String(error)
  return {
    code: grpc.status.INTERNAL,
    // What grpc-js makes of a status without parts.
    details: message.startsWith("undefined") ? "the call ended without a status" : message
  }
}

/** The status codes, for those who have no other business with grpc-js. */
export const Status = grpc.status
export type Status = grpc.status
