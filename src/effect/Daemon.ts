/**
 * Loops that run beside the main program. A loop that dies is never silent: its cause is logged, and its owner fails.
 *
 * `Effect.forkScoped(Effect.forever(…))` alone dies silently: nothing is logged at the default level, and its owner
 * keeps running without it.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

/**
 * The loops of one owner: the agent, the embedded orchestrator, or a command. Its layer is memoized like any other:
 * services built together share it, and {@link Daemons.join} fails when a loop of any of them dies.
 */
export class Daemons extends Context.Tag("@orchion/node-agent/Daemons")<
  Daemons,
  {
    /**
     * Starts a loop that runs as long as the caller's scope. `name` completes "The … loop died" and is the log
     * annotation `loop`. A defect in it is logged with its cause at level `error`, and {@link join} fails with it.
     */
    readonly start: <A, R>(
      name: string,
      loop: Effect.Effect<A, never, R>
    ) => Effect.Effect<Fiber.RuntimeFiber<A>, never, R | Scope.Scope>
    /** Never succeeds; dies with the defect of the first loop that died. */
    readonly join: Effect.Effect<never>
  }
>() {
  static readonly layer: Layer.Layer<Daemons> = Layer.scoped(
    Daemons,
    Effect.map(FiberSet.make<unknown, never>(), (fibers) => ({
      start: <A, R>(name: string, loop: Effect.Effect<A, never, R>) =>
        loop.pipe(
          Effect.tapErrorCause((cause) =>
            Cause.isInterruptedOnly(cause) ? Effect.void : Effect.logError(`The ${name} loop died`, cause)
          ),
          Effect.annotateLogs("loop", name),
          Effect.forkScoped,
          Effect.tap((fiber) => FiberSet.add(fibers, fiber))
        ),
      join: Effect.zipRight(FiberSet.join(fibers), Effect.never)
    }))
  )
}

/** {@link Daemons.start} of the current owner. */
export const start = <A, R>(
  name: string,
  loop: Effect.Effect<A, never, R>
): Effect.Effect<Fiber.RuntimeFiber<A>, never, R | Daemons | Scope.Scope> =>
  Effect.flatMap(Daemons, (daemons) => daemons.start(name, loop))
