import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { Docker } from "../../src/docker/Docker.js"
import * as Scripted from "./ScriptedDocker.js"
import { backOff, sleepThrough } from "./Waiting.js"

const inspect = "GET /containers/abc/json"
const wait = "POST /containers/abc/wait"

const running = Scripted.json(Scripted.inspected("abc"))

const exited = (code: number, more: Record<string, unknown> = {}) =>
  Scripted.json(Scripted.inspected("abc", {
    Status: "exited",
    ExitCode: code,
    FinishedAt: "2026-05-07T22:00:00Z",
    ...more
  }))

const waiting = Effect.flatMap(Docker, (docker) => docker.wait("abc"))

const engine = Effect.tap(Scripted.make, (server) => Effect.sync(() => server.on(inspect, running)))

describe("waiting for a container's end", () => {
  it.scoped("reports how it ended", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(wait, (response, request) => {
        server.on(inspect, exited(137, { OOMKilled: true, Error: "out of memory" }))
        return Scripted.json({ StatusCode: 137 })(response, request)
      })
      assert.deepStrictEqual(yield* Effect.provide(waiting, Scripted.layer(server)), {
        exitCode: 137,
        oomKilled: true,
        error: "out of memory",
        finishedAt: Date.parse("2026-05-07T22:00:00Z")
      })
    }))

  it.scoped("answers at once when it has ended, and asks for no word", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(inspect, exited(3))
      assert.strictEqual((yield* Effect.provide(waiting, Scripted.layer(server))).exitCode, 3)
      assert.deepStrictEqual(server.seen(), [inspect])
    }))

  it.scoped("keeps Docker's word when the container is gone before it can be looked at", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(wait, (response, request) => {
        server.on(inspect, Scripted.refuse(404, "No such container"))
        return Scripted.json({ StatusCode: 5 })(response, request)
      })
      assert.deepStrictEqual(yield* Effect.provide(waiting, Scripted.layer(server)), { exitCode: 5 })
    }))

  it.scoped("fails when it was removed before its end could be seen", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(wait, (response, request) => {
        server.on(inspect, Scripted.refuse(404, "No such container"))
        return Scripted.refuse(404, "No such container")(response, request)
      })
      assert.strictEqual(
        (yield* Effect.flip(Effect.provide(waiting, Scripted.layer(server))))._tag,
        "ContainerNotFound"
      )
    }))

  it.scoped("sees the end although Docker's word never comes", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(wait, (response) => {
        response.writeHead(200)
        response.flushHeaders()
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(waiting)
        yield* server.arrived(wait)
        yield* sleepThrough(60_000)
        yield* server.arrived(wait, 2)
        server.on(inspect, exited(0))
        yield* sleepThrough(60_000)
        assert.strictEqual((yield* Fiber.join(fiber)).exitCode, 0)
      }).pipe(Effect.provide(Scripted.layer(server)))
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("sees the end although the connection died after the response's headers", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(wait, (response, request) => {
        server.on(inspect, exited(1))
        return Scripted.cutAfter("")(response, request)
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(waiting)
        yield* backOff(500)
        assert.strictEqual((yield* Fiber.join(fiber)).exitCode, 1)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("waits through an absence of Docker", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(wait, Scripted.silence)
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(waiting)
        yield* server.arrived(wait)
        yield* server.down
        for (const delay of [500, 1000, 2000, 4000, 8000, 16_000, 30_000]) yield* backOff(delay)
        server.on(inspect, exited(143))
        yield* server.up
        yield* backOff(30_000)
        assert.strictEqual((yield* Fiber.join(fiber)).exitCode, 143)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))
})
