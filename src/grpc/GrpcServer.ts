/** A gRPC server whose handlers are Effects and Streams. */
import type { EventEmitter } from "node:events"
import * as grpc from "@grpc/grpc-js"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as BindFailure from "../net/BindFailure.js"
import * as GrpcError from "./GrpcError.js"
import type * as GrpcService from "./GrpcService.js"
import * as ReadableCall from "./ReadableCall.js"
import * as WritableCall from "./WritableCall.js"

// grpc-js writes to stderr what it reports as an error too; it does so now only when it was asked to.
if (process.env["GRPC_VERBOSITY"] === undefined && process.env["GRPC_NODE_VERBOSITY"] === undefined) {
  grpc.setLogVerbosity(grpc.logVerbosity.NONE)
}

/** What a handler is told of the call beside its request. */
export interface CallContext {
  /** `host:port` of the caller. */
  readonly peer: string
}

/** Where a handler writes its answer's messages itself, without a Stream's cost for each. */
export interface Outlet<A> {
  /**
   * Sends a message. `taken` is called when the transport has taken it, which it does no faster than the other side
   * reads; never, when the call is over before.
   */
  readonly write: (message: A, taken: () => void) => void
}

/** A handler that relays: its answer is over when its effect is. */
export interface Relaying<I, O, R> {
  readonly relay: (request: I, outlet: Outlet<O>, context: CallContext) => Effect.Effect<void, GrpcError.GrpcError, R>
}

/** The handler of each method of a service: fail with {@link GrpcError.fail} to answer with a status. */
export type Handlers<H, R = never> =
  & {
    readonly [M in GrpcService.MethodsOf<H, "unary">]: (
      request: GrpcService.ServerRequest<H, M>,
      context: CallContext
    ) => Effect.Effect<GrpcService.ServerResponse<H, M>, GrpcError.GrpcError, R>
  }
  & {
    readonly [M in GrpcService.MethodsOf<H, "serverStream">]:
      | ((
        request: GrpcService.ServerRequest<H, M>,
        context: CallContext
      ) => Stream.Stream<GrpcService.ServerResponse<H, M>, GrpcError.GrpcError, R>)
      | Relaying<GrpcService.ServerRequest<H, M>, GrpcService.ServerResponse<H, M>, R>
  }
  & {
    readonly [M in GrpcService.MethodsOf<H, "bidi">]: (
      requests: Stream.Stream<GrpcService.ServerRequest<H, M>, GrpcError.GrpcError>,
      context: CallContext
    ) => Stream.Stream<GrpcService.ServerResponse<H, M>, GrpcError.GrpcError, R>
  }

/** A service with its handlers, ready to be served. */
export interface ServedService<R> {
  readonly service: GrpcService.GrpcService<unknown, unknown>
  readonly handlers: Readonly<Record<string, AnyHandler<R> | Relaying<any, unknown, R>>>
}

// Which of these a method has is settled by its definition, which `serve`'s types have checked.
type AnyHandler<R> = (
  request: any,
  context: CallContext
) => Effect.Effect<unknown, GrpcError.GrpcError, R> | Stream.Stream<unknown, GrpcError.GrpcError, R>

/** Pairs a service with its handlers: `serve(NodeAgentService)({ … })`. */
export const serve =
  <D, H>(service: GrpcService.GrpcService<D, H>) => <R = never>(handlers: Handlers<H, R>): ServedService<R> => ({
    service: { name: service.name, definition: service.definition },
    handlers: handlers as Readonly<Record<string, AnyHandler<R> | Relaying<any, unknown, R>>>
  })

/** The server cannot listen at the address it was given. */
export class GrpcBindError extends Data.TaggedError("GrpcBindError")<BindFailure.BindFailure> {
  override get message(): string {
    return BindFailure.describe(this)
  }
}

/** How a server listens. */
export interface GrpcServerOptions {
  /** An address of this machine; `::` for all of them. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Bytes; what a peer sends beyond it is answered with RESOURCE_EXHAUSTED. Default 4 MiB. */
  readonly maxReceiveBytes?: number
  /** How long calls have to end after their handlers were interrupted at close. Default 500 ms. */
  readonly closeGrace?: Duration.DurationInput
}

/** What grpc-js's server calls have in common. */
type SurfaceCall = Pick<grpc.ServerUnaryCall<unknown, unknown>, "cancelled" | "getPeer"> & EventEmitter

/** A server that listens. */
export interface GrpcServer {
  readonly port: number
}

const toStatus = (error: GrpcError.GrpcError): Partial<grpc.StatusObject> => ({
  code: error.code,
  // grpc-js throws where it cannot encode them, and the call never ends.
  details: GrpcError.wireText(error.details)
})

/** What to answer when a handler did not succeed. Defects are logged here and only named to the peer. */
const statusOfCause = (path: string, cause: Cause.Cause<GrpcError.GrpcError>) =>
  Effect.gen(function*() {
    if (Cause.isInterruptedOnly(cause)) {
      return { code: grpc.status.UNAVAILABLE, details: "the server is shutting down" }
    }
    const failure = Cause.failureOption(cause)
    if (failure._tag === "Some") return toStatus(failure.value)
    yield* Effect.logError(`A defect in the handler of ${path}`, cause)
    return { code: grpc.status.INTERNAL, details: "internal error" }
  })

/**
 * Serves until the scope closes; then handlers are interrupted (their callers get UNAVAILABLE) and the port is free.
 *
 * A call that its caller cancels, or whose deadline passes, interrupts its handler. A dead peer is noticed by keepalive
 * pings within 50 s, which ends what waits for it.
 */
export const make = <R>(
  options: GrpcServerOptions,
  services: ReadonlyArray<ServedService<R>>
): Effect.Effect<GrpcServer, GrpcBindError, R | Scope.Scope> =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new grpc.Server({
          "grpc.enable_channelz": 0,
          "grpc.keepalive_time_ms": 30_000,
          "grpc.keepalive_timeout_ms": 20_000,
          "grpc.max_receive_message_length": options.maxReceiveBytes ?? 4 * 1024 * 1024
        })
      ),
      (server) =>
        Effect.async<void>((resume) => server.tryShutdown(() => resume(Effect.void))).pipe(
          Effect.interruptible,
          Effect.timeoutOption(options.closeGrace ?? "500 millis"),
          Effect.zipRight(Effect.sync(() => server.forceShutdown()))
        )
    )
    // Made after the server, so that closing interrupts the handlers first.
    const fork = yield* FiberSet.makeRuntime<R>()

    /** Runs a handler for as long as its call lives, then answers. */
    const run = <A>(
      path: string,
      call: SurfaceCall,
      handler: Effect.Effect<A, GrpcError.GrpcError, R>,
      answer: (exit: Exit.Exit<A, Partial<grpc.StatusObject>>) => void
    ) => {
      const fiber = fork(
        Effect.uninterruptibleMask((restore) =>
          Effect.matchCauseEffect(restore(handler), {
            onSuccess: (value) => Effect.sync(() => answer(Exit.succeed(value))),
            onFailure: (cause) =>
              call.cancelled
                ? Effect.void
                : Effect.map(statusOfCause(path, cause), (status) => answer(Exit.fail(status)))
          })
        )
      )
      call.on("cancelled", () => fiber.unsafeInterruptAsFork(fiber.id()))
    }

    const contextOf = (call: SurfaceCall): CallContext => ({ peer: call.getPeer() })

    const unary = (path: string, handler: AnyHandler<R>): grpc.handleUnaryCall<unknown, unknown> => (call, callback) =>
      run(
        path,
        call,
        Effect.suspend(() => handler(call.request, contextOf(call)) as Effect.Effect<unknown, GrpcError.GrpcError, R>),
        Exit.match({
          onSuccess: (value) => callback(null, value),
          onFailure: (cause) => callback(Cause.squash(cause) as Partial<grpc.StatusObject>)
        })
      )

    const answerStream =
      (call: grpc.ServerWritableStream<unknown, unknown> | grpc.ServerDuplexStream<unknown, unknown>) =>
      (exit: Exit.Exit<void, Partial<grpc.StatusObject>>) =>
        Exit.match(exit, {
          onSuccess: () => void call.end(),
          onFailure: (cause) => void call.emit("error", Cause.squash(cause))
        })

    const relaying =
      (path: string, { relay }: Relaying<any, unknown, R>): grpc.handleServerStreamingCall<unknown, unknown> =>
      (call) => {
        call.on("error", () => {})
        const outlet: Outlet<unknown> = { write: (message, taken) => void call.write(message, taken) }
        run(
          path,
          call,
          Effect.suspend(() =>
            relay(call.request, outlet, contextOf(call))
          ),
          answerStream(call)
        )
      }

    const serverStream =
      (path: string, handler: AnyHandler<R>): grpc.handleServerStreamingCall<unknown, unknown> => (call) => {
        call.on("error", () => {})
        run(
          path,
          call,
          Effect.suspend(() =>
            WritableCall.writeAll(
              call,
              handler(call.request, contextOf(call)) as Stream.Stream<unknown, GrpcError.GrpcError, R>
            )
          ),
          answerStream(call)
        )
      }

    const bidi = (path: string, handler: AnyHandler<R>): grpc.handleBidiStreamingCall<unknown, unknown> => (call) => {
      call.on("error", () => {})
      const requests = ReadableCall.make<unknown, GrpcError.GrpcError>(call, (tell) => {
        call.on("end", () => tell(undefined))
        call.on("cancelled", () => tell(GrpcError.fail(grpc.status.CANCELLED, "the caller cancelled the call")))
      })
      run(
        path,
        call,
        Effect.suspend(() =>
          WritableCall.writeAll(
            call,
            handler(requests, contextOf(call)) as Stream.Stream<unknown, GrpcError.GrpcError, R>
          )
        ),
        answerStream(call)
      )
    }

    for (const { handlers, service } of services) {
      const implementation: grpc.UntypedServiceImplementation = {}
      for (const [method, definition] of Object.entries(service.definition)) {
        const handler = handlers[method]
        if (handler === undefined) throw new Error(`${service.name} has no handler for ${method}`)
        implementation[method] = typeof handler !== "function"
          ? relaying(definition.path, handler)
          : definition.requestStream
          ? bidi(definition.path, handler)
          : definition.responseStream
          ? serverStream(definition.path, handler)
          : unary(definition.path, handler)
      }
      server.addService(service.definition, implementation)
    }

    const port = yield* Effect.async<number, GrpcBindError>((resume) => {
      const host = options.host.includes(":") ? `[${options.host}]` : options.host
      server.bindAsync(`${host}:${options.port}`, grpc.ServerCredentials.createInsecure(), (error, port) =>
        resume(
          error === null
            ? Effect.succeed(port)
            : Effect.fail(new GrpcBindError(BindFailure.make(options, error.message)))
        ))
    })
    return { port }
  })
