/** The requests that run, and their end when no more are taken. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as GoDuration from "../config/GoDuration.js"
import * as GrpcError from "../grpc/GrpcError.js"

export interface Requests {
  /** Fails with UNAVAILABLE, without running it, once draining has begun; and in its middle, when the grace is over. */
  readonly run: <A>(request: Effect.Effect<A, GrpcError.GrpcError>) => Effect.Effect<A, GrpcError.GrpcError>
  /** Waits until none runs, for `grace` at most; then those that are left are ended. */
  readonly drain: (grace: Duration.Duration) => Effect.Effect<void>
}

const leaving = GrpcError.fail(
  GrpcError.Status.UNAVAILABLE,
  "this node is shutting down and takes no more requests; ask another one"
)
const cutOff = GrpcError.fail(
  GrpcError.Status.UNAVAILABLE,
  "this node shut down before the answer was complete; what came of it is only its beginning"
)

const count = (many: number) => many === 1 ? "1 answer" : `${many} answers`

export const make: Effect.Effect<Requests> = Effect.gen(function*() {
  const over = yield* Deferred.make<void>()
  const empty = yield* Deferred.make<void>()
  let running = 0
  let draining = false

  const left = Effect.suspend(() => {
    running -= 1
    return draining && running === 0 ? Deferred.succeed(empty, undefined) : Effect.void
  })

  return {
    run: (request) =>
      Effect.suspend(() => {
        if (draining) return Effect.fail(leaving)
        running += 1
        const orCutOff = Effect.raceFirst(request, Effect.zipRight(Deferred.await(over), Effect.fail(cutOff)))
        return Effect.ensuring(orCutOff, left)
      }),
    drain: (grace) =>
      Effect.suspend(() => {
        draining = true
        if (running === 0) return Effect.void
        const many = running
        return Effect.logInfo(
          `Waiting for ${count(many)} to end, ${GoDuration.format(grace)} at most`
        ).pipe(
          Effect.zipRight(
            Deferred.await(empty).pipe(Effect.interruptible, Effect.timeoutOption(grace))
          ),
          Effect.flatMap((ended) =>
            ended._tag === "Some" ? Effect.void : Effect.logWarning(
              `${count(running)} did not end within ${GoDuration.format(grace)} and ended early`
            )
          ),
          Effect.zipRight(Deferred.succeed(over, undefined)),
          Effect.asVoid
        )
      })
  }
})
