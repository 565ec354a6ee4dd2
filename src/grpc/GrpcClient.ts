/** Typed calls to a gRPC server: unary ones as Effects, streaming ones as Streams. */
import * as grpc from "@grpc/grpc-js"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Stream from "effect/Stream"
import * as HostPort from "../net/HostPort.js"
import * as Proxy from "../net/Proxy.js"
import * as ClientCalls from "./ClientCalls.js"
import * as ClientSockets from "./ClientSockets.js"
import * as Credentials from "./Credentials.js"
import * as GrpcError from "./GrpcError.js"
import type * as GrpcService from "./GrpcService.js"

/** How a client connects. */
export interface GrpcClientOptions {
  /** `host:port`; an IPv6 host in brackets. */
  readonly address: string
  /** Default: plain text. */
  readonly credentials?: Credentials.ClientCredentials
  /** Bytes; what a peer sends beyond it fails the call with RESOURCE_EXHAUSTED. Default 16 MiB. */
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
   * Waits until the connection is established, or has failed, which a call then reports. Fails with UNAVAILABLE when
   * neither is known in time: a call would wait with it.
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

const channelOptions = (options: GrpcClientOptions, proxy: Proxy.Proxy | undefined): grpc.ChannelOptions => ({
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
  // The environment's proxies are ours to decide about: grpc-js reads only some of the variables, and only in part.
  "grpc.enable_http_proxy": 0,
  ...(proxy === undefined ? {} : {
    "grpc.default_authority": options.address,
    "grpc.ssl_target_name_override": options.address.replace(/:\d+$/, "")
  }),
  "grpc.max_receive_message_length": options.maxReceiveBytes ?? 16 * 1024 * 1024,
  ...(options.keepalive === undefined ? {} : {
    "grpc.keepalive_time_ms": Duration.toMillis(options.keepalive),
    "grpc.keepalive_timeout_ms": 20_000,
    "grpc.keepalive_permit_without_calls": 0
  })
})

const proxyFor = (address: string, secure: boolean): Proxy.Proxy | undefined =>
  Option.getOrUndefined(
    Option.flatMapNullable(HostPort.parse(address), (target) => Proxy.fromEnvironment(target, secure, process.env))
  )

/** Waits until the channel knows whether it has a connection. */
const waitUntilKnown = (
  client: grpc.Client,
  peer: string,
  timeout: Duration.DurationInput
): Effect.Effect<void, GrpcError.GrpcError> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.async((resume) => {
      const channel = client.getChannel()
      const deadline = now + Duration.toMillis(timeout)
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
              peer,
              retryable: true
            })
          )
        })
      }
      look()
    }))

/** A client that is closed with the scope, its calls cancelled. */
export const make = (options: GrpcClientOptions): Effect.Effect<GrpcClient, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { address } = options
    const credentials = options.credentials ?? Credentials.plainText
    const proxy = proxyFor(address, credentials.secure)
    const channelCredentials = yield* ClientSockets.make(
      credentials.channel(),
      proxy === undefined ? undefined : { proxy, target: address }
    )
    const client = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new grpc.Client(
          proxy === undefined ? address : HostPort.format(proxy.address),
          channelCredentials,
          channelOptions(options, proxy)
        )
      ),
      (client) => Effect.sync(() => client.close())
    )
    const calls: ClientCalls.Calls = {
      client,
      peer: address,
      metadata: credentials.metadata ?? (() => ({}))
    }
    const clientOf: GrpcClient = {
      address,
      isConnected: Effect.sync(() => client.getChannel().getConnectivityState(false) === grpc.connectivityState.READY),
      connected: (timeout) => waitUntilKnown(client, address, timeout),
      unary: ClientCalls.unary(calls),
      serverStream: ClientCalls.serverStream(calls),
      receive: ClientCalls.receive(calls),
      bidi: ClientCalls.bidi(calls)
    }
    return clientOf
  })
