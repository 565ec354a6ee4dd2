/**
 * Gives up exchanges with lost nodes: a machine that lost power closes no connection, and its answer would be awaited
 * until keepalive fails.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Daemon from "../../effect/Daemon.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import type { NodeRegistry } from "../registry/NodeRegistry.js"
import { nameOf } from "./NodeModels.js"

/** An exchange with a node. */
export interface WatchedExchange {
  readonly nodeId: string
  /** When something of the answer last came, or the exchange began: milliseconds since 1970. */
  heardAt: number
  readonly failure: Deferred.Deferred<never, GrpcError.GrpcError>
}

export interface SilenceWatch {
  /** Fails the exchange's `failure` when nothing comes for `silence` from a node that misses its heartbeats, too. */
  readonly watch: (exchange: WatchedExchange) => Effect.Effect<void, never, Scope.Scope>
}

export const make = (
  registry: NodeRegistry,
  silence: Duration.DurationInput
): Effect.Effect<SilenceWatch, never, Daemon.Daemons | Scope.Scope> =>
  Effect.gen(function*() {
    const millis = Duration.toMillis(silence)
    const exchanges = new Set<WatchedExchange>()

    const giveUp = ({ failure, nodeId }: WatchedExchange) =>
      Effect.flatMap(registry.get(nodeId), (node) =>
        Option.isSome(node) && !node.value.stale ? Effect.void : Deferred.fail(
          failure,
          GrpcError.fail(
            GrpcError.Status.UNAVAILABLE,
            `node ${
              Option.match(node, { onNone: () => nodeId, onSome: nameOf })
            } stopped responding`
          )
        ))

    const look = Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => Effect.forEach([...exchanges].filter(({ heardAt }) => now - heardAt > millis), giveUp, { discard: true })
    )
    yield* Daemon.start("node silence", Effect.forever(Effect.zipRight(Effect.sleep(millis / 2), look)))

    return {
      watch: (exchange) =>
        Effect.acquireRelease(
          Effect.sync(() => exchanges.add(exchange)),
          () => Effect.sync(() => exchanges.delete(exchange))
        )
    }
  })
