/**
 * Requests to Docker's HTTP API through dockerode's modem, with what the modem lacks.
 *
 * dockerode's own methods wait for a promise that never settles when the connection dies after the response's headers,
 * repeat a whole request body in the query, and keep or drop what they read. So each request goes through the modem's
 * `dial` as a stream, whatever its status, and the response is read here: with a deadline, a bound on its size, and an
 * eye on the connection's end.
 */
import type * as http from "node:http"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Insulated from "../../effect/Insulated.js"
import * as HttpBody from "../../net/HttpBody.js"
import * as Bytes from "../../text/Bytes.js"
import * as SystemError from "../../text/SystemError.js"
import * as DockerAnswer from "./DockerAnswer.js"
import * as DockerEndpoint from "./DockerEndpoint.js"
import type { DockerEnvironment } from "./DockerEnvironment.js"
import * as DockerError from "./DockerError.js"
import * as DockerModem from "./DockerModem.js"

/** One request. */
export interface Request extends DockerModem.ModemRequest {
  /** What it is for, as it continues "cannot …": `inspect container orchion-vllm`. */
  readonly operation: string
  readonly method: "GET" | "POST" | "DELETE"
  /** For the whole answer; for a stream, for its beginning. */
  readonly deadline: Duration.DurationInput
  /** Of an answer that is no stream. Default 4 MiB. */
  readonly maxBytes?: number
}

/** An answer read to its end. */
export interface Answer {
  readonly status: number
  readonly text: string
}

export interface DockerTransport {
  /** Where Docker is; found at first use. */
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

const defaultMaxBytes = 4 * 1024 * 1024

/** A Docker that was found. */
interface Client extends DockerModem.DockerModem {
  /** It has answered before: it is kept, also while it is away. */
  confirmed: boolean
}

const isSuccess = (status: number) => (status >= 200 && status < 300) || status === 304

/** Names the endpoint in the failures of a request to it. */
const failures = ({ endpoint }: Client, { operation, deadline }: Request) => ({
  lost: () =>
    DockerEndpoint.unreachable(endpoint, {
      operation,
      reason: "the connection was lost before the answer was complete",
      ambiguous: true
    }),
  refused: (status: number, detail: string) =>
    new DockerError.DockerRequestFailed({ endpoint: DockerEndpoint.format(endpoint), operation, status, detail }),
  timedOut: () =>
    new DockerError.DockerTimeout({
      endpoint: DockerEndpoint.format(endpoint),
      operation,
      after: Duration.toMillis(deadline)
    }),
  undialled: (error: unknown): Effect.Effect<never, DockerError.DockerError> => {
    const code = SystemError.codeOf(error)
    return code === "EACCES" || code === "EPERM"
      ? Effect.flatMap(DockerEndpoint.permissionDenied(endpoint), Effect.fail)
      : Effect.fail(DockerEndpoint.unreachable(endpoint, {
        operation,
        reason: DockerAnswer.reasonOf(error),
        ambiguous: !DockerAnswer.isNeverSent(error),
        cause: error
      }))
  }
})

/** The request's time limit, which holds also where the caller cannot be interrupted. */
const limited = (client: Client, request: Request) => <A, R>(effect: Effect.Effect<A, DockerError.DockerError, R>) =>
  Insulated.asTheCaller(
    Effect.timeoutFail(effect, { duration: request.deadline, onTimeout: failures(client, request).timedOut })
  )

/** The whole body, as far as its bound. */
const readText = (
  client: Client,
  request: Request,
  response: http.IncomingMessage
): Effect.Effect<string, DockerError.DockerError> =>
  Effect.gen(function*() {
    const { lost, refused } = failures(client, request)
    const most = request.maxBytes ?? defaultMaxBytes
    const next = Effect.mapError(yield* HttpBody.reader(response), lost)
    const chunks: Array<Uint8Array> = []
    let size = 0
    for (let chunk = yield* next; chunk !== undefined; chunk = yield* next) {
      size += chunk.byteLength
      if (size > most) {
        response.destroy()
        return yield* refused(0, `its answer is longer than ${Bytes.format(most)}`)
      }
      chunks.push(chunk)
    }
    return Buffer.concat(chunks).toString("utf8")
  })

const readStream = (client: Client, request: Request, response: http.IncomingMessage) =>
  Effect.map(HttpBody.reader(response), (next) =>
    Stream.repeatEffectOption(
      Effect.matchEffect(next, {
        onSuccess: (chunk) => chunk === undefined ? Effect.fail(Option.none()) : Effect.succeed(chunk),
        onFailure: () => Effect.fail(Option.some(failures(client, request).lost()))
      })
    ))

/** Finds Docker at first use; one that was found by search and went away before it ever answered is searched for again. */
const makeClients = (environment: DockerEnvironment) =>
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const oneAtATime = yield* Effect.makeSemaphore(1)
    let client: Client | undefined
    const connect = Insulated.asTheCaller(
      oneAtATime.withPermits(1)(Effect.gen(function*() {
        if (client !== undefined) return client
        const endpoint = yield* DockerEndpoint.locate(environment)
        const modem = yield* Scope.extend(DockerModem.make(endpoint, environment.env), scope)
        return client = { ...modem, confirmed: false }
      }))
    )
    const forget = (of: Client) =>
      Effect.sync(() => {
        if (client === of && !of.confirmed && of.endpoint.source === DockerEndpoint.searched) client = undefined
      })
    return { connect, forget }
  })

/** A transport that is closed with the scope, its requests cut off. Making it asks for nothing. */
export const make = (environment: DockerEnvironment): Effect.Effect<DockerTransport, never, Scope.Scope> =>
  Effect.map(makeClients(environment), ({ connect, forget }) => {
    const dial = (client: Client, request: Request) =>
      Effect.catchAll(
        client.dial(request),
        (error) => Effect.zipRight(forget(client), failures(client, request).undialled(error))
      )

    const exchange = (client: Client, request: Request): Effect.Effect<Answer, DockerError.DockerError> =>
      Effect.gen(function*() {
        const response = yield* dial(client, request)
        return { status: response.statusCode ?? 0, text: yield* readText(client, request, response) }
      }).pipe(
        Effect.scoped,
        limited(client, request),
        Effect.tap(() => {
          client.confirmed = true
        }),
        Effect.filterOrFail(
          ({ status }) => isSuccess(status),
          ({ status, text }) => failures(client, request).refused(status, DockerAnswer.detailOf(status, text))
        )
      )

    return {
      endpoint: Effect.map(connect, ({ endpoint }) => endpoint),
      call: (request) => Effect.flatMap(connect, (client) => exchange(client, request)),
      json: (request, schema) =>
        Effect.flatMap(
          connect,
          (client) =>
            Effect.flatMap(exchange(client, request), ({ text }) =>
              Effect.mapError(Schema.decodeUnknown(Schema.parseJson(schema))(text), (error) =>
                failures(client, request).refused(0, DockerAnswer.misunderstood(error))))
        ),
      open: (request) =>
        Effect.flatMap(connect, (client) =>
          Effect.gen(function*() {
            const response = yield* dial(client, request)
            client.confirmed = true
            const status = response.statusCode ?? 0
            if (isSuccess(status)) return yield* readStream(client, request, response)
            const text = yield* readText(client, request, response)
            return yield* failures(client, request).refused(status, DockerAnswer.detailOf(status, text))
          }).pipe(limited(client, request)))
    }
  })
