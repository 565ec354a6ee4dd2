/** Work with its own timeouts inside an uninterruptible caller. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

/**
 * Runs an interruptible effect that only its own timeouts can interrupt.
 *
 * A timeout needs an interruptible effect, and an interruptible effect is interrupted by any interruption of its fiber:
 * in a finalizer, by a second one. A child fiber does not help, since interrupting a fiber interrupts its children. So
 * the work runs in a daemon fiber.
 */
export const insulated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptible(
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) => Effect.flatMap(Effect.forkIn(Effect.interruptible(effect), scope), Fiber.join),
      Scope.close
    )
  )

/** {@link insulated} in an uninterruptible caller, and unchanged in an interruptible one. */
export const asTheCaller = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.checkInterruptible((interruptible) => (interruptible ? effect : insulated(effect)))
