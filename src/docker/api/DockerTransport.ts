/**
 * Requests to the engine's HTTP API through dockerode's modem, with what the modem lacks.
 *
 * dockerode's own methods wait for a promise that never settles when the connection dies after the response's headers,
 * repeat a whole request body in the query, and keep or drop what they read. So each request goes through the modem's
 * `dial` as a stream, whatever its status, and the response is read here: with a deadline, a bound on its size, and an
 * eye on the connection's end.
 */
import * as http from "node:http"
import * as https from "node:https"
import { inspect } from "node:util"
import type Dockerode from "dockerode"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DockerEndpoint from "./DockerEndpoint.js"
import type * as DockerEnvironment from "./DockerEnvironment.js"
import * as Bytes from "../../text/Bytes.js"
import * as DockerError from "./DockerError.js"
import * as Insulated from "../../effect/Insulated.js"

/** One request. */
export interface Request {
  /** What it is for, as it continues "cannot …": `inspect container orchion-vllm`. */
  readonly operation: string
  readonly method: "GET" | "POST" | "DELETE"
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: Readonly<Record<string, unknown>>
  /** Sent instead of a body, as a tar archive. */
  readonly archive?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** For the whole answer; for a stream, for its beginning. */
  readonly deadline: Duration.DurationInput
}

/** An answer read to its end. */
export interface Answer {
  readonly status: number
  readonly text: string
}

export interface DockerTransport {
  /** Where the engine is; found at first use. */
  readonly endpoint: Effect.Effect<DockerEndpoint.DockerEndpoint, DockerError.DockerError>
  /** Sends a request and reads the answer. Statuses other than 2xx and 304 ("it is so already") are failures. */
  readonly call: (request: Request) => Effect.Effect<Answer, DockerError.DockerError>
  /** Like `call`, for an answer that is JSON. */
  readonly json: <A, I>(request: Request, schema: Schema.Schema<A, I>) => Effect.Effect<A, DockerError.DockerError>
  /**
   * Sends a request and hands out the body as it comes: read on demand, and the connection is closed with the scope.
   * An end before the end fails with `DockerUnreachable`.
   */
  readonly open: (
    request: Request
  ) => Effect.Effect<Stream.Stream<Uint8Array, DockerError.DockerUnreachable>, DockerError.DockerError, Scope.Scope>
}

/** Far above any answer that is not a stream. */
const maxAnswerBytes = 32 * 1024 * 1024

/** Error texts are cut here. */
const maxDetailLength = 2_000

/** The modem treats statuses that it is told of as success: told of all, it hands every response over unread. */
const everyStatus: Record<number, boolean> = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [index + 100, true])
)

interface Client {
  readonly endpoint: DockerEndpoint.DockerEndpoint
  readonly modem: Dockerode["modem"]
  /** It has answered before: it is kept, also while it is away. */
  confirmed: boolean
}

/** The modem formats its whole request for a log that nobody reads, agent and sockets included: 20 ms each. */
const unformatted = <A extends http.Agent>(agent: A): A => Object.assign(agent, { [inspect.custom]: () => "Agent" })

const makeAgent = (endpoint: DockerEndpoint.DockerEndpoint): http.Agent => {
  // Connections are not kept: one that the engine closed meanwhile would fail the request that picks it up.
  if (endpoint._tag === "Socket" || endpoint.tls === undefined) return unformatted(new http.Agent({ keepAlive: false }))
  const { ca, cert, key, verify } = endpoint.tls
  return unformatted(
    new https.Agent({ keepAlive: false, ca, cert, key, rejectUnauthorized: verify })
  )
}

/** What the modem would otherwise take from the environment is set, be it to nothing. */
const modemOptions = (endpoint: DockerEndpoint.DockerEndpoint, agent: http.Agent) => ({
  ...(endpoint._tag === "Socket"
    ? { socketPath: endpoint.path, host: undefined, port: undefined, protocol: "http" as const }
    : {
      socketPath: undefined,
      host: endpoint.host,
      port: endpoint.port,
      protocol: endpoint.tls === undefined ? "http" as const : "https" as const
    }),
  ca: undefined,
  cert: undefined,
  key: undefined,
  timeout: undefined,
  connectionTimeout: undefined,
  // Without one, the engine answers in the newest version that it speaks.
  version: undefined,
  agent
})

const codeOf = (error: unknown): string => {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined
  return typeof code === "string" ? code : ""
}

/** The request never left: nothing can have come of it. */
const neverSent = (error: unknown): boolean => {
  const call = typeof error === "object" && error !== null && "syscall" in error ? error.syscall : undefined
  return call === "connect" || call === "getaddrinfo" || /^(ERR_INVALID|ERR_UNESCAPED)/.test(codeOf(error))
}

const reasonOf = (error: unknown): string => {
  const code = codeOf(error)
  if (code.startsWith("HPE_")) return "what answers there does not speak HTTP, so it is not Docker"
  const reason = code === "" || code.startsWith("ERR_") ? "" : DockerEndpoint.reasonOf(code)
  if (reason !== "" && reason !== code) return reason
  return error instanceof Error ? error.message : String(error)
}

/** What the engine says about a failure: `{"message": …}`, or `{"error": …}`, or text. */
const detailOf = (status: number, text: string): string => {
  const cut = (detail: string) => detail.length > maxDetailLength ? `${detail.slice(0, maxDetailLength)}…` : detail
  try {
    const parsed: unknown = JSON.parse(text)
    if (typeof parsed === "object" && parsed !== null) {
      if ("message" in parsed && typeof parsed.message === "string") return cut(parsed.message.trim())
      if ("error" in parsed && typeof parsed.error === "string") return cut(parsed.error.trim())
    }
  } catch {
    // Not JSON: a proxy's page, or an old engine's text.
  }
  const trimmed = text.trim()
  return trimmed === "" ? `it answered with status ${status} and no explanation` : cut(trimmed)
}

/** How a response's body ended: `true` when it was all there. */
type Ended = (complete: boolean) => void

/**
 * Watches for the end of a body. Node tells of a connection that was cut by `aborted`, `error` or only `close`,
 * depending on how far it had come.
 */
const watchEnd = (body: http.IncomingMessage, ended: Ended): void => {
  let told = false
  const tell = (complete: boolean) => {
    if (told) return
    told = true
    ended(complete)
  }
  body.once("end", () => tell(body.complete))
  body.once("aborted", () => tell(false))
  // Stays for the response's life: an `error` that nobody listens to would end the process.
  body.on("error", () => tell(false))
  body.once("close", () => tell(body.complete && body.readableEnded))
}

/** The most chunks that are handed on at once. */
const maxChunks = 64

const readBody = <E>(body: http.IncomingMessage, lost: () => E): Stream.Stream<Uint8Array, E> =>
  Stream.unwrap(Effect.sync(() => {
    let end: { readonly complete: boolean } | undefined
    let wake: (() => void) | undefined
    const awaken = () => {
      const waiting = wake
      wake = undefined
      waiting?.()
    }
    watchEnd(body, (complete) => {
      end = { complete }
      awaken()
    })
    body.on("readable", awaken)
    const changed = Effect.async<void>((resume) => {
      wake = () => resume(Effect.void)
      return Effect.sync(() => {
        wake = undefined
      })
    })
    const pull: Effect.Effect<Chunk.Chunk<Uint8Array>, Option.Option<E>> = Effect.suspend(() => {
      const chunks: Array<Uint8Array> = []
      while (chunks.length < maxChunks) {
        const chunk: Uint8Array | null = body.read()
        if (chunk === null) break
        chunks.push(chunk)
      }
      if (chunks.length > 0) return Effect.succeed(Chunk.unsafeFromArray(chunks))
      if (end === undefined) return Effect.zipRight(changed, pull)
      return Effect.fail(end.complete ? Option.none() : Option.some(lost()))
    })
    return Stream.repeatEffectChunkOption(pull)
  }))

/** A transport that is closed with the scope, its requests cut off. Making it asks for nothing. */
export const make = (
  where: DockerEnvironment.DockerEnvironment
): Effect.Effect<DockerTransport, never, Scope.Scope> =>
  Effect.gen(function*() {
    let client: Client | undefined
    const agents = new Set<http.Agent>()
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        for (const agent of agents) agent.destroy()
      })
    )
    const oneAtATime = Effect.unsafeMakeSemaphore(1)

    const connect = Insulated.asTheCaller(
      oneAtATime.withPermits(1)(Effect.gen(function*() {
        if (client !== undefined) return client
        const endpoint = yield* DockerEndpoint.locate(where)
        // Loaded here, since it takes a quarter of a second and 25 MB that an agent without engines can do without. A
        // package that cannot be loaded is a broken installation.
        const { default: Docker } = yield* Effect.promise(() => import("dockerode"))
        const agent = makeAgent(endpoint)
        const { modem } = yield* Effect.try({
          try: () => new Docker(modemOptions(endpoint, agent)),
          // The modem reads these variables even when it is told everything.
          catch: (error) =>
            new DockerError.DockerEndpointInvalid({
              source: "DOCKER_HOST",
              value: where.env["DOCKER_HOST"] ?? "",
              reason: error instanceof Error ? error.message : String(error),
              remedy: "Correct or unset DOCKER_HOST and DOCKER_CERT_PATH."
            })
        })
        agents.add(agent)
        return client = { endpoint, modem, confirmed: false }
      }))
    )

    /** An engine found by search that went away before it ever answered is searched for again. */
    const forget = (of: Client) => {
      if (client === of && !of.confirmed && of.endpoint.source === "search") client = undefined
    }

    const failure = (of: Client, operation: string, error: unknown): Effect.Effect<never, DockerError.DockerError> => {
      const code = codeOf(error)
      forget(of)
      if (code === "EACCES" || code === "EPERM") {
        return Effect.flatMap(DockerEndpoint.permissionDenied(of.endpoint), Effect.fail)
      }
      return Effect.fail(
        new DockerError.DockerUnreachable({
          endpoint: DockerEndpoint.format(of.endpoint),
          operation,
          reason: reasonOf(error),
          ambiguous: !neverSent(error),
          remedy: DockerEndpoint.unreachableRemedy(of.endpoint),
          cause: error
        })
      )
    }

    const lost = (of: Client, operation: string) =>
      new DockerError.DockerUnreachable({
        endpoint: DockerEndpoint.format(of.endpoint),
        operation,
        reason: "the connection was lost before the answer was complete",
        ambiguous: true,
        remedy: DockerEndpoint.unreachableRemedy(of.endpoint)
      })

    /** Sends a request; the response, unread, is destroyed with the scope. */
    const dial = (
      of: Client,
      request: Request
    ): Effect.Effect<http.IncomingMessage, DockerError.DockerError, Scope.Scope> =>
      Effect.gen(function*() {
        let response: http.IncomingMessage | undefined
        let closed = false
        // Before the request: a response that arrives in the moment of an interruption must not stay open.
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            closed = true
            response?.destroy()
          })
        )
        const answered = Effect.async<http.IncomingMessage, unknown>((resume, signal) => {
          of.modem.dial(
            {
              path: `${request.path}?`,
              method: request.method,
              // The modem deletes properties of this object, and sends all of it as query and body unless told apart.
              options: {
                _query: Object.fromEntries(
                  Object.entries(request.query ?? {}).filter(([, value]) => value !== undefined)
                ),
                _body: request.body ?? {}
              },
              ...(request.archive === undefined ? {} : { file: Buffer.from(request.archive) }),
              headers: { ...request.headers },
              isStream: true,
              statusCodes: everyStatus,
              abortSignal: signal
            },
            (error, result) => {
              if (error !== null && error !== undefined) return resume(Effect.fail(error))
              if (!(result instanceof http.IncomingMessage)) {
                return resume(Effect.fail(new Error("the modem handed over something that is not a response")))
              }
              response = result
              result.on("error", () => {})
              if (closed) result.destroy()
              resume(Effect.succeed(result))
            }
          )
        })
        return yield* Effect.catchAll(answered, (error) => failure(of, request.operation, error))
      })

    const text = (
      of: Client,
      request: Request,
      body: http.IncomingMessage
    ): Effect.Effect<string, DockerError.DockerError> =>
      Effect.async<string, DockerError.DockerError>((resume) => {
        const chunks: Array<Buffer> = []
        let size = 0
        watchEnd(body, (complete) =>
          resume(
            complete ? Effect.succeed(Buffer.concat(chunks).toString("utf8")) : Effect.fail(lost(of, request.operation))
          ))
        body.on("data", (chunk: Buffer) => {
          size += chunk.length
          if (size <= maxAnswerBytes) {
            chunks.push(chunk)
            return
          }
          resume(Effect.fail(
            new DockerError.DockerRequestFailed({
              endpoint: DockerEndpoint.format(of.endpoint),
              operation: request.operation,
              status: 0,
              detail: `its answer is longer than ${Bytes.format(maxAnswerBytes)}`
            })
          ))
          body.destroy()
        })
      })

    const deadline = (of: Client, request: Request) => <A, R>(effect: Effect.Effect<A, DockerError.DockerError, R>) =>
      Insulated.asTheCaller(Effect.timeoutFail(effect, {
        duration: request.deadline,
        onTimeout: () =>
          new DockerError.DockerTimeout({
            endpoint: DockerEndpoint.format(of.endpoint),
            operation: request.operation,
            after: Duration.toMillis(request.deadline)
          })
      }))

    const isSuccess = (status: number) => (status >= 200 && status < 300) || status === 304

    const refuse = (of: Client, request: Request, status: number, body: string) =>
      Effect.fail(
        new DockerError.DockerRequestFailed({
          endpoint: DockerEndpoint.format(of.endpoint),
          operation: request.operation,
          status,
          detail: detailOf(status, body)
        })
      )

    const call = (request: Request): Effect.Effect<Answer, DockerError.DockerError> =>
      Effect.flatMap(connect, (of) =>
        Effect.scoped(Effect.flatMap(dial(of, request), (response) =>
          Effect.map(text(of, request, response), (body) => ({ status: response.statusCode ?? 0, text: body })))).pipe(
            deadline(of, request),
            Effect.tap(() => {
              of.confirmed = true
            }),
            Effect.flatMap((answer) =>
              isSuccess(answer.status) ? Effect.succeed(answer) : refuse(of, request, answer.status, answer.text)
            )
          ))

    return {
      endpoint: Effect.map(connect, ({ endpoint }) =>
        endpoint),
      call,
      json: (request, schema) =>
        Effect.flatMap(call(request), (answer) =>
          Effect.mapError(Schema.decodeUnknown(Schema.parseJson(schema))(answer.text), (error) =>
            new DockerError.DockerRequestFailed({
              endpoint: client === undefined ? "" : DockerEndpoint.format(client.endpoint),
              operation: request.operation,
              status: 0,
              detail: `its answer was not understood (${
                ParseResult.ArrayFormatter.formatErrorSync(error).map((issue) =>
                  `${issue.path.join(".")}: ${issue.message}`.slice(0, 200)
                )[0] ?? "no reason given"
              })`
            }))),
      open: (request) =>
        Effect.flatMap(connect, (of) =>
          Effect.flatMap(dial(of, request), (response) => {
            of.confirmed = true
            const status = response.statusCode ?? 0
            return isSuccess(status)
              ? Effect.succeed(readBody(response, () =>
                lost(of, request.operation)))
              : Effect.flatMap(text(of, request, response), (body) =>
                refuse(of, request, status, body))
          }).pipe(deadline(of, request)))
    }
  })
