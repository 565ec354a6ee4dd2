import * as fs from "node:fs/promises"
import * as http from "node:http"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as HttpBody from "../../src/net/HttpBody.js"
import * as HttpClient from "../../src/net/HttpClient.js"

const limits = { deadline: "5 seconds", maxBytes: 1024 } as const

/** A server that does with each connection as it is told, bytes for bytes. */
const raw = (serve: (socket: net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.promise(() => {
      const sockets = new Set<net.Socket>()
      const server = net.createServer((socket) => {
        sockets.add(socket)
        socket.on("error", () => {})
        socket.once("data", () => serve(socket))
      })
      return new Promise<{ readonly server: net.Server; readonly sockets: Set<net.Socket>; readonly url: string }>(
        (resolve) =>
          server.listen(0, "127.0.0.1", () =>
            resolve({ server, sockets, url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}/` }))
      )
    }),
    ({ server, sockets }) =>
      Effect.promise(() => {
        for (const socket of sockets) {
          socket.destroy()
        }
        return new Promise<void>((resolve) =>
          server.close(() =>
            resolve()
          )
        )
      })
  )

const get = (url: string) => HttpClient.send({ method: "GET", url }, limits)

const answer = (body: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

describe("HttpClient", () => {
  it.scopedLive("sends a request through a Unix socket and reads the answer", () =>
    Effect.gen(function*() {
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "orchion-http-"))),
        (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
      )
      const socketPath = path.join(directory, "a.sock")
      yield* Effect.acquireRelease(
        Effect.promise(() => {
          const server = http.createServer((request, response) => {
            let body = ""
            request.on("data", (chunk: Buffer) => body += chunk.toString())
            request.on("end", () =>
              response.writeHead(201, { "x-mine": "yes" }).end(
                `${request.method} ${request.url} ${request.headers.host} ${request.headers["x-a"]} ${body}`
              ))
          })
          return new Promise<http.Server>((resolve) => server.listen(socketPath, () => resolve(server)))
        }),
        (server) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
      )
      const { body, headers, status } = yield* HttpClient.send({
        method: "POST",
        url: "http://docker/v1/x?y=z",
        socketPath,
        headers: { "x-a": "b" },
        body: "ä"
      }, limits)
      assert.strictEqual(status, 201)
      assert.strictEqual(headers["x-mine"], "yes")
      assert.strictEqual(body, "POST /v1/x?y=z docker b ä")
    }))

  it.scopedLive("refuses an answer beyond its bound, and closes the connection", () =>
    Effect.gen(function*() {
      let closed = false
      const { url } = yield* raw((socket) => {
        socket.on("close", () => closed = true)
        socket.write(answer("x".repeat(1025)))
      })
      const error = yield* Effect.flip(get(url))
      assert.strictEqual(error.problem, "too-large")
      assert.strictEqual(error.message, "the answer is longer than 1.0 KiB")
      yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => closed })
      assert.lengthOf((yield* get((yield* raw((socket) => socket.write(answer("x".repeat(1024))))).url)).body, 1024)
    }))

  it.scopedLive("says in a few words what went wrong, and whether anything was sent", () =>
    Effect.gen(function*() {
      const fails = (url: string) => Effect.map(Effect.flip(get(url)), ({ problem, reason }) => [problem, reason])
      const { server, url } = yield* raw(() => {})
      yield* Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
      assert.deepStrictEqual(yield* fails(url), ["unreachable", "connection refused"])
      const cut = yield* raw((socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
      assert.deepStrictEqual(yield* fails(cut.url), [
        "lost",
        "the connection was lost before the answer was complete"
      ])
      const silent = yield* raw((socket) => socket.destroy())
      assert.strictEqual((yield* fails(silent.url))[0], "lost")
      const other = yield* raw((socket) => socket.end("SSH-2.0-OpenSSH_9.2\r\n"))
      assert.deepStrictEqual(yield* fails(other.url), ["not-http", "the peer does not speak HTTP"])
      assert.strictEqual((yield* fails("http://a b/"))[0], "invalid")
      const header = yield* Effect.flip(
        HttpClient.send({ method: "GET", url, headers: { authorization: "Bearer se\ncret" } }, limits)
      )
      assert.strictEqual(header.problem, "invalid")
      assert.notInclude(header.message, "cret")
    }))

  it.scopedLive("gives up at its deadline, whether the answer does not begin or does not end", () =>
    Effect.gen(function*() {
      for (const part of ["", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"]) {
        const { sockets, url } = yield* raw((socket) => socket.write(part))
        const error = yield* Effect.flip(
          HttpClient.send({ method: "GET", url }, { deadline: "100 millis", maxBytes: 1024 })
        )
        assert.deepStrictEqual([error.problem, error.reason], ["timeout", "no answer within 0.1 s"])
        yield* Effect.repeat(Effect.sleep("5 millis"), {
          until: () => [...sockets].every((socket) => socket.destroyed)
        })
      }
    }))

  it.scopedLive("hands out lines as they come, and characters that chunks cut in two", () =>
    Effect.gen(function*() {
      const { url } = yield* raw((socket) => {
        const bytes = Buffer.from("one\r\n\n  \ntw\u{1f600}o\nthree")
        socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
        const write = (at: number): void => {
          if (at < bytes.length) socket.write(bytes.subarray(at, at + 1), () => setImmediate(() => write(at + 1)))
          else socket.end()
        }
        write(0)
      })
      const response = yield* HttpClient.open({ method: "GET", url }, { deadline: "5 seconds" })
      const next = response.lines(100)
      assert.deepStrictEqual(yield* Effect.all([next, next, next, next, next]), [
        "one",
        "tw\u{1f600}o",
        "three",
        undefined,
        undefined
      ])
    }))

  it.scopedLive("refuses a line without an end", () =>
    Effect.gen(function*() {
      const { url } = yield* raw((socket) =>
        socket.write(`HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok\n${"x".repeat(200)}`)
      )
      const response = yield* HttpClient.open({ method: "GET", url }, { deadline: "5 seconds" })
      assert.strictEqual(yield* response.lines(100), "ok")
      const error = yield* Effect.flip(response.lines(100))
      assert.strictEqual(error.message, "a line of the answer is longer than 100 B")
    }))

  it.scopedLive("fails the one exchange when reading it throws", () =>
    Effect.gen(function*() {
      const { url } = yield* raw((socket) => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"))
      const message = yield* Effect.async<http.IncomingMessage>((resume) => {
        http.get(url, { agent: false }, (message) => resume(Effect.succeed(message))).on("error", () => {})
      })
      message.read = () => {
        throw new Error("planted")
      }
      const read = yield* HttpBody.reader(message)
      const error = yield* Effect.flip(read)
      assert.strictEqual(error._tag, "BodyLost")
      assert.include(String(error.cause), "planted")
      assert.isTrue(message.destroyed)
    }))

  it.live("survives whatever answers", () =>
    Effect.promise(() =>
      FastCheck.assert(
        FastCheck.asyncProperty(
          FastCheck.array(
            FastCheck.oneof(
              FastCheck.constantFrom(
                "HTTP/1.1 200 OK\r\n",
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n",
                "Transfer-Encoding: chunked\r\n",
                "Content-Length: 5\r\n",
                "\r\n",
                "5\r\nabcde\r\n",
                "0\r\n\r\n",
                "HTTP/1.1 100 Continue\r\n\r\n"
              ),
              FastCheck.string()
            ),
            { maxLength: 12 }
          ),
          async (parts) => {
            await Effect.runPromise(Effect.scoped(Effect.gen(function*() {
              const { url } = yield* raw((socket) => socket.end(parts.join("")))
              const answer = yield* Effect.either(get(url))
              if (answer._tag === "Right") assert.isAtMost(answer.right.body.length, 1024)
            })))
          }
        ),
        { numRuns: 100 }
      )
    ))
})
