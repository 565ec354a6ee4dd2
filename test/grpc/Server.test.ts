import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as BindFailure from "../../src/net/BindFailure.js"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import { EchoService, message, serve, settled } from "./Echo.js"
import * as Peers from "./Peers.js"

const deadline = "10 seconds"

const clientOf = ({ port }: { readonly port: number }) => GrpcClient.make({ address: `127.0.0.1:${port}` })

describe("where a server listens", () => {
  it.scopedLive("is a free port when it is left open", () =>
    Effect.gen(function*() {
      const [first, second] = yield* Effect.all([serve({}), serve({})])
      assert.isAbove(first.port, 0)
      assert.notStrictEqual(first.port, second.port)
    }))

  it.scopedLive("is not a port that is taken", () =>
    Effect.gen(function*() {
      const { port } = yield* serve({})
      const error = yield* Effect.flip(serve({}, { port }))
      assert.strictEqual(error._tag, "GrpcBindError")
      assert.strictEqual(error.reason, "in-use")
      assert.strictEqual(error.message, `port ${port} on 127.0.0.1 is taken by another program`)
    }))

  it.scopedLive("is not an address of another machine", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(serve({}, { host: "192.0.2.1" }))
      assert.strictEqual(error.reason, "no-such-address")
      assert.strictEqual(error.message, "192.0.2.1 is not an address of this machine")
    }))

  it("is reported in plain words", () => {
    const at = (host: string, details: string) => BindFailure.describe(BindFailure.make({ host, port: 80 }, details))
    assert.strictEqual(at("::", "listen EACCES: permission denied"), "this user may not listen on [::]:80")
    assert.strictEqual(at("::", "listen EAFNOSUPPORT"), ":: is not an address of this machine")
    assert.strictEqual(at("127.0.0.1", "odd"), "cannot listen on 127.0.0.1:80: odd")
  })

  it.live("is free again when its scope is closed", () =>
    Effect.gen(function*() {
      const first = yield* Effect.scoped(serve({}))
      const second = yield* Effect.scoped(serve({}, { port: first.port }))
      assert.strictEqual(second.port, first.port)
    }))

  it.live("is free again at once, with clients still connected", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { port } = yield* Scope.extend(serve({ Say: Effect.succeed }), scope)
      yield* Effect.scoped(Effect.gen(function*() {
        const client = yield* clientOf({ port })
        yield* client.unary(EchoService, "Say", message(1), { deadline })
        yield* Scope.close(scope, Exit.void)
        yield* Effect.scoped(serve({}, { port }))
      }))
    }))
})

describe("the end of a server", () => {
  it.scopedLive("interrupts its handlers, and their callers get UNAVAILABLE", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const begun = yield* Ref.make(0)
      const interrupted = yield* Ref.make(0)
      const hanging = Effect.zipRight(Ref.update(begun, (many) => many + 1), Effect.never).pipe(
        Effect.onInterrupt(() => Ref.update(interrupted, (many) => many + 1))
      )
      const server = yield* Scope.extend(
        serve({ Say: () => hanging, Count: () => Stream.fromEffect(hanging), Talk: () => Stream.fromEffect(hanging) }),
        scope
      )
      const client = yield* clientOf(server)
      const calls = yield* Effect.fork(Effect.all([
        Effect.flip(client.unary(EchoService, "Say", message(1), { deadline })),
        Effect.flip(Stream.runDrain(client.serverStream(EchoService, "Count", message(1)))),
        Effect.flip(Stream.runDrain(client.bidi(EchoService, "Talk", Stream.never)))
      ], { concurrency: 3 }))
      yield* Effect.repeat(Effect.delay(Ref.get(begun), "10 millis"), { until: (many) => many === 3 })
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(elapsed), 1500)
      assert.strictEqual(yield* Ref.get(interrupted), 3)
      for (const error of yield* Fiber.join(calls)) {
        assert.strictEqual(error.code, GrpcError.Status.UNAVAILABLE)
        assert.strictEqual(error.details, "the server is shutting down")
        assert.isTrue(error.retryable)
      }
    }))

  it.scopedLive("does not wait for a client that does not read", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const taken = yield* Ref.make(0)
      const server = yield* Scope.extend(
        serve({
          Count: () =>
            Stream.range(0, 10_000).pipe(
              Stream.rechunk(1),
              Stream.map((number) => message(number, 10_000)),
              Stream.tap(() => Ref.update(taken, (many) => many + 1))
            )
        }, { closeGrace: "300 millis" }),
        scope
      )
      const client = yield* clientOf(server)
      const reading = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Stream.runForEach(
        client.serverStream(EchoService, "Count", message(1)),
        () => Effect.zipRight(Deferred.succeed(reading, undefined), Effect.never)
      ))
      yield* Deferred.await(reading)
      yield* settled(taken)
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(elapsed), 1500)
      yield* Fiber.interrupt(fiber)
    }))

  it.scopedLive("does not wait for a connection that says nothing", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { port } = yield* Scope.extend(serve({}, { closeGrace: "300 millis" }), scope)
      yield* Effect.acquireRelease(
        Effect.async<net.Socket>((resume) => {
          const socket = net.connect(port, "127.0.0.1", () => resume(Effect.succeed(socket)))
          socket.on("error", () => {})
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(elapsed), 1500)
    }))

  it.scopedLive("waits for the finalizers of its handlers", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const begun = yield* Deferred.make<void>()
      const finished = yield* Ref.make(false)
      const server = yield* Scope.extend(
        serve({
          Say: () =>
            Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.ensuring(Effect.delay(Ref.set(finished, true), "100 millis"))
            )
        }),
        scope
      )
      const client = yield* clientOf(server)
      const call = yield* Effect.fork(Effect.flip(client.unary(EchoService, "Say", message(1), { deadline })))
      yield* Deferred.await(begun)
      yield* Scope.close(scope, Exit.void)
      assert.isTrue(yield* Ref.get(finished))
      assert.strictEqual((yield* Fiber.join(call)).code, GrpcError.Status.UNAVAILABLE)
    }))
})

describe("a server among bad clients", () => {
  it.scopedLive("continues when a client sends garbage", () =>
    Effect.gen(function*() {
      const server = yield* serve({ Say: Effect.succeed })
      yield* Effect.async<void>((resume) => {
        const socket = net.connect(server.port, "127.0.0.1", () => socket.write("GET / HTTP/1.1\r\n\r\n".repeat(1000)))
        socket.on("error", () => {})
        socket.on("data", () => {})
        socket.on("close", () => resume(Effect.void))
      })
      const client = yield* clientOf(server)
      assert.strictEqual((yield* client.unary(EchoService, "Say", message(8), { deadline })).number, 8)
    }))

  it.scopedLive("interrupts the handler of a client that vanished", () =>
    Effect.gen(function*() {
      const begun = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const server = yield* serve({
        Say: () =>
          Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
      })
      // A cable that can be pulled.
      const sockets: Array<net.Socket> = []
      const address = yield* Peers.tcp((socket) => {
        const onward = net.connect(server.port, "127.0.0.1")
        onward.on("error", () => {})
        socket.pipe(onward).pipe(socket)
        sockets.push(socket, onward)
      })
      const client = yield* GrpcClient.make({ address })
      const call = yield* Effect.fork(Effect.flip(client.unary(EchoService, "Say", message(1), { deadline })))
      yield* Deferred.await(begun)
      yield* Effect.sync(() => sockets.forEach((socket) => socket.resetAndDestroy()))
      yield* Deferred.await(interrupted)
      assert.include([GrpcError.Status.UNAVAILABLE, GrpcError.Status.INTERNAL], (yield* Fiber.join(call)).code)
    }))
})
