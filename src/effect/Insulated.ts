/** Work with time limits of its own, where the caller cannot be interrupted. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"

/**
 * Runs an interruptible effect that only its own time limits cut off.
 *
 * A time limit needs an effect that can be interrupted, and what can be interrupted is so by every interruption of its
 * fiber: in a finalizer, by a second one. A child fiber is no way out, since an interruption reaches the children of a
 * fiber at once, whatever they are in the middle of. So the work gets a fiber that is nobody's child.
 */
export const insulated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.uninterruptible(
    Effect.acquireUseRelease(
      Scope.make(),
      (scope) => Effect.flatMap(Effect.forkIn(Effect.interruptible(effect), scope), Fiber.join),
      Scope.close
    )
  )

/** Like {@link insulated} where the caller cannot be interrupted, and as it is where it can. */
export const asTheCaller = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.checkInterruptible((interruptible) => (interruptible ? effect : insulated(effect)))
