/** Typed calls to a gRPC server: unary ones as Effects, streaming ones as Streams. */
import type { EventEmitter } from "node:events"
import * as grpc from "@grpc/grpc-js"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as GrpcError from "./GrpcError.js"
import * as GrpcService from "./GrpcService.js"
import * as PlainText from "./PlainText.js"
import * as ReadableCall from "./ReadableCall.js"
import * as WritableCall from "./WritableCall.js"

/** How a client connects. */
export interface GrpcClientOptions {
  /** `host:port`; an IPv6 host in brackets. */
  readonly address: string
  /** Bytes; what a peer sends beyond it fails the call with RESOURCE_EXHAUSTED. Default 4 MiB. */
  readonly maxReceiveBytes?: number
  /**
   * How often the server is asked for a sign of life while a call is open: a dead one is noticed 20 s later. Never by
   * default. Servers of Go's end connections that ask more often than every 5 minutes.
   */
  readonly keepalive?: Duration.DurationInput
}

/** How a single unary call is made. */
export interface UnaryOptions {
  /** The call fails with DEADLINE_EXCEEDED when it has not been answered by then. */
  readonly deadline: Duration.DurationInput
  /** Whether repeating the call does no harm: decides `retryable` for statuses that leave open whether it was carried out. */
  readonly idempotent?: boolean
}

/** How a streaming call is made. */
export interface StreamOptions {
  /** None by default: a stream lasts until one side ends it. */
  readonly deadline?: Duration.DurationInput
}

/** The incoming half of a call whose messages are handed to a function. */
export interface Inlet {
  /** No more messages until `resume`; those that have arrived are kept, and the server is slowed. */
  readonly pause: () => void
  readonly resume: () => void
}

/** A connection to one server, made at the first call. Interrupting the fiber of a call cancels the call. */
export interface GrpcClient {
  readonly address: string
  /** Whether the connection stands, by what is known of it: not before the first call, and not after GOAWAY. */
  readonly isConnected: Effect.Effect<boolean>
  /**
   * Waits until the connection stands, or cannot be made, which a call then tells. Fails with UNAVAILABLE when neither
   * is known in time: a call would wait with it.
   */
  readonly connected: (timeout: Duration.DurationInput) => Effect.Effect<void, GrpcError.GrpcError>
  readonly unary: <D, H, M extends GrpcService.MethodsOf<H, "unary"> & string>(
    service: GrpcService.GrpcService<D, H>,
    method: M,
    request: GrpcService.Request<D, M>,
    options: UnaryOptions
  ) => Effect.Effect<GrpcService.Response<D, M>, GrpcError.GrpcError>
  /** A consumer that stops early cancels the call; one that is slow slows the server. */
  readonly serverStream: <D, H, M extends GrpcService.MethodsOf<H, "serverStream"> & string>(
    service: GrpcService.GrpcService<D, H>,
    method: M,
    request: GrpcService.Request<D, M>,
    options?: StreamOptions
  ) => Stream.Stream<GrpcService.Response<D, M>, GrpcError.GrpcError>
  /**
   * As {@link serverStream}, without a Stream's cost for each message: hands them to the function that `open` returns.
   * Ends with the call, when all of them were handed over.
   */
  readonly receive: <D, H, M extends GrpcService.MethodsOf<H, "serverStream"> & string>(
    service: GrpcService.GrpcService<D, H>,
    method: M,
    request: GrpcService.Request<D, M>,
    open: (inlet: Inlet) => (message: GrpcService.Response<D, M>) => void,
    options?: StreamOptions
  ) => Effect.Effect<void, GrpcError.GrpcError>
  /** Sends `requests` while it yields what comes back; a failure of `requests` cancels the call. */
  readonly bidi: <D, H, M extends GrpcService.MethodsOf<H, "bidi"> & string, E, R>(
    service: GrpcService.GrpcService<D, H>,
    method: M,
    requests: Stream.Stream<GrpcService.Request<D, M>, E, R>,
    options?: StreamOptions
  ) => Stream.Stream<GrpcService.Response<D, M>, GrpcError.GrpcError | E, R>
}

const isLoopback = (address: string): boolean => /^(localhost|127\.[\d.]+|\[::1\]):\d+$/.test(address)

const channelOptions = (options: GrpcClientOptions): grpc.ChannelOptions => ({
  // Connections are not shared between clients: closing a client that hangs must not leave the next one on the same
  // dead connection.
  "grpc.use_local_subchannel_pool": 1,
  // When to try again is the caller's schedule to decide.
  "grpc.enable_retries": 0,
  "grpc.initial_reconnect_backoff_ms": 500,
  "grpc.max_reconnect_backoff_ms": 5_000,
  // Spares a DNS TXT query at each connection.
  "grpc.service_config_disable_resolution": 1,
  "grpc.enable_channelz": 0,
  // A proxy that the environment names has no way to this machine's own loopback.
  "grpc.enable_http_proxy": isLoopback(options.address) ? 0 : 1,
  "grpc.max_receive_message_length": options.maxReceiveBytes ?? 4 * 1024 * 1024,
  ...(options.keepalive === undefined ? {} : {
    "grpc.keepalive_time_ms": Duration.toMillis(options.keepalive),
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.keepalive_permit_without_calls": 0
  })
})

const deadlineOf = (deadline: Duration.DurationInput | undefined): grpc.CallOptions =>
  deadline === undefined ? {} : { deadline: Date.now() + Duration.toMillis(deadline) }

/** A client that is closed with the scope, its calls cancelled. */
export const make = (options: GrpcClientOptions): Effect.Effect<GrpcClient, never, Scope.Scope> =>
  Effect.gen(function*() {
    const credentials = yield* PlainText.make
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => new grpc.Client(options.address, credentials, channelOptions(options))),
      (client) => Effect.sync(() => client.close())
    )

    /** A streaming call that is cancelled with the scope, and how it ends. */
    const open = <C extends grpc.Call & EventEmitter>(makeCall: () => C) =>
      Effect.acquireRelease(
        Effect.sync(() => {
          const call = makeCall()
          const events: EventEmitter = call
          // grpc-js may emit an `error` after a call is over; with no listener it would end the process.
          events.on("error", () => {})
          return call
        }),
        (call) => Effect.sync(() => call.cancel())
      )

    /** Tells how a call ended, once: at its status, which grpc-js emits last and for every call. */
    const endOf = (call: EventEmitter, method: string) => (tell: (error: GrpcError.GrpcError | undefined) => void) =>
      call.on("status", (status: grpc.StatusObject) =>
        tell(
          status.code === grpc.status.OK
            ? undefined
            : GrpcError.fromServiceError(status, { method, peer: options.address, idempotent: false })
        ))

    const clientOf: GrpcClient = {
      address: options.address,
      isConnected: Effect.sync(() => client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY),
      connected: (timeout) =>
        Effect.async((resume) => {
          const channel = client.getChannel()
          const deadline = Date.now() + Duration.toMillis(timeout)
          const look = () => {
            const state = channel.getConnectivityState(true)
            if (state !== grpc.connectivityState.IDLE && state !== grpc.connectivityState.CONNECTING) {
              return resume(Effect.void)
            }
            channel.watchConnectivityState(state, deadline, (error) => {
              if (error === undefined) return look()
              resume(
                new GrpcError.GrpcError({
                  code: grpc.status.UNAVAILABLE,
                  details: `No connection established within ${Duration.format(timeout)}`,
                  method: "",
                  peer: options.address,
                  retryable: true
                })
              )
            })
          }
          look()
        }),
      unary: (service, method, request, { deadline, idempotent = false }) =>
        Effect.async((resume) => {
          const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
          const call = client.makeUnaryRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            new grpc.Metadata(),
            deadlineOf(deadline),
            (error, response) =>
              resume(
                error === null
                  ? Effect.succeed(response)
                  : Effect.fail(GrpcError.fromServiceError(error, { method: path, peer: options.address, idempotent }))
              )
          )
          return Effect.sync(() => call.cancel())
        }),
      serverStream: (service, method, request, callOptions) =>
        Stream.unwrapScoped(Effect.gen(function*() {
          const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
          const call = yield* open(() =>
            client.makeServerStreamRequest(
              path,
              requestSerialize,
              responseDeserialize,
              request,
              new grpc.Metadata(),
              deadlineOf(callOptions?.deadline)
            )
          )
          return ReadableCall.make(call, endOf(call, path))
        })),
      receive: (service, method, request, open, callOptions) =>
        Effect.async((resume) => {
          const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
          const call = client.makeServerStreamRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            new grpc.Metadata(),
            deadlineOf(callOptions?.deadline)
          )
          call.on("error", () => {})
          let finish: (() => void) | undefined
          endOf(call, path)((error) => {
            finish = () => resume(error === undefined ? Effect.void : Effect.fail(error))
            // The status overtakes messages that wait for a reader who paused.
            if (call.readableLength === 0) finish()
          })
          call.on("end", () => finish?.())
          call.on("data", open({ pause: () => void call.pause(), resume: () => void call.resume() }))
          return Effect.sync(() => call.cancel())
        }),
      bidi: (service, method, requests, callOptions) =>
        Stream.unwrapScoped(Effect.gen(function*() {
          const { path, requestSerialize, responseDeserialize } = GrpcService.methodOf(service, method)
          const call = yield* open(() =>
            client.makeBidiStreamRequest(
              path,
              requestSerialize,
              responseDeserialize,
              new grpc.Metadata(),
              deadlineOf(callOptions?.deadline)
            )
          )
          const sending = WritableCall.writeAll(call, requests).pipe(
            Effect.zipRight(Effect.sync(() => call.end())),
            Stream.fromEffect,
            Stream.drain
          )
          return ReadableCall.make(call, endOf(call, path)).pipe(
            Stream.merge(sending, { haltStrategy: "left" })
          )
        }))
    }
    return clientOf
  })
