/** A Docker port whose adapter is loaded at its first use: an agent without engines never pays for it. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Docker } from "./Docker.js"

type Service = Context.Tag.Service<Docker>

/** `load` runs once, at the first use; what it acquires is released with the layer. */
export const layer = (load: Effect.Effect<Service, never, Scope.Scope>): Layer.Layer<Docker> =>
  Layer.scoped(
    Docker,
    Effect.gen(function*() {
      const scope = yield* Effect.scope
      // A fiber of its own: who comes first may leave before it is loaded.
      const loading = yield* Effect.cached(Effect.forkIn(Scope.extend(load, scope), scope))
      const loaded = Effect.flatMap(loading, Fiber.join)
      const later = <A, E, R>(use: (docker: Service) => Effect.Effect<A, E, R>) => Effect.flatMap(loaded, use)
      const laterStream = <A, E>(use: (docker: Service) => Stream.Stream<A, E>) =>
        Stream.unwrap(Effect.map(loaded, use))
      return {
        ping: later(({ ping }) => ping),
        version: later(({ version }) => version),
        info: later(({ info }) => info),
        inspectImage: (image) => later((docker) => docker.inspectImage(image)),
        pull: (image, options) => laterStream((docker) => docker.pull(image, options)),
        run: (spec) => later((docker) => docker.run(spec)),
        runScoped: (spec, options) => later((docker) => docker.runScoped(spec, options)),
        adoptScoped: (container, options) => later((docker) => docker.adoptScoped(container, options)),
        inspect: (container) => later((docker) => docker.inspect(container)),
        list: (labels) => later((docker) => docker.list(labels)),
        stop: (container, options) => later((docker) => docker.stop(container, options)),
        kill: (container, signal) => later((docker) => docker.kill(container, signal)),
        remove: (container, options) => later((docker) => docker.remove(container, options)),
        wait: (container) => later((docker) => docker.wait(container)),
        logs: (container, options) => laterStream((docker) => docker.logs(container, options)),
        stats: (container) => later((docker) => docker.stats(container)),
        exec: (container, command, options) => later((docker) => docker.exec(container, command, options)),
        events: (labels) => laterStream((docker) => docker.events(labels))
      }
    })
  )
