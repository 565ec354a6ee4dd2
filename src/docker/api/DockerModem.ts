/** dockerode's modem for one endpoint, loaded when Docker is first used. */
import * as http from "node:http"
import * as https from "node:https"
import { inspect } from "node:util"
import type Dockerode from "dockerode"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { guarded } from "../../effect/Callback.js"
import type { DockerEndpoint } from "./DockerEndpoint.js"
import * as DockerError from "./DockerError.js"

/** What the modem is asked to send. */
export interface ModemRequest {
  readonly method: string
  readonly path: string
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>
  readonly body?: Readonly<Record<string, unknown>>
  /** Sent instead of a body, as a tar archive. */
  readonly archive?: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export interface DockerModem {
  readonly endpoint: DockerEndpoint
  /**
   * Sends a request; the response is handed out unread, whatever its status, and destroyed with the scope. Fails with
   * what the modem fails with.
   */
  readonly dial: (request: ModemRequest) => Effect.Effect<http.IncomingMessage, unknown, Scope.Scope>
}

/** The modem treats statuses that it is given as success: given all, it hands every response over unread. */
const everyStatus: Record<number, boolean> = Object.fromEntries(
  Array.from({ length: 500 }, (_, index) => [index + 100, true])
)

/** The modem formats its whole request, agent and sockets included, for a debug log: 20 ms each. */
const unformatted = <A extends http.Agent>(agent: A): A => Object.assign(agent, { [inspect.custom]: () => "Agent" })

const makeAgent = (endpoint: DockerEndpoint): http.Agent => {
  // Connections are not kept: one that Docker closed meanwhile would fail the request that picks it up.
  if (endpoint._tag === "Socket" || endpoint.tls === undefined) return unformatted(new http.Agent({ keepAlive: false }))
  const { ca, cert, key, verify } = endpoint.tls
  return unformatted(new https.Agent({ keepAlive: false, ca, cert, key, rejectUnauthorized: verify }))
}

/** What the modem would otherwise take from the environment is set, be it to nothing. */
const optionsOf = (endpoint: DockerEndpoint, agent: http.Agent) => ({
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
  // Without one, Docker answers in the newest version that it supports.
  version: undefined,
  agent
})

const dialWith = (modem: Dockerode["modem"]): DockerModem["dial"] => (request) =>
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
    return yield* Effect.async<http.IncomingMessage, unknown>((resume, signal) => {
      const failed = (error: unknown) => resume(Effect.fail(error))
      const answered = guarded((error: unknown, result: unknown) => {
        if (error !== null && error !== undefined) return failed(error)
        if (!(result instanceof http.IncomingMessage)) {
          return failed(new Error("the modem handed over something that is not a response"))
        }
        response = result
        result.on("error", () => {})
        if (closed) result.destroy()
        resume(Effect.succeed(result))
      }, failed)
      guarded(() =>
        modem.dial(
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
          answered
        ), failed)()
    })
  })

/** The modem of an endpoint; its connections are closed with the scope. */
export const make = (
  endpoint: DockerEndpoint,
  env: Readonly<Record<string, string | undefined>>
): Effect.Effect<DockerModem, DockerError.DockerEndpointInvalid, Scope.Scope> =>
  Effect.gen(function*() {
    // Loaded here, since it takes a quarter of a second and 25 MB that an agent without engines can do without. A
    // package that cannot be loaded is a broken installation.
    const { default: Docker } = yield* Effect.promise(() => import("dockerode"))
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() => makeAgent(endpoint)),
      (agent) => Effect.sync(() => agent.destroy())
    )
    const { modem } = yield* Effect.try({
      try: () => new Docker(optionsOf(endpoint, agent)),
      // The modem reads these variables even when it is given everything.
      catch: (error) =>
        new DockerError.DockerEndpointInvalid({
          source: "DOCKER_HOST",
          value: env["DOCKER_HOST"] ?? "",
          reason: error instanceof Error ? error.message : String(error),
          remedy: "Correct or unset DOCKER_HOST and DOCKER_CERT_PATH."
        })
    })
    return { endpoint, dial: dialWith(modem) }
  })
