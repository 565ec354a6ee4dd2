import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as DeferredDocker from "../../src/docker/DeferredDocker.js"
import { Docker } from "../../src/docker/Docker.js"
import * as DockerodeDocker from "../../src/docker/DockerodeDocker.js"
import * as Scripted from "./ScriptedDocker.js"

describe("a Docker that is loaded at its first use", () => {
  it.scopedLive("is loaded once, by its first user, and released with the layer", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("GET /containers/json", Scripted.json([]))
      let loads = 0
      let released = 0
      const load = Effect.gen(function*() {
        loads++
        yield* Effect.addFinalizer(() => Effect.sync(() => released++))
        return yield* DockerodeDocker.make({ environment: server.environment })
      })
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        assert.strictEqual(loads, 0)
        yield* Effect.all([docker.ping, docker.version, docker.list({}), docker.info], { concurrency: "unbounded" })
        assert.deepStrictEqual([loads, released], [1, 0])
      }).pipe(Effect.provide(DeferredDocker.layer(load)))
      assert.deepStrictEqual([loads, released], [1, 1])
    }))

  it.scopedLive("is there for the others when the first one leaves before it is", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const begun = yield* Deferred.make<void>()
      const go = yield* Deferred.make<void>()
      const load = Effect.gen(function*() {
        yield* Deferred.succeed(begun, undefined)
        yield* Deferred.await(go)
        return yield* DockerodeDocker.make({ environment: server.environment })
      })
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const first = yield* Effect.fork(docker.ping)
        yield* Deferred.await(begun)
        const leaving = yield* Effect.fork(Fiber.interrupt(first))
        const second = yield* Effect.fork(docker.ping)
        yield* Effect.yieldNow()
        yield* Deferred.succeed(go, undefined)
        yield* Fiber.join(leaving)
        yield* Fiber.join(second)
      }).pipe(Effect.provide(DeferredDocker.layer(load)))
    }))

  it.scopedLive("does what the loaded one does, with each of its ways", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const told = new Proxy({}, {
        get: (_, name) => {
          const answer = Effect.sync(() => void asked.push(String(name)))
          const streams = ["pull", "logs", "events"].includes(String(name))
          if (["ping", "version", "info"].includes(String(name))) return answer
          return () => streams ? Stream.fromEffect(answer) : answer
        }
      }) as Docker["Type"]
      yield* Effect.gen(function*() {
        const docker: Docker["Type"] = yield* Docker
        const names = Object.keys(docker)
        for (const name of names) {
          const member: unknown = Reflect.get(docker, name)
          const used: unknown = typeof member === "function" ? member("a", "b") : member
          if (Effect.isEffect(used)) yield* used as Effect.Effect<void>
          else yield* Stream.runDrain(used as Stream.Stream<void>)
        }
        assert.deepStrictEqual(asked, names)
        // What the loaded one has, this one has.
        const live = yield* Effect.map(Layer.build(DockerodeDocker.layer()), (context) =>
          context.unsafeMap.get(Docker.key))
        assert.sameMembers(Object.keys(live), names)
      }).pipe(Effect.provide(DeferredDocker.layer(Effect.succeed(told))))
    }))
})
