/** Parts of the embedded orchestrator whose loops nobody but their test watches. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Daemon from "../../src/effect/Daemon.js"

/** Makes a part with loops of its own. */
export const watched = <A, E, R>(
  make: Effect.Effect<A, E, R>
): Effect.Effect<A, E, Exclude<R, Daemon.Daemons> | Scope.Scope> =>
  Effect.flatMap(Layer.build(Daemon.Daemons.layer), (daemons) => Effect.provide(make, daemons))
