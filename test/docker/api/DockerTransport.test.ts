import * as http from "node:http"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Docker } from "../../../src/docker/Docker.js"
import * as DockerTransport from "../../../src/docker/api/DockerTransport.js"
import * as Scripted from "../ScriptedDocker.js"

const inspect = Effect.flatMap(Docker, (docker) => docker.inspect("abc"))

const ask = (server: Scripted.ScriptedDocker, answer: Scripted.Answer) => {
  server.on("GET /containers/abc/json", answer)
  return Effect.provide(inspect, Scripted.layer(server))
}

describe("requests to Docker", () => {
  it.scoped("fails at once when the connection dies after the response's headers", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const error = yield* Effect.flip(ask(server, Scripted.cutAfter("{\"Id\":\"abc\"")))
      assert.strictEqual(error._tag, "DockerUnreachable")
      assert.include(error.message, "inspect container abc")
      assert.include(error.message, "the connection was lost before the answer was complete")
    }))

  it.scoped("fails at its deadline when Docker hangs before it answers", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const fiber = yield* Effect.fork(Effect.flip(ask(server, Scripted.silence)))
      yield* server.arrived("GET /containers/abc/json")
      yield* TestClock.adjust("15 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "DockerTimeout")
      assert.include(error.message, "did not inspect container abc within 15 s")
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("fails at its deadline when Docker hangs in the middle of its answer", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const fiber = yield* Effect.fork(Effect.flip(ask(server, (response) => {
        response.writeHead(200, { "Content-Type": "application/json" })
        response.write("{\"Id\":")
      })))
      yield* server.arrived("GET /containers/abc/json")
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "DockerTimeout")
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("fails at its deadline also where the caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const fiber = yield* Effect.fork(Effect.uninterruptible(Effect.flip(ask(server, Scripted.silence))))
      yield* server.arrived("GET /containers/abc/json")
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "DockerTimeout")
    }))

  it.scoped("continues to its answer where the caller cannot be interrupted", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      let answer: (() => void) | undefined
      let answered = ""
      const fiber = yield* Effect.fork(Effect.uninterruptible(Effect.tap(
        ask(server, (response, request) => {
          answer = () => void Scripted.json(Scripted.inspected("abc"))(response, request)
        }),
        ({ id }) =>
          Effect.sync(() => {
            answered = id
          })
      )))
      const [request] = yield* server.arrived("GET /containers/abc/json")
      yield* Fiber.interruptFork(fiber)
      yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      assert.strictEqual(request?.closed, false)
      answer?.()
      yield* Fiber.await(fiber)
      assert.strictEqual(answered, "abc")
    }))

  it.scoped("waits for a daemon that takes its time to begin its answer", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      let answer: (() => void) | undefined
      server.on("POST /containers/abc/stop", (response) => {
        answer = () => response.writeHead(204).end()
      })
      const fiber = yield* Effect.fork(
        Effect.flatMap(Docker, (docker) => docker.stop("abc", { grace: "2 minutes" })).pipe(
          Effect.provide(Scripted.layer(server))
        )
      )
      yield* server.arrived("POST /containers/abc/stop")
      yield* TestClock.adjust("2 minutes")
      answer?.()
      yield* Fiber.join(fiber)
    }))

  it.scoped("closes its connection when it is interrupted", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const fiber = yield* Effect.fork(ask(server, Scripted.silence))
      const [request] = yield* server.arrived("GET /containers/abc/json")
      yield* Fiber.interrupt(fiber)
      yield* server.until(() => request?.closed === true && server.connections() === 0)
    }))

  it.scoped("leaves no connection open after an answer", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      yield* ask(server, Scripted.json(Scripted.inspected("abc")))
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("closes what is still open with the layer", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("GET /slow", Scripted.silence)
      const scope = yield* Effect.scope
      yield* Effect.scoped(Effect.gen(function*() {
        const transport = yield* DockerTransport.make(server.environment)
        yield* Effect.forkIn(
          transport.call({ operation: "wait", method: "GET", path: "/slow", deadline: Duration.infinity }),
          scope
        )
        yield* server.arrived("GET /slow")
      }))
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("refuses an answer that is too long to be one", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const error = yield* Effect.flip(ask(server, (response) => {
        response.writeHead(200, { "Content-Type": "application/json" })
        const block = Buffer.alloc(1024 * 1024, 0x20)
        const more = () => {
          while (!response.destroyed) if (!response.write(block)) return
        }
        response.on("drain", more)
        more()
      }))
      assert.strictEqual(error._tag, "DockerRequestFailed")
      assert.include(error.message, "longer than 4.0 MiB")
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("says where an answer was not understood", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const error = yield* Effect.flip(ask(server, Scripted.json({ ...Scripted.inspected("abc"), Id: 5 })))
      assert.strictEqual(error._tag, "DockerRequestFailed")
      assert.include(error.message, "Id: Expected string, actual 5")
    }))

  it.scoped("shows what a proxy in between has to say", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const error = yield* Effect.flip(ask(server, (response) => {
        response.writeHead(502, { "Content-Type": "text/html" }).end("<h1>Bad gateway</h1>")
      }))
      assert.strictEqual(error._tag, "DockerRequestFailed")
      assert.include(error.message, "(status 502): <h1>Bad gateway</h1>")
    }))

  it.scoped("takes a socket that speaks something else for what it is", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const error = yield* Effect.flip(ask(server, (response) => {
        response.socket?.end("220 mail.example.com ESMTP\r\n")
      }))
      assert.strictEqual(error._tag, "DockerUnreachable")
      assert.include(error.message, "does not speak HTTP")
    }))

  it.scoped("takes \"it is so already\" as success", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("POST /containers/abc/stop", Scripted.empty(304))
      server.on("DELETE /containers/abc", Scripted.refuse(404, "No such container: abc"))
      yield* Effect.flatMap(Docker, (docker) =>
        Effect.zipRight(docker.stop("abc", { grace: "1 second" }), docker.remove("abc"))).pipe(
          Effect.provide(Scripted.layer(server))
        )
      assert.deepStrictEqual(server.seen(), ["POST /containers/abc/stop", "DELETE /containers/abc"])
    }))

  it.scoped("sends the same request again as it was", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("POST /thing", Scripted.json({ ok: true }))
      const transport = yield* DockerTransport.make(server.environment)
      const request: DockerTransport.Request = Object.freeze({
        operation: "send a thing",
        method: "POST",
        path: "/thing",
        query: Object.freeze({ name: "a b&c", missing: undefined }),
        body: Object.freeze({ Env: Object.freeze(["TOKEN=secret"]), authconfig: "kept", abortSignal: "kept" }),
        headers: Object.freeze({ "X-Registry-Auth": "auth" }),
        deadline: Duration.seconds(5)
      })
      const answer = Schema.Struct({ ok: Schema.Boolean })
      yield* transport.json(request, answer)
      yield* transport.json(request, answer)
      assert.strictEqual(server.requests.length, 2)
      for (const arrived of server.requests) {
        // The body's secrets are not in the address, where proxies log them.
        assert.strictEqual(arrived.query.toString(), "name=a+b%26c")
        assert.deepStrictEqual(arrived.body, { Env: ["TOKEN=secret"], authconfig: "kept", abortSignal: "kept" })
        assert.strictEqual(arrived.headers["x-registry-auth"], "auth")
      }
    }))

  it.scoped("fails a stream whose connection is cut, after handing on what had come", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("GET /stream", Scripted.cutAfter("begun"))
      const transport = yield* DockerTransport.make(server.environment)
      let text = ""
      const exit = yield* Effect.exit(Effect.scoped(Effect.flatMap(
        transport.open({ operation: "read", method: "GET", path: "/stream", deadline: Duration.seconds(5) }),
        Stream.runForEach((bytes) =>
          Effect.sync(() => {
            text += Buffer.from(bytes).toString()
          })
        )
      )))
      assert.strictEqual(text, "begun")
      assert.isTrue(Exit.isFailure(exit) && exit.toString().includes("DockerUnreachable"))
    }))

  it.scoped("takes values beyond what a number can hold as unknown", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("GET /containers/abc/stats", (response) => {
        // 2^63 - 4096: the kernel's way to say unlimited.
        response.writeHead(200).end("{\"memory_stats\":{\"usage\":5000,\"limit\":9223372036854771712}}")
      })
      const stats = yield* Effect.flatMap(Docker, (docker) => docker.stats("abc")).pipe(
        Effect.provide(Scripted.layer(server))
      )
      assert.strictEqual(stats.memoryUsedBytes, 5000)
      assert.notProperty(stats, "memoryLimitBytes")
    }))
})

describe("a daemon that comes and goes", () => {
  it.scoped("builds without one, and finds it when it has come", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      yield* server.down
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const error = yield* Effect.flip(docker.ping)
        assert.strictEqual(error._tag, "DockerUnreachable")
        assert.include(error.message, `unix://${server.socket}`)
        assert.include(error.message, "its daemon is not running")
        yield* server.up
        yield* docker.ping
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("works with Docker again after its restart", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        yield* docker.ping
        yield* server.down
        assert.strictEqual((yield* Effect.flip(docker.ping))._tag, "DockerUnreachable")
        yield* server.up
        yield* docker.ping
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))
})

describe("a mistake in a handler", () => {
  it.scopedLive("fails the one request, and no other", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      server.on("GET /x", Scripted.json({}))
      const transport = yield* DockerTransport.make(server.environment)
      const request = { operation: "ask", method: "GET", path: "/x", deadline: "5 seconds" } as const
      yield* transport.call(request)
      const error = yield* Effect.acquireUseRelease(
        Effect.sync(() => {
          const { read } = http.IncomingMessage.prototype
          http.IncomingMessage.prototype.read = function(this: http.IncomingMessage, size) {
            // The server's requests, in the same process, have no status.
            if (this.statusCode !== null) throw new Error("planted")
            return Reflect.apply(read, this, [size]) as unknown
          }
          return read
        }),
        () => Effect.flip(transport.call(request)),
        (read) => Effect.sync(() => http.IncomingMessage.prototype.read = read)
      )
      assert.strictEqual(error._tag, "DockerUnreachable")
      yield* transport.call(request)
      yield* server.until(() => server.connections() === 0)
    }))
})
