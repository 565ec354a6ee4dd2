/**
 * A small HTTP client on top of Node's, for requests to Docker and engines, over TCP, TLS, Unix sockets and named
 * pipes. Without redirects, proxies and keep-alive.
 *
 * Everything a peer controls is bounded: the time until the response begins and ends, the bytes of a body and of a
 * line.
 */
import type * as http from "node:http"
import { StringDecoder } from "node:string_decoder"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Bytes from "../text/Bytes.js"
import * as SystemError from "../text/SystemError.js"
import { guarded } from "../effect/Callback.js"
import * as HttpBody from "./HttpBody.js"

/** Certificates and key of a TLS connection, as PEM texts. */
export interface Tls {
  /** Trusted certificate authorities, instead of the system's. */
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  /** Whether the peer's certificate must be valid. */
  readonly verify: boolean
}

export interface HttpRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT" | "DELETE"
  /** `http://` or `https://`. With a `socketPath`, its host is only what the `Host` header says. */
  readonly url: string
  /** A Unix socket or a named pipe. */
  readonly socketPath?: string | undefined
  /** For `https://` only. */
  readonly tls?: Tls | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array | undefined
}

/** An exchange that failed. */
export class HttpFailed extends Data.TaggedError("HttpFailed")<{
  /**
   * - `unreachable`: no connection; nothing was sent
   * - `lost`: the connection ended before the answer did
   * - `timeout`: the deadline passed
   * - `too-large`: the answer is longer than allowed
   * - `not-http`: what answers does not speak HTTP
   * - `invalid`: the request cannot be sent as it is
   */
  readonly problem: "unreachable" | "lost" | "timeout" | "too-large" | "not-http" | "invalid"
  /** In a few words, for after a colon: `connection refused`. */
  readonly reason: string
  /** The operating system's: `ECONNREFUSED`. */
  readonly code?: string | undefined
}> {
  override get message(): string {
    return this.reason
  }
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<http.IncomingHttpHeaders>
  /** As UTF-8. */
  readonly body: string
}

/** A response whose body has not been read yet: read it in one of these ways. */
export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<http.IncomingHttpHeaders>
  /** The next bytes; `undefined` at the end. */
  readonly chunk: Effect.Effect<Uint8Array | undefined, HttpFailed>
  /** The whole body as UTF-8. Fails with `too-large` beyond `maxBytes`. */
  readonly text: (maxBytes: number) => Effect.Effect<string, HttpFailed>
  /**
   * The next line that is not blank, without its end; `undefined` after the last. A line beyond `maxLength` UTF-16 code
   * units fails with `too-large`.
   */
  readonly lines: (maxLength: number) => Effect.Effect<string | undefined, HttpFailed>
}

const seconds = (duration: Duration.DurationInput) => `${Math.round(Duration.toSeconds(duration) * 10) / 10} s`

const neverSent = (error: unknown): boolean => {
  const call = typeof error === "object" && error !== null && "syscall" in error ? error.syscall : undefined
  return call === "connect" || call === "getaddrinfo"
}

/** Classifies an error of Node's client. */
export const failureOf = (error: unknown): HttpFailed => {
  if (error instanceof HttpFailed) return error
  const code = SystemError.codeOf(error)
  if (code?.startsWith("HPE_") === true) {
    return new HttpFailed({ problem: "not-http", reason: "the peer does not speak HTTP", code })
  }
  const reason = SystemError.describe(error)
  if (code !== undefined && /^ERR_(?:INVALID|UNESCAPED|HTTP_INVALID)/.test(code)) {
    return new HttpFailed({ problem: "invalid", reason, code })
  }
  // A rejected certificate and a lack of file descriptors are detected before anything is sent.
  const unsent = neverSent(error)
    || /^(?:EMFILE|ENFILE|ERR_TLS|ERR_SSL|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED)/.test(code ?? "")
  return new HttpFailed({ problem: unsent ? "unreachable" : "lost", reason, code })
}

const lost = (error: HttpBody.BodyLost): HttpFailed =>
  error.cause === undefined || error.cause === null
    ? new HttpFailed({ problem: "lost", reason: error.message })
    : failureOf(error.cause)

const tooLarge = (what: string, limit: number) =>
  new HttpFailed({ problem: "too-large", reason: `${what} is longer than ${Bytes.format(limit)}` })

const start = (client: typeof http, request: HttpRequest): http.ClientRequest => {
  const { body, headers, method, socketPath, tls, url } = request
  const length = body === undefined ? undefined : typeof body === "string" ? Buffer.byteLength(body) : body.byteLength
  const sent = client.request(url, {
    method,
    // One connection per request: a peer may close an idle one just as the next request picks it up.
    agent: false,
    headers: { ...(length === undefined ? {} : { "content-length": length }), ...headers },
    ...(socketPath === undefined ? {} : { socketPath }),
    ...(tls === undefined ? {} : { ca: tls.ca, cert: tls.cert, key: tls.key, rejectUnauthorized: tls.verify })
  })
  sent.end(body)
  return sent
}

const responseOf = (message: http.IncomingMessage): Effect.Effect<HttpResponse> =>
  Effect.map(HttpBody.reader(message), (read) => {
    const chunk = Effect.mapError(read, lost)
    const decoder = new StringDecoder("utf8")
    let ready: ReadonlyArray<string> = []
    let at = 0
    let rest = ""
    let end: Effect.Effect<undefined, HttpFailed> | undefined
    const feed = (text: string, maxLength: number): void => {
      const found = text.split("\n")
      found[0] = rest + (found[0] ?? "")
      rest = found.pop() ?? ""
      const whole = found.findIndex((line) => line.length > maxLength)
      if (whole !== -1 || rest.length > maxLength) {
        message.destroy()
        end = Effect.fail(tooLarge("a line of the answer", maxLength))
      }
      ready = found.slice(0, whole === -1 ? undefined : whole)
      at = 0
    }
    const lines = (maxLength: number): Effect.Effect<string | undefined, HttpFailed> =>
      Effect.suspend(() => {
        while (at < ready.length) {
          const line = ready[at++] ?? ""
          if (line.trim() !== "") return Effect.succeed(line.endsWith("\r") ? line.slice(0, -1) : line)
        }
        if (end !== undefined) return end
        return Effect.flatMap(chunk, (bytes) => {
          if (bytes === undefined) end = Effect.succeed(undefined)
          feed(bytes === undefined ? `${decoder.end()}\n` : decoder.write(Buffer.from(bytes)), maxLength)
          return lines(maxLength)
        })
      })
    return {
      status: message.statusCode ?? 0,
      headers: message.headers,
      chunk,
      lines,
      text: (maxBytes) =>
        Effect.gen(function*() {
          const chunks: Array<Uint8Array> = []
          let size = 0
          for (let bytes = yield* chunk; bytes !== undefined; bytes = yield* chunk) {
            size += bytes.byteLength
            if (size > maxBytes) {
              message.destroy()
              return yield* tooLarge("the answer", maxBytes)
            }
            chunks.push(bytes)
          }
          return Buffer.concat(chunks).toString("utf8")
        })
    }
  })

/** Sends a request and returns the response once it begins; the connection is closed with the scope. */
export const open = (
  request: HttpRequest,
  options: {
    /** Until the answer begins. */
    readonly deadline: Duration.DurationInput
  }
): Effect.Effect<HttpResponse, HttpFailed, Scope.Scope> =>
  Effect.gen(function*() {
    const client = yield* Effect.promise(() =>
      request.url.startsWith("https:") ? import("node:https") as unknown as Promise<typeof http> : import("node:http")
    )
    const sent = yield* Effect.acquireRelease(
      Effect.try({ try: () => start(client, request), catch: failureOf }),
      (sent) =>
        Effect.sync(() => {
          // A socket may emit more than one error, and one without a listener would end the process.
          sent.on("error", () => {})
          sent.destroy()
        })
    )
    const message = yield* Effect.async<http.IncomingMessage, HttpFailed>((resume) => {
      const fail = (error: unknown) => resume(Effect.fail(failureOf(error)))
      sent.on("error", fail)
      sent.once("response", guarded((message: http.IncomingMessage) => resume(Effect.succeed(message)), fail))
      sent.once("close", () =>
        resume(Effect.fail(new HttpFailed({ problem: "lost", reason: "the connection was closed without an answer" }))))
    })
    return yield* responseOf(message)
  }).pipe(timeout(options.deadline))

const timeout =
  (deadline: Duration.DurationInput) =>
  <A, R>(effect: Effect.Effect<A, HttpFailed, R>): Effect.Effect<A, HttpFailed, R> =>
    Effect.timeoutFail(effect, {
      duration: deadline,
      onTimeout: () => new HttpFailed({ problem: "timeout", reason: `no answer within ${seconds(deadline)}` })
    })

/** Sends a request and reads the whole response. */
export const send = Effect.fn("HttpClient.send")(
  (
    request: HttpRequest,
    options: {
      /** For the whole answer. */
      readonly deadline: Duration.DurationInput
      /** Of the body. */
      readonly maxBytes: number
    }
  ): Effect.Effect<HttpAnswer, HttpFailed> =>
    Effect.scoped(
      Effect.flatMap(open(request, { deadline: options.deadline }), (response) =>
        Effect.map(response.text(options.maxBytes), (body) => ({
          status: response.status,
          headers: response.headers,
          body
        })))
    ).pipe(timeout(options.deadline))
)
