/** The connection of an adapter: made on use, replaced once it has failed. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as SynchronizedRef from "effect/SynchronizedRef"
import * as GrpcClient from "../../grpc/GrpcClient.js"
import { type GrpcError, Status } from "../../grpc/GrpcError.js"
import * as HostPort from "../../net/HostPort.js"

export interface ConnectionOptions extends Pick<GrpcClient.GrpcClientOptions, "credentials"> {
  readonly address: HostPort.HostPort
}

export interface Connection {
  /** `host:port`. */
  readonly address: string
  /** The current client: for long-running calls, whose failure says nothing about the connection. */
  readonly client: Effect.Effect<GrpcClient.GrpcClient>
  /** A call that also tests the connection: a failed connection is closed, and the next call makes a new one. */
  readonly request: <A>(
    call: (client: GrpcClient.GrpcClient) => Effect.Effect<A, GrpcError>
  ) => Effect.Effect<A, GrpcError>
  /** Closes the connection, with every call on it. */
  readonly drop: Effect.Effect<void>
}

interface Held {
  readonly client: GrpcClient.GrpcClient
  readonly scope: Scope.CloseableScope
}

/** No answer, or none in time: the connection may be dead, whatever its sockets say. */
const saysDead = ({ code }: GrpcError) => code === Status.UNAVAILABLE || code === Status.DEADLINE_EXCEEDED

/**
 * Nothing is connected until the first call. A failed connection is discarded, so that the next call makes a new one
 * immediately, instead of when grpc-js's own backoff allows it, and never uses one that is silently dead.
 */
export const make = (options: ConnectionOptions): Effect.Effect<Connection, never, Scope.Scope> =>
  Effect.gen(function*() {
    const address = HostPort.format(options.address)
    const scope = yield* Effect.scope
    const current = yield* SynchronizedRef.make(Option.none<Held>())

    const held = Effect.uninterruptible(
      SynchronizedRef.modifyEffect(
        current,
        (known) =>
          Option.isSome(known) ? Effect.succeed([known.value, known] as const) : Effect.gen(function*() {
            const own = yield* Scope.fork(scope, scope.strategy)
            const client = yield* Scope.extend(GrpcClient.make({ ...options, address }), own)
            const made: Held = { client, scope: own }
            return [made, Option.some(made)] as const
          })
      )
    )

    const dropIf = (isFailed: (held: Held) => boolean) =>
      Effect.uninterruptible(
        Effect.flatten(SynchronizedRef.modify(current, (known) =>
          Option.isSome(known) && isFailed(known.value)
            ? [Scope.close(known.value.scope, Exit.void), Option.none()] as const
            : [Effect.void, known] as const))
      )

    return {
      address,
      client: Effect.map(held, ({ client }) => client),
      drop: dropIf(() => true),
      request: (call) =>
        Effect.flatMap(held, (used) =>
          Effect.tapError(call(used.client), (error) =>
            // Whatever the status: a peer that sends GOAWAY ends calls with any of them.
            Effect.if(saysDead(error) ? Effect.succeed(true) : Effect.negate(used.client.isConnected), {
              onTrue: () => dropIf((known) => known === used),
              onFalse: () => Effect.void
            })))
    }
  })
