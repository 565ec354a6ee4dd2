/** Admits requests to this node until it drains. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as GrpcError from "../grpc/GrpcError.js"
import * as GoDuration from "../text/GoDuration.js"

export class RequestGate extends Context.Tag("@orchion/node-agent/RequestGate")<
  RequestGate,
  {
    /**
     * Runs a request. Fails with `UNAVAILABLE` once the node drains; the request is interrupted when the grace period is
     * over.
     */
    readonly admit: <A, E>(request: Effect.Effect<A, E>) => Effect.Effect<A, E | GrpcError.GrpcError>
    /**
     * Stops admitting requests and waits until none is in flight, for at most the grace period; then interrupts the
     * rest. Idempotent.
     */
    readonly drain: (grace: Duration.Duration) => Effect.Effect<void>
  }
>() {}

const draining = GrpcError.fail(
  GrpcError.Status.UNAVAILABLE,
  "this node is shutting down and accepts no more requests; ask another one"
)

const requests = (count: number) => count === 1 ? "1 request" : `${count} requests`

export const make: Effect.Effect<RequestGate["Type"]> = Effect.gen(function*() {
  const idle = yield* Deferred.make<void>()
  const inFlight = new Set<Fiber.RuntimeFiber<unknown, unknown>>()
  let isDraining = false

  return {
    admit: <A, E>(request: Effect.Effect<A, E>) =>
      Effect.withFiberRuntime<A, E | GrpcError.GrpcError>((fiber) => {
        if (isDraining) return draining
        inFlight.add(fiber)
        return Effect.onExit(request, () => {
          inFlight.delete(fiber)
          return isDraining && inFlight.size === 0 ? Deferred.succeed(idle, undefined) : Effect.void
        })
      }),
    drain: Effect.fn("RequestGate.drain")(function*(grace: Duration.Duration) {
      isDraining = true
      if (inFlight.size === 0) return
      const limit = GoDuration.format(grace)
      yield* Effect.logInfo(`Draining: waiting for ${requests(inFlight.size)} in flight, at most ${limit}`)
      const ended = yield* Deferred.await(idle).pipe(Effect.interruptible, Effect.timeoutOption(grace))
      if (ended._tag === "Some") return
      yield* Effect.logWarning(`Cancelling ${requests(inFlight.size)} still in flight after ${limit}`)
      for (const fiber of inFlight) fiber.unsafeInterruptAsFork(fiber.id())
    })
  }
})

export const layer: Layer.Layer<RequestGate> = Layer.effect(RequestGate, make)
