import * as http2 from "node:http2"
import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as LogLines from "../support/LogLines.js"
import { EchoService, message, serve } from "./Echo.js"

const deadline = "10 seconds"

const say = ({ port }: { readonly port: number }, bytes = 0) =>
  Effect.flatMap(
    GrpcClient.make({ address: `127.0.0.1:${port}` }),
    (client) => client.unary(EchoService, "Say", message(7, bytes), { deadline })
  )

/** A connection that is closed with the scope; `closed` once the other side ended it. */
const connect = (port: number, first: Uint8Array = new Uint8Array()) =>
  Effect.acquireRelease(
    Effect.async<{ readonly socket: net.Socket; readonly closed: Promise<void> }>((resume) => {
      const socket = net.connect(port, "127.0.0.1", () => {
        socket.write(first)
        resume(Effect.succeed({ socket, closed }))
      })
      const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()))
      socket.on("error", () => {})
      socket.on("data", () => {})
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

const session = (port: number) =>
  Effect.acquireRelease(
    Effect.async<http2.ClientHttp2Session>((resume) => {
      const session = http2.connect(`http://127.0.0.1:${port}`, () => resume(Effect.succeed(session)))
      session.on("error", () => {})
    }),
    (session) => Effect.sync(() => session.destroy())
  )

const call = (session: http2.ClientHttp2Session, method: string) => {
  const stream = session.request({
    ":method": "POST",
    ":path": `/test.v1.Echo/${method}`,
    "content-type": "application/grpc",
    te: "trailers"
  })
  stream.on("error", () => {})
  return stream
}

describe("a server whose clients do harm", () => {
  it.scopedLive("closes idle connections when there are too many, and serves on", () =>
    Effect.gen(function*() {
      const server = yield* serve({ Say: Effect.succeed }, { maxConnections: 8 })
      const opened = yield* Effect.forEach(Array.from({ length: 40 }), () => connect(server.port))
      yield* Effect.promise(() => Promise.all(opened.slice(0, 30).map(({ closed }) => closed)))
      assert.strictEqual((yield* say(server)).number, 7)
    }))

  it.scopedLive("refuses a connection when all that are open are in use, says so once, and lets them go on", () => {
    const logs = LogLines.make()
    return Effect.gen(function*() {
      const begun = yield* Ref.make(0)
      const release = yield* Deferred.make<void>()
      const server = yield* serve({
        Say: (said) => Effect.zipRight(Ref.update(begun, (n) => n + 1), Effect.as(Deferred.await(release), said))
      }, { maxConnections: 8 })
      const busy = yield* Effect.fork(Effect.forEach(Array.from({ length: 8 }), () => say(server), { concurrency: 8 }))
      yield* Effect.repeat(Effect.delay(Ref.get(begun), "10 millis"), { until: (n) => n === 8 })
      for (let round = 0; round < 5; round++) {
        yield* Effect.flatMap(connect(server.port), ({ closed }) => Effect.promise(() => closed))
      }
      yield* Deferred.succeed(release, undefined)
      assert.lengthOf(yield* busy, 8)
      const said = logs.matching(/refused a connection/)
      assert.lengthOf(said, 1)
      assert.match(said[0] ?? "", /from (?:::ffff:)?127\.0\.0\.1: 8 are open and in use/)
    }).pipe(Effect.provide(logs.layer))
  })

  it.scopedLive("holds no more of unfinished requests than it may, and says what is wrong", () =>
    Effect.gen(function*() {
      const server = yield* serve({ Say: () => Effect.succeed(message(1)) }, {
        maxHeldBytes: 4 * 1024 * 1024,
        maxReceiveBytes: 2 * 1024 * 1024
      })
      const one = yield* session(server.port)
      const length = 1024 * 1024
      // Each is one byte short of a whole message, for ever.
      const streams = Array.from({ length: 12 }, () => call(one, "Say"))
      const answers = Promise.all(streams.map((stream) =>
        new Promise<string>((resolve) => {
          stream.on("response", (headers) => resolve(`${headers["grpc-status"]} ${headers["grpc-message"]}`))
          stream.on("close", () => resolve(""))
        })
      ))
      for (const stream of streams) {
        const header = Buffer.alloc(5)
        header.writeUInt32BE(length, 1)
        stream.write(header)
        stream.write(Buffer.alloc(length - 1))
      }
      const first = yield* Effect.promise(() =>
        Promise.race(
          streams.map((_, index) => answers.then((all) => all[index] ?? "")).concat(
            streams.map((stream) =>
              new Promise<string>((resolve) =>
                stream.on("response", (headers) => resolve(`${headers["grpc-status"]} ${headers["grpc-message"]}`))
              )
            )
          )
        )
      )
      assert.strictEqual(first, "8 too many large requests at once; try again later")
      one.destroy()
      // What they held is given back.
      yield* Effect.retry(say(server, length), {
        times: 20,
        while: () => Effect.delay(Effect.succeed(true), "20 millis")
      })
    }))

  it.scopedLive("ends a call whose caller reads nothing, and interrupts its handler", () =>
    Effect.gen(function*() {
      const interrupted = yield* Ref.make(0)
      const gone = Ref.update(interrupted, (n) => n + 1)
      const server = yield* serve({
        Count: () => Stream.forever(Stream.make(message(1, 10_000))).pipe(Stream.rechunk(1), Stream.ensuring(gone))
      }, { readerPatience: "300 millis" })
      const one = yield* session(server.port)
      const stream = call(one, "Count")
      const closed = new Promise<void>((resolve) => stream.on("close", () => resolve()))
      // Never read.
      stream.pause()
      stream.end(Buffer.alloc(5))
      yield* Effect.promise(() => closed)
      assert.strictEqual(stream.rstCode, http2.constants.NGHTTP2_CANCEL)
      yield* Effect.repeat(Effect.delay(Ref.get(interrupted), "10 millis"), { until: (n) => n === 1 })
    }))

  it.scopedLive("continues when a callback throws, and fails only that call", () =>
    Effect.gen(function*() {
      const server = yield* serve({
        Say: Effect.succeed,
        Count: {
          relay: (_, { write }) =>
            Effect.async<void>(() =>
              write(message(1), () => {
                throw new Error("planted")
              })
            )
        }
      })
      const client = yield* GrpcClient.make({ address: `127.0.0.1:${server.port}` })
      const error = yield* Effect.flip(Stream.runDrain(client.serverStream(EchoService, "Count", message(1))))
      assert.deepInclude(error, { code: GrpcError.Status.INTERNAL, details: "internal error" })
      const thrown = yield* Effect.exit(client.receive(EchoService, "Count", message(1), () => () => {
        throw new Error("planted")
      }))
      assert.strictEqual(thrown._tag, "Failure")
      assert.strictEqual((yield* say(server)).number, 7)
    }).pipe(Effect.provide(LogLines.make().layer)))

  it.scopedLive("survives any bytes on a connection", () =>
    Effect.gen(function*() {
      const server = yield* serve({ Say: Effect.succeed })
      const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0", "latin1")
      const inputs = FastCheck.sample(
        FastCheck.tuple(FastCheck.boolean(), FastCheck.uint8Array({ maxLength: 200 })),
        60
      )
      // What Node leaves open after a broken frame ends with the next keepalive ping.
      yield* Effect.forEach(
        inputs,
        ([polite, bytes]) =>
          Effect.flatMap(
            connect(server.port, Buffer.concat([polite ? preface : Buffer.alloc(0), bytes])),
            ({ closed, socket }) =>
              Effect.promise(() => Promise.race([closed, new Promise<void>((resolve) => socket.end(() => resolve()))]))
          ),
        { concurrency: 10 }
      )
      assert.strictEqual((yield* say(server)).number, 7)
    }).pipe(Effect.provide(LogLines.make().layer)), 15_000)

  it.scopedLive("survives any bytes in place of a message", () =>
    Effect.gen(function*() {
      const server = yield* serve({ Say: Effect.succeed })
      const one = yield* session(server.port)
      const inputs = FastCheck.sample(
        FastCheck.oneof(
          FastCheck.uint8Array({ maxLength: 200 }),
          FastCheck.uint8Array({ maxLength: 100 }).map((bytes) => {
            const header = Buffer.alloc(5)
            header.writeUInt32BE(bytes.length, 1)
            return Buffer.concat([header, bytes])
          })
        ),
        60
      )
      yield* Effect.forEach(inputs, (bytes) =>
        Effect.async<void>((resume) => {
          const stream = call(one, "Say")
          stream.on("close", () => resume(Effect.void))
          stream.resume()
          stream.end(bytes)
        }), { concurrency: 10 })
      assert.strictEqual((yield* say(server)).number, 7)
    }).pipe(Effect.provide(LogLines.make().layer)), 15_000)
})
