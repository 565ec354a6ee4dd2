import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as GrpcFailure from "../../src/grpc/GrpcFailure.js"

const { Status } = GrpcError

const failure = (code: GrpcError.Status, details: string) =>
  GrpcFailure.of(GrpcError.fromServiceError({ code, details }, { method: "/a/B", peer: "h:1", idempotent: false }))

const noConnection = (lastError: string) =>
  `No connection established. Last error: ${lastError} (2026-11-24T10:00:00.000Z). Resolution note: `

/** What grpc-js 1.14.7 and OpenSSL 3 say, and what people are told. */
const table: ReadonlyArray<
  readonly [code: GrpcError.Status, details: string, kind: GrpcFailure.GrpcFailure["kind"], reason: RegExp]
> = [
  [Status.UNAVAILABLE, noConnection("connect ECONNREFUSED 127.0.0.1:9"), "connection", /^connection refused: nothing/],
  [Status.UNAVAILABLE, noConnection("connect EHOSTUNREACH 10.0.0.1:9"), "connection", /^no route to the host$/],
  [Status.UNAVAILABLE, noConnection("undefined"), "connection", /^the connection could not be made$/],
  [Status.UNAVAILABLE, "No connection established. Last error: null. Resolution note: ", "connection", /could not be/],
  [Status.UNAVAILABLE, "Name resolution failed for target dns:x:1", "connection", /^the name does not resolve$/],
  [Status.UNAVAILABLE, noConnection("Failed to connect"), "connection", /it may expect TLS/],
  [Status.UNAVAILABLE, "Connection dropped", "connection", /^the connection was closed$/],
  [Status.INTERNAL, "Received RST_STREAM with code 2 (Internal server error)", "connection", /^the answer broke off/],
  [Status.UNKNOWN, "No status information received", "connection", /^the answer broke off/],
  [Status.RESOURCE_EXHAUSTED, "Bandwidth exhausted or memory limit exceeded", "connection", /too many requests/],
  [Status.UNAVAILABLE, noConnection("Protocol error"), "not-grpc", /^something that is not gRPC answers there/],
  [Status.UNIMPLEMENTED, "Received HTTP status code 404", "not-grpc", /HTTP status 404$/],
  [Status.PERMISSION_DENIED, "Received HTTP status code 403", "not-grpc", /HTTP status 403$/],
  [Status.UNAVAILABLE, "Received HTTP status code 502", "not-grpc", /^a proxy answers there with HTTP status 502/],
  [
    Status.RESOURCE_EXHAUSTED,
    "Received message larger than max (1752460652 vs 4194304)",
    "not-grpc",
    /^something that is not gRPC answers there: it answers with text$/
  ],
  [
    Status.RESOURCE_EXHAUSTED,
    "Received message larger than max (5000000 vs 4194304)",
    "too-large",
    /^the message is too large: 5000000 bytes, where 4194304 are accepted$/
  ],
  [Status.DEADLINE_EXCEEDED, "Deadline exceeded after 5.001s,LB pick: 0.1s", "timeout", /^no answer in time$/],
  [
    Status.UNAVAILABLE,
    noConnection("unable to verify the first certificate"),
    "tls",
    /^its certificate is signed by an authority that this machine does not know/
  ],
  [Status.UNAVAILABLE, noConnection("self-signed certificate in certificate chain"), "tls", /does not know/],
  [Status.UNAVAILABLE, noConnection("certificate has expired"), "tls", /^its certificate has expired/],
  [Status.UNAVAILABLE, noConnection("certificate is not yet valid"), "tls", /clock of this machine/],
  [
    Status.UNAVAILABLE,
    noConnection("Hostname/IP does not match certificate's altnames: IP: 127.0.0.1 is not in the cert's list: "),
    "tls",
    /^its certificate is for another name \(IP: 127\.0\.0\.1 is not in the cert's list/
  ],
  [
    Status.UNAVAILABLE,
    noConnection("write EPROTO 40D7:error:0A00010B:SSL routines:ssl3_get_record:wrong version number"),
    "tls",
    /^it does not speak TLS/
  ],
  [
    Status.UNAVAILABLE,
    noConnection("40D7:error:0A00045C:SSL routines:ssl3_read_bytes:tlsv13 alert certificate required"),
    "tls",
    /^it wants a client certificate/
  ],
  [Status.UNAVAILABLE, noConnection("ssl3_read_bytes:tlsv1 alert unknown ca"), "tls", /does not accept this client's/],
  // A peer's own words are its own.
  [Status.NOT_FOUND, "certificate has expired", "status", /^certificate has expired$/],
  [Status.UNIMPLEMENTED, "not here", "unimplemented", /./],
  [Status.UNAVAILABLE, "we are restarting", "status", /^we are restarting$/],
  [Status.INTERNAL, "", "status", /^INTERNAL$/]
]

describe("what a failed call means", () => {
  it.each(table)("%s %s is %s", (code, details, kind, reason) => {
    const found = failure(code, details)
    assert.strictEqual(found.kind, kind)
    assert.match(found.reason, reason)
  })

  it("is said on one bounded line, whatever a peer wrote", () => {
    const text = FastCheck.oneof(
      FastCheck.string({ unit: "binary", maxLength: 3000 }),
      FastCheck.constantFrom(...table.map(([, details]) => details)),
      FastCheck.constant("a\u001b[31mb\u202e\r\n".repeat(8000))
    )
    FastCheck.assert(
      FastCheck.property(FastCheck.integer({ min: -2, max: 40 }), text, text, (code, one, other) => {
        const { reason } = failure(code, one + other)
        assert.isAtMost(reason.length, 530)
        assert.isNotEmpty(reason)
        assert.notMatch(reason, /[\u0000-\u001f\u007f-\u009f\u202e]/)
        assert.isTrue(reason.isWellFormed())
      }),
      { numRuns: 300 }
    )
  })

  it("handles statuses that lack their parts", () => {
    const of = (error: unknown) => GrpcError.fromServiceError(error, { method: "/a/B", peer: "h:1", idempotent: false })
    assert.strictEqual(of(new Error("undefined undefined: undefined")).details, "the call ended without a status")
    assert.deepInclude(of({ code: 99, details: undefined }), { code: Status.UNKNOWN, details: "" })
    assert.deepInclude(of({ code: Number.NaN, details: "x" }), { code: Status.UNKNOWN, details: "x" })
  })
})
