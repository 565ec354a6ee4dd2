/** An HTTP server whose handlers are Effects, on Node's own: it is up in a millisecond and closes when told to. */
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as BindFailure from "./BindFailure.js"

/** The server cannot listen at the address it was given. */
export class HttpBindError extends Data.TaggedError("HttpBindError")<BindFailure.BindFailure> {
  override get message(): string {
    return BindFailure.describe(this)
  }
}

export interface HttpListenerOptions {
  /** An address of this machine; `::` for all of them. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** How long answers have to reach their readers after their handlers were interrupted at close. Default 200 ms. */
  readonly closeGrace?: Duration.DurationInput
}

/** Answers a request; interrupted when the client goes away and when the server closes. */
export type Handler = (request: Http.IncomingMessage, response: Http.ServerResponse) => Effect.Effect<void>

/** Connections beyond it are refused: each costs a file descriptor. */
const maxConnections = 512

/** Serves until the scope closes; then handlers are interrupted and the port is free. */
export const make = (
  options: HttpListenerOptions,
  handler: Handler
): Effect.Effect<{ readonly port: number }, HttpBindError, Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const server = Http.createServer({
          // A client has this long to send its request; how long an answer takes is the handler's to bound.
          headersTimeout: 10_000,
          requestTimeout: 20_000,
          keepAliveTimeout: 5_000,
          connectionsCheckingInterval: 5_000,
          maxHeaderSize: 16 * 1024
        })
        server.maxConnections = maxConnections
        return server
      }),
      (server) =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          const force = setTimeout(() => server.closeAllConnections(), Duration.toMillis(options.closeGrace ?? 200))
          return Effect.sync(() => clearTimeout(force))
        })
    )
    // Made after the server, so that closing interrupts the handlers first.
    const fork = yield* FiberSet.makeRuntime<never>()

    server.on("request", (request, response) => {
      // A client that goes away while it is written to is no news: its `close` ends the handler.
      response.on("error", () => {})
      const fiber = fork(
        handler(request, response).pipe(
          Effect.catchAllDefect((defect) =>
            Effect.zipRight(
              Effect.logError(`A defect in the answer to ${request.method} ${request.url}`, defect),
              Effect.sync(() => response.headersSent ? response.destroy() : response.writeHead(500).end())
            )
          ),
          // Whatever a handler was doing when it was interrupted, its answer is over.
          Effect.ensuring(Effect.sync(() => response.end()))
        )
      )
      response.on("close", () => fiber.unsafeInterruptAsFork(fiber.id()))
    })

    yield* Effect.async<void, HttpBindError>((resume) => {
      const failed = (error: Error) => resume(Effect.fail(new HttpBindError(BindFailure.make(options, error.message))))
      server.once("error", failed)
      server.listen({ host: options.host, port: options.port }, () => {
        server.off("error", failed)
        // Running out of file descriptors must not end the process; the client that was not accepted tries again.
        server.on("error", () => {})
        resume(Effect.void)
      })
    })
    // A server that listens on a port, as this one does, has an address of this form.
    return { port: (server.address() as AddressInfo).port }
  })

/**
 * Writes a part of an answer and waits until the system has taken it, so that no more than one part per client is ever
 * in memory. Never returns when the client is gone: its `close` interrupts the handler.
 */
export const write = (response: Http.ServerResponse, part: string): Effect.Effect<void> =>
  Effect.async<void>((resume) => {
    response.write(part, (error) => {
      if (error === undefined || error === null) resume(Effect.void)
    })
  })
