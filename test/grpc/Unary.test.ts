import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as GrpcServer from "../../src/grpc/GrpcServer.js"
import { OrchestratorService } from "../../src/proto/OrchionV1.js"
import { EchoService, message, serve, start } from "./Echo.js"
import * as Peers from "./Peers.js"

const deadline = "10 seconds"

const say = (client: GrpcClient.GrpcClient, number = 1, options: Partial<GrpcClient.UnaryOptions> = {}) =>
  client.unary(EchoService, "Say", message(number), { deadline, ...options })

/** A handler that never answers, and tells when it was begun and when it was interrupted. */
const hanging = Effect.gen(function*() {
  const begun = yield* Deferred.make<void>()
  const interrupted = yield* Deferred.make<void>()
  return {
    begun: Deferred.await(begun),
    interrupted: Deferred.await(interrupted),
    handler: Effect.zipRight(Deferred.succeed(begun, undefined), Effect.never).pipe(
      Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
    )
  }
})

describe("a unary call", () => {
  it.scopedLive("is answered, and the handler knows who called", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Say: ({ number, payload }, { peer }) => {
          assert.match(peer, /^127\.0\.0\.1:\d+$/)
          return Effect.succeed({ number: number + 1, payload })
        }
      })
      assert.strictEqual((yield* say(client, 41)).number, 42)
    }))

  it.scopedLive("ends with a status that holds half of a surrogate pair", () =>
    Effect.gen(function*() {
      const error = { code: GrpcError.Status.NOT_FOUND, details: "no \ud83d", method: "", peer: "", retryable: false }
      const client = yield* start({ Say: () => Effect.fail(new GrpcError.GrpcError(error)) })
      const failure = yield* Effect.flip(say(client)).pipe(Effect.timeout("5 seconds"))
      assert.deepInclude(failure, { code: GrpcError.Status.NOT_FOUND, details: "no \ufffd" })
    }))

  it.scopedLive("is one of many on one connection", () =>
    Effect.gen(function*() {
      const client = yield* start({ Say: Effect.succeed })
      const numbers = Array.from({ length: 200 }, (_, index) => index)
      const answers = yield* Effect.forEach(numbers, (number) => say(client, number), { concurrency: 100 })
      assert.deepStrictEqual(answers.map(({ number }) => number), numbers)
    }))

  it.scopedLive("fails with the handler's status, and says which method and peer that was", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Say: () => Effect.fail(GrpcError.fail(GrpcError.Status.NOT_FOUND, "no such thing"))
      })
      const error = yield* Effect.flip(say(client))
      assert.strictEqual(error.code, GrpcError.Status.NOT_FOUND)
      assert.isFalse(error.retryable)
      assert.strictEqual(error.message, `/test.v1.Echo/Say at ${client.address}: NOT_FOUND: no such thing`)
    }))

  it.scopedLive("fails with INTERNAL and no detail when the handler has a defect, and the server continues", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Say: ({ number }) => number === 0 ? Effect.die(new Error("secret path /root")) : Effect.succeed(message(number))
      })
      const error = yield* Effect.flip(say(client, 0))
      assert.strictEqual(error.code, GrpcError.Status.INTERNAL)
      assert.strictEqual(error.details, "internal error")
      assert.strictEqual((yield* say(client, 7)).number, 7)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))

  it.scopedLive("fails with INTERNAL when the handler throws", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Say: () => {
          throw new Error("secret")
        }
      })
      const error = yield* Effect.flip(say(client, 0))
      assert.strictEqual(error.code, GrpcError.Status.INTERNAL)
      assert.strictEqual(error.details, "internal error")
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))

  it.scopedLive("is over at its deadline, on both sides", () =>
    Effect.gen(function*() {
      const { handler, interrupted } = yield* hanging
      const client = yield* start({ Say: () => handler })
      const [elapsed, error] = yield* Effect.timed(Effect.flip(say(client, 1, { deadline: "200 millis" })))
      assert.strictEqual(error.code, GrpcError.Status.DEADLINE_EXCEEDED)
      assert.isAtLeast(Duration.toMillis(elapsed), 190)
      assert.isBelow(Duration.toMillis(elapsed), 3000)
      yield* interrupted
    }))

  it.scopedLive("may be repeated after its deadline only when that does no harm", () =>
    Effect.gen(function*() {
      const { handler } = yield* hanging
      const client = yield* start({ Say: () => handler })
      const once = yield* Effect.flip(say(client, 1, { deadline: "50 millis" }))
      assert.isFalse(once.retryable)
      const again = yield* Effect.flip(say(client, 1, { deadline: "50 millis", idempotent: true }))
      assert.isTrue(again.retryable)
    }))

  it.scopedLive("interrupts the handler when its fiber is interrupted", () =>
    Effect.gen(function*() {
      const { begun, handler, interrupted } = yield* hanging
      const client = yield* start({ Say: () => handler })
      const fiber = yield* Effect.fork(say(client))
      yield* begun
      yield* Fiber.interrupt(fiber)
      yield* interrupted
    }))

  it.scopedLive("is cancelled when its client is closed", () =>
    Effect.gen(function*() {
      const { begun, handler, interrupted } = yield* hanging
      const { port } = yield* serve({ Say: () => handler })
      const fiber = yield* Effect.fork(Effect.scoped(
        Effect.flatMap(GrpcClient.make({ address: `127.0.0.1:${port}` }), (client) => say(client))
      ))
      yield* begun
      yield* Fiber.interrupt(fiber)
      yield* interrupted
    }))

  it.scopedLive("cuts off a status message that no peer would take", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Say: () => Effect.fail(GrpcError.fail(GrpcError.Status.ABORTED, "x".repeat(100_000)))
      })
      const error = yield* Effect.flip(say(client))
      assert.strictEqual(error.code, GrpcError.Status.ABORTED)
      assert.strictEqual(error.details.length, 2001)
      assert.isTrue(error.retryable)
    }))

  it.scopedLive("carries a status message in any script, on one line and fit for any gateway's JSON", () =>
    Effect.gen(function*() {
      const details = "узел «7» 100 % kaputt\nC:\\models \"llama\""
      const client = yield* start({ Say: () => Effect.fail(GrpcError.fail(GrpcError.Status.ABORTED, details)) })
      const told = (yield* Effect.flip(say(client))).details
      assert.strictEqual(told, "узел «7» 100 % kaputt C:/models 'llama'")
      assert.deepStrictEqual(JSON.parse(`{"error":"${told}"}`), { error: told })
    }))

  it.scopedLive("does not take an answer beyond its bound, nor is it to be repeated", () =>
    Effect.gen(function*() {
      const client = yield* start({ Say: () => Effect.succeed(message(1, 20_000)) }, { maxReceiveBytes: 10_000 })
      const error = yield* Effect.flip(say(client))
      assert.strictEqual(error.code, GrpcError.Status.RESOURCE_EXHAUSTED)
      assert.isFalse(error.retryable)
    }))

  it.scopedLive("is refused when it is beyond the server's bound", () =>
    Effect.gen(function*() {
      const { port } = yield* serve({ Say: Effect.succeed }, { maxReceiveBytes: 10_000 })
      const client = yield* GrpcClient.make({ address: `127.0.0.1:${port}` })
      const error = yield* Effect.flip(client.unary(EchoService, "Say", message(1, 20_000), { deadline }))
      assert.strictEqual(error.code, GrpcError.Status.RESOURCE_EXHAUSTED)
      assert.strictEqual((yield* say(client, 3)).number, 3)
    }))

  it.scopedLive("fails with UNIMPLEMENTED where the service is not served", () =>
    Effect.gen(function*() {
      const client = yield* start({})
      const error = yield* Effect.flip(client.unary(OrchestratorService, "ListNodes", {}, { deadline }))
      assert.strictEqual(error.code, GrpcError.Status.UNIMPLEMENTED)
      assert.isFalse(error.retryable)
    }))
})

describe("a unary call to a bad peer", () => {
  const failing = (address: string, options: Partial<GrpcClient.UnaryOptions> = {}) =>
    Effect.flatMap(GrpcClient.make({ address }), (client) => Effect.flip(say(client, 1, options)))

  it.scopedLive("fails immediately with UNAVAILABLE when nothing listens", () =>
    Effect.gen(function*() {
      const [elapsed, error] = yield* Effect.timed(Effect.flatMap(Peers.nobody, failing))
      assert.strictEqual(error.code, GrpcError.Status.UNAVAILABLE)
      assert.isTrue(error.retryable)
      assert.include(error.details, "ECONNREFUSED")
      assert.isBelow(Duration.toMillis(elapsed), 3000)
    }))

  it.scopedLive("fails when the peer answers garbage", () =>
    Effect.gen(function*() {
      const address = yield* Peers.tcp((socket) => socket.write("HTTP/1.1 400 Bad Request\r\n\r\nwhat?".repeat(50)))
      const error = yield* failing(address, { deadline: "3 seconds" })
      assert.include([GrpcError.Status.UNAVAILABLE, GrpcError.Status.DEADLINE_EXCEEDED], error.code)
    }))

  it.scopedLive("fails when the peer hangs up on every connection", () =>
    Effect.gen(function*() {
      const address = yield* Peers.tcp((socket) => socket.destroy())
      const error = yield* failing(address, { deadline: "3 seconds" })
      assert.strictEqual(error.code, GrpcError.Status.UNAVAILABLE)
    }))

  it.scopedLive("fails at its deadline when the peer takes the connection and says nothing", () =>
    Effect.gen(function*() {
      const address = yield* Peers.tcp(() => {})
      const [elapsed, error] = yield* Effect.timed(failing(address, { deadline: "300 millis" }))
      assert.strictEqual(error.code, GrpcError.Status.DEADLINE_EXCEEDED)
      assert.isBelow(Duration.toMillis(elapsed), 3000)
    }))

  it.scopedLive("fails at its deadline when the peer takes the call and says nothing", () =>
    Effect.gen(function*() {
      const address = yield* Peers.h2(() => {})
      const error = yield* failing(address, { deadline: "300 millis" })
      assert.strictEqual(error.code, GrpcError.Status.DEADLINE_EXCEEDED)
    }))

  it.scopedLive("fails when the peer closes the connection in the middle of the call", () =>
    Effect.gen(function*() {
      const address = yield* Peers.h2((stream) => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" })
        stream.session?.destroy()
      })
      const error = yield* failing(address)
      assert.include([GrpcError.Status.UNAVAILABLE, GrpcError.Status.INTERNAL, GrpcError.Status.CANCELLED], error.code)
    }))

  it.scopedLive("fails when the peer is a web server", () =>
    Effect.gen(function*() {
      const address = yield* Peers.h2((stream) => {
        stream.respond({ ":status": 404, "content-type": "text/html" })
        stream.end("<h1>Not here</h1>")
      })
      const error = yield* failing(address)
      assert.strictEqual(error.code, GrpcError.Status.UNIMPLEMENTED)
    }))

  it.scopedLive("fails when the answer is no message", () =>
    Effect.gen(function*() {
      const address = yield* Peers.h2((stream) => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true })
        stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0" }))
        stream.end(Buffer.from([0, 0, 0, 0, 4, 255, 255, 255, 255]))
      })
      const error = yield* failing(address)
      assert.strictEqual(error.code, GrpcError.Status.INTERNAL)
    }))

  it.scopedLive("works again on the same client when a server has come", () =>
    Effect.gen(function*() {
      const address = yield* Peers.nobody
      const client = yield* GrpcClient.make({ address })
      assert.strictEqual((yield* Effect.flip(say(client))).code, GrpcError.Status.UNAVAILABLE)
      yield* serve({ Say: Effect.succeed }, { port: Number(address.split(":")[1]) })
      const answer = yield* Effect.retry(say(client, 5), {
        while: ({ retryable }) => Effect.delay(Effect.succeed(retryable), "50 millis")
      })
      assert.strictEqual(answer.number, 5)
    }))
})

describe("the errors of calls", () => {
  it("says which may be repeated", () => {
    const { isRetryable, Status } = GrpcError
    assert.isTrue(isRetryable(Status.UNAVAILABLE, "", false))
    assert.isTrue(isRetryable(Status.ABORTED, "", false))
    assert.isTrue(isRetryable(Status.RESOURCE_EXHAUSTED, "quota", false))
    assert.isFalse(isRetryable(Status.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs 8)", true))
    for (const code of [Status.DEADLINE_EXCEEDED, Status.INTERNAL, Status.UNKNOWN]) {
      assert.isTrue(isRetryable(code, "", true))
      assert.isFalse(isRetryable(code, "", false))
    }
    for (const code of [Status.INVALID_ARGUMENT, Status.NOT_FOUND, Status.PERMISSION_DENIED, Status.UNIMPLEMENTED]) {
      assert.isFalse(isRetryable(code, "", true))
    }
  })

  it("makes one of whatever it is given", () => {
    const call = { method: "/a/B", peer: "h:1", idempotent: false }
    assert.strictEqual(GrpcError.fromServiceError("odd", call).message, "/a/B at h:1: INTERNAL: odd")
    assert.strictEqual(GrpcError.fromServiceError(new Error("odd"), call).details, "odd")
    assert.strictEqual(GrpcError.fail(GrpcError.Status.ABORTED, "mine").message, "ABORTED: mine")
  })

  it("takes a service without one of its handlers for a defect", async () => {
    // The types do not let this happen.
    const served = { ...GrpcServer.serve(EchoService)({} as never), handlers: {} }
    const exit = await Effect.runPromiseExit(Effect.scoped(GrpcServer.make({ host: "127.0.0.1", port: 0 }, [served])))
    assert.strictEqual(exit._tag, "Failure")
  })
})
