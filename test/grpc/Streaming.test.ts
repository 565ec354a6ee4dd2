import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type * as GrpcClient from "../../src/grpc/GrpcClient.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import { EchoService, type Message, message, settled, start } from "./Echo.js"
import * as Peers from "./Peers.js"
import * as Client from "../../src/grpc/GrpcClient.js"

/** Of each message, where flow control is to be seen: HTTP/2 lets 64 KiB be under way. */
const bulk = 10_000

const count = (client: GrpcClient.GrpcClient, number = 0) => client.serverStream(EchoService, "Count", message(number))

const talk = <E>(client: GrpcClient.GrpcClient, requests: Stream.Stream<Message, E>) =>
  client.bidi(EchoService, "Talk", requests)

const numbersOf = (messages: Iterable<Message>) => Array.from(messages, ({ number }) => number)

const upTo = (many: number, bytes = 0) => Stream.map(Stream.range(0, many - 1), (number) => message(number, bytes))

/** A stream that counts what is taken of it, and tells when it is given up. */
const watched = <A, E>(stream: Stream.Stream<A, E>) =>
  Effect.gen(function*() {
    const taken = yield* Ref.make(0)
    const given = yield* Deferred.make<void>()
    return {
      taken,
      over: Deferred.await(given),
      stream: stream.pipe(
        Stream.rechunk(1),
        Stream.tap(() => Ref.update(taken, (many) => many + 1)),
        Stream.ensuring(Deferred.succeed(given, undefined))
      )
    }
  })

describe("a server's stream", () => {
  it.scopedLive("ends with a status that holds half of a surrogate pair, before and behind its first message", () =>
    Effect.gen(function*() {
      const halved = "no \u{1f642}".slice(0, -1)
      const plain = { code: GrpcError.Status.UNAVAILABLE, method: "", peer: "", retryable: true } as const
      for (
        const error of [
          GrpcError.fail(GrpcError.Status.UNAVAILABLE, halved),
          new GrpcError.GrpcError({ ...plain, details: halved })
        ]
      ) {
        for (const many of [0, 3]) {
          const client = yield* start({ Count: () => Stream.concat(upTo(many), Stream.fail(error)) })
          const got: Array<number> = []
          const failure = yield* Effect.flip(
            Stream.runForEach(count(client), ({ number }) => Effect.sync(() => got.push(number)))
          ).pipe(Effect.timeout("5 seconds"))
          assert.deepInclude(failure, { code: GrpcError.Status.UNAVAILABLE, details: "no \ufffd" })
          assert.strictEqual(got.length, many)
        }
      }
      assert.isTrue(GrpcError.fail(GrpcError.Status.INTERNAL, "\u{1f642}x".repeat(1000)).details.isWellFormed())
    }))

  it.scopedLive("arrives whole and in order", () =>
    Effect.gen(function*() {
      const client = yield* start({ Count: ({ number }) => upTo(number) })
      const messages = yield* Stream.runCollect(count(client, 2000))
      assert.deepStrictEqual(numbersOf(messages), Array.from({ length: 2000 }, (_, index) => index))
    }))

  it.scopedLive("may be empty", () =>
    Effect.gen(function*() {
      const client = yield* start({ Count: () => Stream.empty })
      assert.deepStrictEqual(numbersOf(yield* Stream.runCollect(count(client))), [])
    }))

  it.scopedLive("can be run again, as a call of its own", () =>
    Effect.gen(function*() {
      const client = yield* start({ Count: () => upTo(3) })
      const stream = count(client)
      const both = yield* Effect.all([Stream.runCollect(stream), Stream.runCollect(stream)], { concurrency: 2 })
      assert.deepStrictEqual(both.map(numbersOf), [[0, 1, 2], [0, 1, 2]])
    }))

  it.scopedLive("is given up on the server when the consumer has enough", () =>
    Effect.gen(function*() {
      const { over, stream } = yield* watched(Stream.concat(upTo(100), Stream.never))
      const client = yield* start({ Count: () => stream })
      assert.strictEqual(Chunk.size(yield* Stream.runCollect(Stream.take(count(client), 2))), 2)
      yield* over
    }))

  it.scopedLive("is given up on the server when the consumer is interrupted", () =>
    Effect.gen(function*() {
      const { over, stream } = yield* watched(Stream.concat(upTo(1), Stream.never))
      const client = yield* start({ Count: () => stream })
      const first = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Stream.runForEach(count(client), () => Deferred.succeed(first, undefined)))
      yield* Deferred.await(first)
      yield* Fiber.interrupt(fiber)
      yield* over
    }))

  it.scopedLive("is made no faster than it is read", () =>
    Effect.gen(function*() {
      const { stream, taken } = yield* watched(upTo(1000, bulk))
      const client = yield* start({ Count: () => stream })
      const reading = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Stream.runFoldEffect(count(client), 0, (many) =>
        Effect.as(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(goOn)), many + 1)))
      yield* Deferred.await(reading)
      assert.isBelow(yield* settled(taken), 300)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Fiber.join(fiber), 1000)
    }))

  it.scopedLive("delivers what came before a failure, then the failure", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Count: () => Stream.concat(upTo(200), Stream.fail(GrpcError.fail(GrpcError.Status.ABORTED, "enough")))
      })
      const received = yield* Ref.make(0)
      const error = yield* Effect.flip(Stream.runForEach(count(client), () => Ref.update(received, (many) => many + 1)))
      assert.strictEqual(error.code, GrpcError.Status.ABORTED)
      assert.strictEqual(error.message, `/test.v1.Echo/Count at ${client.address}: ABORTED: enough`)
      assert.strictEqual(yield* Ref.get(received), 200)
    }))

  it.scopedLive("ends with INTERNAL and no detail at a defect, also one of making it", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Count: ({ number }) => {
          if (number === 0) throw new Error("secret")
          return Stream.concat(upTo(2), Stream.die("secret"))
        }
      })
      for (const number of [0, 1]) {
        const error = yield* Effect.flip(Stream.runDrain(count(client, number)))
        assert.strictEqual(error.code, GrpcError.Status.INTERNAL)
        assert.strictEqual(error.details, "internal error")
      }
    }).pipe(Logger.withMinimumLogLevel(LogLevel.None)))

  it.scopedLive("ends at its deadline, on both sides", () =>
    Effect.gen(function*() {
      const { over, stream } = yield* watched(Stream.concat(upTo(1), Stream.never))
      const client = yield* start({ Count: () => stream })
      const error = yield* client.serverStream(EchoService, "Count", message(0), { deadline: "200 millis" }).pipe(
        Stream.runDrain,
        Effect.flip
      )
      assert.strictEqual(error.code, GrpcError.Status.DEADLINE_EXCEEDED)
      yield* over
    }))

  it.scopedLive("fails when the peer closes the connection in the middle", () =>
    Effect.gen(function*() {
      const address = yield* Peers.h2((stream) => {
        stream.respond({ ":status": 200, "content-type": "application/grpc" })
        // One empty message, and then nothing ever again.
        stream.write(Buffer.from([0, 0, 0, 0, 0]), () => setImmediate(() => stream.session?.destroy()))
      })
      const client = yield* Client.make({ address })
      const error = yield* Effect.flip(Stream.runDrain(count(client)))
      assert.notStrictEqual(error.code, GrpcError.Status.OK)
    }))

  it.scopedLive("fails when nothing listens", () =>
    Effect.gen(function*() {
      const client = yield* Client.make({ address: yield* Peers.nobody })
      const error = yield* Effect.flip(Stream.runDrain(count(client)))
      assert.strictEqual(error.code, GrpcError.Status.UNAVAILABLE)
    }))

  it.scopedLive("may be left and begun a hundred times without a trace", () =>
    Effect.gen(function*() {
      const warnings: Array<string> = []
      const warn = (warning: Error) => warnings.push(warning.message)
      yield* Effect.acquireRelease(
        Effect.sync(() => process.on("warning", warn)),
        () => Effect.sync(() => process.off("warning", warn))
      )
      const open = yield* Ref.make(0)
      const client = yield* start({
        Count: () =>
          Stream.unwrapScoped(Effect.as(
            Effect.acquireRelease(Ref.update(open, (many) => many + 1), () => Ref.update(open, (many) => many - 1)),
            Stream.concat(upTo(100), Stream.never)
          ))
      })
      yield* Effect.forEach(
        Array.from({ length: 100 }),
        () => Stream.runDrain(Stream.take(count(client), 1)),
        { concurrency: 20, discard: true }
      )
      yield* Effect.repeat(Effect.delay(Ref.get(open), "10 millis"), { until: (many) => many === 0 })
      assert.deepStrictEqual(warnings, [])
    }), 20_000)
})

describe("a bidirectional call", () => {
  it.scopedLive("answers each message as it comes", () =>
    Effect.gen(function*() {
      const client = yield* start({ Talk: Stream.map(({ number }) => message(number * 2)) })
      const answers = yield* Stream.runCollect(talk(client, upTo(500)))
      assert.deepStrictEqual(numbersOf(answers), Array.from({ length: 500 }, (_, index) => index * 2))
    }))

  it.scopedLive("is a conversation: a message may depend on the answer before it", () =>
    Effect.gen(function*() {
      const client = yield* start({ Talk: Stream.map(({ number }) => message(number + 1)) })
      const turn = yield* Deferred.make<void>()
      const requests = Stream.concat(
        Stream.make(message(1)),
        Stream.fromEffect(Effect.as(Deferred.await(turn), message(10)))
      )
      const answers = yield* talk(client, requests).pipe(
        Stream.tap(() => Deferred.succeed(turn, undefined)),
        Stream.runCollect
      )
      assert.deepStrictEqual(numbersOf(answers), [2, 11])
    }))

  it.scopedLive("keeps answering when the client has finished sending", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Talk: (requests) => Stream.fromEffect(Effect.map(Stream.runCount(requests), (many) => message(many)))
      })
      assert.deepStrictEqual(numbersOf(yield* Stream.runCollect(talk(client, upTo(123)))), [123])
    }))

  it.scopedLive("is over when the server has answered, whatever the client has still to say", () =>
    Effect.gen(function*() {
      const { over, stream } = yield* watched(Stream.concat(upTo(3), Stream.never))
      const client = yield* start({ Talk: Stream.take(2) })
      assert.deepStrictEqual(numbersOf(yield* Stream.runCollect(talk(client, stream))), [0, 1])
      yield* over
    }))

  it.scopedLive("fails with the failure of what was to be sent, and is cancelled", () =>
    Effect.gen(function*() {
      const cancelled = yield* Deferred.make<void>()
      const client = yield* start({
        Talk: (requests) => Stream.ensuring(requests, Deferred.succeed(cancelled, undefined))
      })
      const answered = yield* Deferred.make<never, "mine">()
      const failing = Stream.concat(upTo(1), Stream.fromEffect(Deferred.await(answered)))
      const result = yield* talk(client, failing).pipe(
        Stream.runForEach(() => Deferred.fail(answered, "mine")),
        Effect.either
      )
      assert.deepStrictEqual(result, Either.left("mine"))
      yield* Deferred.await(cancelled)
    }))

  it.scopedLive("fails with the handler's status", () =>
    Effect.gen(function*() {
      const client = yield* start({
        Talk: (requests) =>
          Stream.concat(Stream.take(requests, 1), Stream.fail(GrpcError.fail(GrpcError.Status.OUT_OF_RANGE, "no")))
      })
      const error = yield* Effect.flip(Stream.runDrain(talk(client, Stream.concat(upTo(1), Stream.never))))
      assert.strictEqual(error.code, GrpcError.Status.OUT_OF_RANGE)
    }))

  it.scopedLive("is given up on both sides when the consumer is interrupted", () =>
    Effect.gen(function*() {
      const served = yield* Deferred.make<void>()
      const first = yield* Deferred.make<void>()
      const { over, stream } = yield* watched(Stream.concat(upTo(1), Stream.never))
      const client = yield* start({
        Talk: (requests) => Stream.ensuring(requests, Deferred.succeed(served, undefined))
      })
      const fiber = yield* Effect.fork(
        Stream.runForEach(talk(client, stream), () => Deferred.succeed(first, undefined))
      )
      yield* Deferred.await(first)
      yield* Fiber.interrupt(fiber)
      yield* over
      yield* Deferred.await(served)
    }))

  it.scopedLive("is sent no faster than the server reads", () =>
    Effect.gen(function*() {
      const { stream, taken } = yield* watched(upTo(1000, bulk))
      const reading = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const client = yield* start({
        Talk: (requests) =>
          requests.pipe(
            Stream.mapEffect(() => Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(goOn))),
            Stream.runCount,
            Effect.map((many) => message(many)),
            Stream.fromEffect
          )
      })
      const fiber = yield* Effect.fork(Stream.runCollect(talk(client, stream)))
      yield* Deferred.await(reading)
      assert.isBelow(yield* settled(taken), 300)
      yield* Deferred.succeed(goOn, undefined)
      assert.deepStrictEqual(numbersOf(yield* Fiber.join(fiber)), [1000])
    }))

  it.scopedLive("is answered no faster than the client reads", () =>
    Effect.gen(function*() {
      const { stream, taken } = yield* watched(upTo(1000, bulk))
      const client = yield* start({ Talk: () => stream })
      const reading = yield* Deferred.make<void>()
      const goOn = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(Stream.runFoldEffect(talk(client, Stream.never), 0, (many) =>
        Effect.as(Effect.zipRight(Deferred.succeed(reading, undefined), Deferred.await(goOn)), many + 1)))
      yield* Deferred.await(reading)
      assert.isBelow(yield* settled(taken), 300)
      yield* Deferred.succeed(goOn, undefined)
      assert.strictEqual(yield* Fiber.join(fiber), 1000)
    }))
})
