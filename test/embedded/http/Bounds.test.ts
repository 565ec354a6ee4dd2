import * as http from "node:http"
import * as net from "node:net"
import { Readable } from "node:stream"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FastCheck from "effect/FastCheck"
import * as OpenAiRequest from "../../../src/embedded/http/OpenAiRequest.js"
import * as RequestBody from "../../../src/embedded/http/RequestBody.js"
import * as HttpListener from "../../../src/net/HttpListener.js"
import * as Running from "../Running.js"

const listen = (handler: HttpListener.Handler, options: Partial<HttpListener.HttpListenerOptions> = {}) =>
  Effect.map(Effect.orDie(HttpListener.make({ host: "127.0.0.1", port: 0, ...options }, handler)), ({ port }) => port)

/** All that a connection is sent until it ends, after it sent some text. */
const exchange = (port: number, text: string) =>
  Effect.async<string>((resume) => {
    const socket = net.connect(port, "127.0.0.1")
    let received = ""
    socket.setEncoding("utf8").on("data", (part: string) => received += part)
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.write(text)
    return Effect.sync(() => socket.destroy())
  })

const ok: HttpListener.Handler = (_, response) => Effect.sync(() => void response.end("ok"))

describe("an HTTP connection", () => {
  it.scopedLive("on which nothing is asked is ended, with a reason in JSON", () =>
    Effect.gen(function*() {
      const port = yield* listen(ok, { headersTimeout: "100 millis" })
      const answer = yield* exchange(port, "GET / HT")
      assert.match(answer, /^HTTP\/1\.1 408 /)
      assert.include(answer, "{\"error\":{\"message\":\"the request's headers did not arrive within 0.1 s\"")
    }))

  it.scopedLive("whose upload stops is ended with a reason; one that trickles is not", () =>
    Effect.gen(function*() {
      const read: HttpListener.Handler = (request, response) =>
        Effect.async((resume) => {
          request.resume().on("end", () => resume(Effect.sync(() => void response.end("ok"))))
        })
      const port = yield* listen(read, { silence: "300 millis" })
      const stopped = yield* exchange(port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
      assert.match(stopped, /^HTTP\/1\.1 408 .*nothing of the request arrived for 0\.3 s/s)
      const status = yield* Effect.async<number | undefined>((resume) => {
        const request = http.request({ port, host: "127.0.0.1", method: "POST", agent: false }, (response) => {
          response.resume()
          resume(Effect.succeed(response.statusCode))
        })
        let sent = 0
        const timer = setInterval(() => {
          sent += 1
          if (sent < 8) return void request.write("x")
          clearInterval(timer)
          request.end()
        }, 80)
      })
      assert.strictEqual(status, 200)
    }))

  it.scopedLive("has one answer in flight, and is ended when it asks for many more", () =>
    Effect.gen(function*() {
      let running = 0
      let most = 0
      const slow: HttpListener.Handler = (_, response) =>
        Effect.sync(() => most = Math.max(most, ++running)).pipe(
          Effect.zipRight(Effect.sleep("10 millis")),
          Effect.zipRight(Effect.sync(() => {
            running -= 1
            response.end("ok")
          }))
        )
      const port = yield* listen(slow)
      const one = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
      const few = yield* exchange(port, `${one.repeat(5)}GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
      assert.strictEqual(few.match(/HTTP\/1\.1 200/g)?.length, 6)
      assert.strictEqual(most, 1)
      const many = yield* exchange(port, one.repeat(1000))
      assert.isBelow(many.match(/HTTP\/1\.1 200/g)?.length ?? 0, 20)
    }))

  it.scopedLive("that never reads is ended, and its handler with it", () =>
    Effect.gen(function*() {
      let ended = false
      const endless: HttpListener.Handler = (_, response) =>
        Effect.forever(HttpListener.write(response, "x".repeat(64 * 1024))).pipe(
          Effect.ensuring(Effect.sync(() => ended = true))
        )
      const port = yield* listen(endless, { silence: "200 millis" })
      yield* Effect.async<void>((resume) => {
        const socket = net.connect(port, "127.0.0.1", () => socket.pause().write("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
        socket.on("error", () => {})
        const timer = setInterval(() => {
          if (!ended) return
          clearInterval(timer)
          socket.destroy()
          resume(Effect.void)
        }, 10)
      })
    }))

  it.scopedLive("beyond the limit is refused, which is logged once, and a place is free again afterwards", () =>
    Effect.gen(function*() {
      const port = yield* listen(ok, { maxConnections: 8 })
      const idle = Array.from({ length: 12 }, () => net.connect(port, "127.0.0.1").on("error", () => {}))
      yield* Effect.promise(() =>
        Promise.all(idle.slice(6).map((socket) => new Promise((done) => socket.on("close", done))))
      )
      for (const socket of idle) socket.destroy()
      const { body } = yield* Running.get(port, "/").pipe(Effect.sandbox, Effect.retry({ times: 20 }))
      assert.strictEqual(body, "ok")
    }))
})

describe("the bodies of requests", () => {
  it("have no more JSON values than are taken, whatever their texts hold", () => {
    const limit = 100
    assert.isTrue(RequestBody.hasTooManyValues(Buffer.from(`[${"[],".repeat(200)}1]`), limit))
    assert.isFalse(RequestBody.hasTooManyValues(Buffer.from(JSON.stringify({ text: ",[{\"\\,".repeat(1000) })), limit))
  })

  it.live("that would fill the memory are refused with 429, small ones are taken, and memory comes back", () =>
    Effect.gen(function*() {
      const mib = 1024 * 1024
      const gate = yield* RequestBody.make(4 * mib)
      const body = (bytes: number) =>
        Object.assign(Readable.from([Buffer.alloc(bytes, 0x20)]), { headers: {} }) as unknown as http.IncomingMessage
      const done = yield* Deferred.make<void>()
      const started = yield* Deferred.make<void>()
      const holding = yield* Effect.fork(
        gate.read(body(2 * mib), () => Effect.zipRight(Deferred.succeed(started, undefined), Deferred.await(done)))
      )
      yield* Deferred.await(started)
      const refused = yield* Effect.flip(gate.read(body(2 * mib), () => Effect.void))
      assert.strictEqual(refused.status, 429)
      assert.strictEqual(yield* gate.read(body(1000), (text) => Effect.succeed(text.length)), 1000)
      yield* Deferred.succeed(done, undefined)
      yield* Fiber.join(holding)
      assert.strictEqual(yield* gate.read(body(2 * mib), (text) => Effect.succeed(text.length)), 2 * mib)
      assert.strictEqual((yield* Effect.flip(gate.read(body(17 * mib), () => Effect.void))).status, 413)
    }))

  const json = FastCheck.json({ maxDepth: 6 })
  it("never make the readers of chats and embeddings throw", () => {
    const hostile = FastCheck.record({
      model: FastCheck.oneof(FastCheck.string({ unit: "binary" }), FastCheck.jsonValue()),
      messages: FastCheck.oneof(
        FastCheck.array(FastCheck.record({ role: FastCheck.jsonValue(), content: FastCheck.jsonValue() })),
        FastCheck.jsonValue()
      ),
      input: FastCheck.jsonValue(),
      temperature: FastCheck.oneof(FastCheck.double(), FastCheck.jsonValue()),
      max_tokens: FastCheck.jsonValue(),
      stream_options: FastCheck.jsonValue(),
      ["__proto__"]: FastCheck.jsonValue()
    }, { requiredKeys: [] }).map((value) => JSON.stringify(value))
    FastCheck.assert(FastCheck.property(FastCheck.oneof(json, hostile, FastCheck.string()), (body) => {
      for (const read of [OpenAiRequest.chat, OpenAiRequest.embeddings]) assert.property(read(body), "_tag")
    }))
  })

  it("nested beyond all measure are refused, not thrown at", () => {
    const deep = `{"model":"m","messages":[{"role":"user","content":"x"}],"a":${"[".repeat(200_000)}${
      "]".repeat(200_000)
    }}`
    assert.property(OpenAiRequest.chat(deep), "_tag")
  })
})
