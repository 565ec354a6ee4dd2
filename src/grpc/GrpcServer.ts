/** A gRPC server whose handlers are Effects and Streams. */
import * as grpc from "@grpc/grpc-js"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as BindFailure from "../net/BindFailure.js"
import * as SystemError from "../text/SystemError.js"
import * as Credentials from "./Credentials.js"
import type * as GrpcError from "./GrpcError.js"
import type * as GrpcService from "./GrpcService.js"
import * as ServerCalls from "./ServerCalls.js"
import type { CallContext, Relaying } from "./ServerCalls.js"
import * as ServerListener from "./ServerListener.js"

export type { CallContext, Outlet, Relaying } from "./ServerCalls.js"

// grpc-js writes to stderr what it reports as an error too; it does so now only when it was asked to.
if (process.env["GRPC_VERBOSITY"] === undefined && process.env["GRPC_NODE_VERBOSITY"] === undefined) {
  grpc.setLogVerbosity(grpc.logVerbosity.NONE)
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
  readonly handlers: Readonly<Record<string, ServerCalls.AnyHandler<R>>>
}

/** Pairs a service with its handlers: `serve(NodeAgentService)({ … })`. */
export const serve =
  <D, H>(service: GrpcService.GrpcService<D, H>) => <R = never>(handlers: Handlers<H, R>): ServedService<R> => ({
    service: { name: service.name, definition: service.definition },
    handlers: handlers as Readonly<Record<string, ServerCalls.AnyHandler<R>>>
  })

/** The server cannot listen at the address it was given. */
export class GrpcBindError extends Data.TaggedError("GrpcBindError")<BindFailure.BindFailure> {
  override get message(): string {
    return BindFailure.describe(this)
  }
}

/** How a server listens, and how much it takes. */
export interface GrpcServerOptions {
  /** An address of this machine, or a name of it; `::` for all of them. */
  readonly host: string
  /** 0 picks a free one. */
  readonly port: number
  /** Default: plain text. */
  readonly credentials?: Credentials.ServerCredentials
  /** Of one message, in bytes; what is beyond it is answered with RESOURCE_EXHAUSTED. Default 16 MiB, as over HTTP. */
  readonly maxReceiveBytes?: number
  /** Of all requests that are being received or answered, in bytes; beyond it RESOURCE_EXHAUSTED. Default 256 MiB. */
  readonly maxHeldBytes?: number
  /** Calls at once on one connection; a client waits with further ones. Default 512. */
  readonly maxConcurrentStreams?: number
  /** In all. Idle ones give way to new ones. Default 256, and never more than half of the process's file descriptors. */
  readonly maxConnections?: number
  /** From one address, loopback excepted. Default a quarter of `maxConnections`. */
  readonly maxConnectionsPerPeer?: number
  /** A connection without a call for this long is closed. Default 15 min. */
  readonly idleTimeout?: Duration.DurationInput
  /** A caller of a streaming method that takes nothing for this long loses its call. Default 2 min. */
  readonly readerPatience?: Duration.DurationInput
  /** How long calls have to end after their handlers were interrupted at close. Default 500 ms. */
  readonly closeGrace?: Duration.DurationInput
}

/** A server that listens. */
export interface GrpcServer {
  readonly port: number
}

const channelOptions = (options: GrpcServerOptions): grpc.ServerOptions => ({
  "grpc.enable_channelz": 0,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.max_concurrent_streams": options.maxConcurrentStreams ?? 512,
  "grpc.max_connection_idle_ms": Duration.toMillis(options.idleTimeout ?? "15 minutes"),
  "grpc.max_receive_message_length": options.maxReceiveBytes ?? 16 * 1024 * 1024
})

const listenerOptions = (options: GrpcServerOptions): ServerListener.ListenerOptions => {
  const total = options.maxConnections ?? 256
  return {
    host: options.host,
    port: options.port,
    maxHeldBytes: options.maxHeldBytes ?? 256 * 1024 * 1024,
    connections: {
      total,
      perPeer: options.maxConnectionsPerPeer ?? Math.max(1, Math.ceil(total / 4)),
      firstBytes: http2Preface,
      firstBytesWithin: 10_000
    }
  }
}

/** What an HTTP/2 client sends first, in bytes. */
const http2Preface = 24

/** One line for the log. */
const describeRefusal = (refusal: ServerListener.Refusal): string => {
  switch (refusal.reason) {
    case "total":
      return `refused a connection from ${refusal.peer}: ${refusal.limit} are open and in use`
    case "per-peer":
      return `refused a connection from ${refusal.peer}: it has ${refusal.limit} open and in use`
    case "held-bytes":
      return `refused a request from ${refusal.peer}: more than ${refusal.limit} bytes of requests are in flight`
    case "accept":
      return `could not accept a connection: ${
        SystemError.reasonOf(SystemError.codeIn(refusal.details) ?? refusal.details)
      }`
  }
}

/** Says that peers are refused: at once, and then once a minute with how many there were since. */
const makeRefusalLog = (log: (line: string) => void, now: () => number) => {
  let saidAt = Number.NEGATIVE_INFINITY
  let unsaid = 0
  return (refusal: ServerListener.Refusal) => {
    if (now() - saidAt < 60_000) {
      unsaid += 1
      return
    }
    saidAt = now()
    log(`${describeRefusal(refusal)}${unsaid === 0 ? "" : ` (and ${unsaid} more since the last time)`}`)
    unsaid = 0
  }
}

/**
 * Serves until the scope closes; then handlers are interrupted (their callers get UNAVAILABLE) and the port is free.
 *
 * A call that its caller cancels, or whose deadline passes, interrupts its handler. A dead peer is noticed by keepalive
 * pings within 50 s, which ends what waits for it.
 */
export const make = <R = never>(
  options: GrpcServerOptions,
  services: ReadonlyArray<ServedService<R>>
): Effect.Effect<GrpcServer, GrpcBindError, Scope.Scope | R> =>
  Effect.gen(function*() {
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => new grpc.Server(channelOptions(options))),
      (server) =>
        Effect.async<void>((resume) => server.tryShutdown(() => resume(Effect.void))).pipe(
          Effect.interruptible,
          Effect.timeoutOption(options.closeGrace ?? "500 millis"),
          Effect.zipRight(Effect.sync(() => server.forceShutdown()))
        )
    )
    // Made after the server, so that closing interrupts the handlers first.
    const fork = yield* FiberSet.makeRuntime<R>()
    const clock = yield* Effect.clock
    const patience = Duration.decode(options.readerPatience ?? "2 minutes")
    const singleRequests = new Set<string>()
    for (const { handlers, service } of services) {
      const implementation: grpc.UntypedServiceImplementation = {}
      for (const [method, definition] of Object.entries(service.definition)) {
        const handler = handlers[method]
        if (handler === undefined) throw new Error(`${service.name} has no handler for ${method}`)
        if (!definition.requestStream) singleRequests.add(definition.path)
        implementation[method] = ServerCalls.implement(definition, handler, { fork, patience })
      }
      server.addService(service.definition, implementation)
    }
    const onRefusal = makeRefusalLog(
      (line) => void fork(Effect.logWarning(`gRPC on port ${options.port}: ${line}`)),
      () => clock.unsafeCurrentTimeMillis()
    )
    return yield* ServerListener.listen(
      server,
      (options.credentials ?? Credentials.plainTextServer).server(),
      listenerOptions(options),
      (path) => singleRequests.has(path),
      onRefusal
    ).pipe(Effect.mapError((failure) => new GrpcBindError(failure)))
  })
