/** The requests that run, and their end when no more are taken. */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as GoDuration from "../text/GoDuration.js"
import * as GrpcError from "../grpc/GrpcError.js"

export interface Requests {
  /** Fails with UNAVAILABLE once draining has begun; is interrupted when the grace is over. */
  readonly run: <A>(request: Effect.Effect<A, GrpcError.GrpcError>) => Effect.Effect<A, GrpcError.GrpcError>
  /** Waits until none runs, for `grace` at most; then those that are left are interrupted. */
  readonly drain: (grace: Duration.Duration) => Effect.Effect<void>
}

const leaving = Effect.fail(GrpcError.fail(
  GrpcError.Status.UNAVAILABLE,
  "this node is shutting down and takes no more requests; ask another one"
))

const count = (many: number) => many === 1 ? "1 answer" : `${many} answers`

export const make: Effect.Effect<Requests> = Effect.gen(function*() {
  const empty = yield* Deferred.make<void>()
  const running = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  let draining = false

  return {
    run: <A>(request: Effect.Effect<A, GrpcError.GrpcError>) =>
      Effect.withFiberRuntime<A, GrpcError.GrpcError>((fiber) => {
        if (draining) return leaving
        running.add(fiber)
        return Effect.onExit(request, () => {
          running.delete(fiber)
          return draining && running.size === 0 ? Deferred.succeed(empty, undefined) : Effect.void
        })
      }),
    drain: (grace) =>
      Effect.suspend(() => {
        draining = true
        if (running.size === 0) return Effect.void
        return Effect.gen(function*() {
          yield* Effect.logInfo(`Waiting for ${count(running.size)} to end, ${GoDuration.format(grace)} at most`)
          const ended = yield* Deferred.await(empty).pipe(Effect.interruptible, Effect.timeoutOption(grace))
          if (ended._tag === "Some") return
          yield* Effect.logWarning(
            `${count(running.size)} did not end within ${GoDuration.format(grace)}: cut off`
          )
          for (const fiber of running) fiber.unsafeInterruptAsFork(fiber.id())
        })
      })
  }
})
