import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type * as ContainerLogs from "../../src/docker/ContainerLogs.js"
import * as LogFrames from "../../src/docker/LogFrames.js"
import { Docker } from "../../src/docker/Docker.js"
import * as Lines from "../../src/text/Lines.js"
import * as Scripted from "./ScriptedDocker.js"
import { backOff, eventually } from "./Waiting.js"

const route = "GET /containers/abc/logs"

const { frame } = Scripted

const stamp = (nanos: number) => `2026-05-07T21:09:36.${String(nanos).padStart(9, "0")}Z`
const millis = Date.parse("2026-05-07T21:09:36Z")

const line = (type: 1 | 2, nanos: number, text: string) => frame(type, `${stamp(nanos)} ${text}\n`)

const engine = (answer: Scripted.Answer, config: Record<string, unknown> = {}) =>
  Effect.tap(Scripted.make, (server) =>
    Effect.sync(() => {
      server.on("GET /containers/abc/json", Scripted.json(Scripted.inspected("abc", {}, config)))
      server.on(route, answer)
    }))

const logs = (options?: ContainerLogs.LogOptions) =>
  Stream.unwrap(Effect.map(Docker, (docker) => docker.logs("abc", options)))

const read = (server: Scripted.ScriptedDocker, options?: ContainerLogs.LogOptions) =>
  Effect.map(Stream.runCollect(logs(options)), Chunk.toReadonlyArray).pipe(Effect.provide(Scripted.layer(server)))

const sends = (...parts: ReadonlyArray<Uint8Array>): Scripted.Answer => async (response) => {
  response.writeHead(200)
  for (const part of parts) await new Promise<void>((resolve) => response.write(part, () => resolve()))
  response.end()
}

describe("a container's log", () => {
  it.scoped("distinguishes stdout and stderr, with the time of each line", () =>
    Effect.gen(function*() {
      const server = yield* engine(sends(line(1, 1_000_000, "out"), line(2, 2_999_999, "err"), line(1, 3_000_000, "")))
      assert.deepStrictEqual(yield* read(server), [
        { stream: "stdout", time: millis + 1, text: "out", truncated: false },
        { stream: "stderr", time: millis + 2, text: "err", truncated: false },
        { stream: "stdout", time: millis + 3, text: "", truncated: false }
      ])
    }))

  it.scoped("asks for what was asked for", () =>
    Effect.gen(function*() {
      const server = yield* engine(sends())
      yield* read(server, { since: 1_700_000_000_123, tail: 200 })
      yield* read(server)
      const [first, second] = yield* server.arrived(route, 2)
      assert.strictEqual(
        first?.query.toString(),
        "follow=false&stdout=true&stderr=true&timestamps=true&since=1700000000.123&tail=200"
      )
      assert.strictEqual(second?.query.get("tail"), "all")
      assert.strictEqual(second?.query.get("since"), null)
    }))

  it.scoped("joins the lines that Docker has split, and cuts those that are too long", () =>
    Effect.gen(function*() {
      const part = "x".repeat(16 * 1024)
      const server = yield* engine(sends(
        frame(1, `${stamp(1)} ${part}`),
        line(2, 2, "in between"),
        frame(1, `${stamp(3)} ${part}`),
        frame(1, `${stamp(4)} end\n`),
        ...Array.from({ length: 10 }, (_, index) => frame(1, `${stamp(10 + index)} ${part}`)),
        line(1, 20, "gone"),
        line(1, 21, "short")
      ))
      const found = yield* read(server)
      assert.deepStrictEqual(found.map(({ stream, text, truncated }) => [stream, text.length, truncated]), [
        ["stderr", 10, false],
        ["stdout", 2 * part.length + 3, false],
        ["stdout", LogFrames.maxLineLength, true],
        ["stdout", 5, false]
      ])
    }))

  it.scoped("hands out a last line that has no end", () =>
    Effect.gen(function*() {
      const server = yield* engine(sends(frame(1, `${stamp(1)} cut off`)))
      assert.deepStrictEqual((yield* read(server)).map(({ text }) => text), ["cut off"])
    }))

  it.scoped("reads the raw output of a terminal", () =>
    Effect.gen(function*() {
      const server = yield* engine(
        sends(Buffer.from(`${stamp(1)} first\r\n${stamp(2)} sec`), Buffer.from(`ond\r\nno time\r\n`)),
        { Tty: true }
      )
      assert.deepStrictEqual((yield* read(server)).map(({ text, time }) => [text, time]), [
        ["first", millis],
        ["second", millis],
        ["no time", undefined]
      ])
    }))

  it.scoped("keeps text that has no time in front", () =>
    Effect.gen(function*() {
      const server = yield* engine(
        sends(frame(1, "no time at all\n"), frame(2, `${"y".repeat(100)}\n`), frame(1, "x\n"))
      )
      assert.deepStrictEqual((yield* read(server)).map(({ text }) => text), ["no time at all", "y".repeat(100), "x"])
    }))

  it.scoped("fails with what Docker says in the middle of it", () =>
    Effect.gen(function*() {
      const server = yield* engine(sends(line(1, 1, "fine"), frame(3, "Error grabbing logs: invalid character")))
      const error = yield* Effect.flip(read(server))
      assert.include(error.message, "could not read the log of container abc: Error grabbing logs")
    }))

  it.scoped("fails when frames go astray", () =>
    Effect.gen(function*() {
      const server = yield* engine(sends(line(1, 1, "fine"), Buffer.from("not a frame at all")))
      assert.include((yield* Effect.flip(read(server))).message, "does not begin as frames do")
    }))

  it.scoped("fails when the connection dies before its end", () =>
    Effect.gen(function*() {
      const server = yield* engine((response) => {
        response.writeHead(200)
        response.write(line(1, 1, "fine"), () => response.socket?.destroy())
      })
      assert.strictEqual((yield* Effect.flip(read(server)))._tag, "DockerUnreachable")
    }))

  it.scoped("is not there for a container that is not", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      const error = yield* Effect.flip(read(server))
      assert.strictEqual(error._tag, "ContainerNotFound")
      assert.include(error.message, "There is no container abc")
    }))

  it.scoped("slows Docker down to the reader's pace", () =>
    Effect.gen(function*() {
      let sent = 0
      const block = Buffer.concat(Array.from({ length: 1000 }, (_, index) => line(1, index, "x".repeat(100))))
      const server = yield* engine((response) => {
        response.writeHead(200)
        const more = () => {
          while (!response.destroyed && sent < 2 ** 28) {
            sent += block.length
            if (!response.write(block)) return
          }
        }
        response.on("drain", more)
        more()
      })
      yield* Effect.gen(function*() {
        let taken = 0
        const fiber = yield* Effect.fork(
          Stream.runForEach(logs(), () => Effect.suspend(() => ++taken === 10 ? Effect.never : Effect.void))
        )
        yield* eventually(() => taken === 10)
        // It stops sending, far from the end.
        let before = -1
        while (before !== sent) {
          before = sent
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 200)))
        }
        assert.isBelow(sent, 8 * 1024 * 1024)
        yield* Fiber.interrupt(fiber)
        yield* server.until(() => server.connections() === 0)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("closes its connection when the reader has had enough", () =>
    Effect.gen(function*() {
      const server = yield* engine((response) => {
        response.writeHead(200)
        response.write(line(1, 1, "one"))
        response.write(line(1, 2, "two"))
      })
      const taken = yield* Effect.map(Stream.runCollect(Stream.take(logs({ follow: true }), 1)), Chunk.size).pipe(
        Effect.provide(Scripted.layer(server))
      )
      assert.strictEqual(taken, 1)
      yield* server.until(() => server.connections() === 0)
    }))
})

describe("a log that is followed", () => {
  it.scoped("continues where it was after a reconnect, without repeating a line", () =>
    Effect.gen(function*() {
      const server = yield* engine(() => {})
      let connection = 0
      server.on(route, (response, request) => {
        connection++
        if (connection === 1) {
          response.writeHead(200)
          response.write(Buffer.concat([line(1, 1, "a"), line(2, 5, "b"), line(1, 7, "c"), line(1, 7, "d")]), () =>
            response.socket?.destroy())
          return
        }
        server.on("GET /containers/abc/json", Scripted.json(Scripted.inspected("abc", { Status: "exited" })))
        // What Docker has from `since` on: some of it was read before.
        return sends(
          line(2, 5, "b"),
          line(1, 7, "c"),
          line(1, 7, "d"),
          line(1, 7, "e"),
          line(2, 6, "f"),
          line(1, 8, "g")
        )(
          response,
          request
        )
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Stream.runCollect(logs({ follow: true, tail: 10 })))
        yield* server.arrived(route)
        yield* backOff(500)
        const texts = Chunk.toReadonlyArray(yield* Fiber.join(fiber)).map(({ text }) =>
          text
        )
        assert.deepStrictEqual(texts, ["a", "b", "c", "d", "e", "f", "g"])
        const requests = yield* server.arrived(route, 3)
        assert.strictEqual(requests[0]?.query.get("tail"), "10")
        assert.strictEqual(requests[1]?.query.get("tail"), "all")
        assert.strictEqual(requests[1]?.query.get("since"), `${millis / 1000}.000000005`)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("waits for a Docker that is unreachable, ever longer", () =>
    Effect.gen(function*() {
      const server = yield* engine((response) => {
        response.writeHead(200)
        response.write(line(1, 1, "a"))
      })
      yield* Effect.gen(function*() {
        const seen: Array<string> = []
        const fiber = yield* Effect.fork(
          Stream.runForEach(logs({ follow: true }), ({ text }) => Effect.sync(() => seen.push(text)))
        )
        yield* eventually(() => seen.length === 1)
        yield* server.down
        for (const delay of [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]) yield* backOff(delay)
        server.on("GET /containers/abc/json", Scripted.json(Scripted.inspected("abc", { Status: "exited" })))
        server.on(route, sends(line(1, 1, "a"), line(1, 2, "b")))
        yield* server.up
        yield* backOff(30_000)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual(seen, ["a", "b"])
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("continues when Docker ends it while the container runs", () =>
    Effect.gen(function*() {
      const server = yield* engine(sends(line(1, 1, "a")))
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Stream.runCollect(logs({ follow: true })))
        yield* server.arrived("GET /containers/abc/json", 2)
        // Removed meanwhile: that is its end.
        server.on("GET /containers/abc/json", Scripted.refuse(404, "No such container"))
        yield* backOff(500)
        assert.strictEqual(Chunk.size(yield* Fiber.join(fiber)), 1)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("has the last lines also where Docker ends it before them", () =>
    Effect.gen(function*() {
      const server = yield* engine((response, request) => {
        server.on("GET /containers/abc/json", Scripted.json(Scripted.inspected("abc", { Status: "exited" })))
        const last = request.query.get("follow") === "true" ? [] : [line(2, 3, "why it died")]
        return sends(line(1, 1, "a"), line(1, 2, "b"), ...last)(response, request)
      })
      const texts = (yield* read(server, { follow: true })).map(({ text }) => text)
      assert.deepStrictEqual(texts, ["a", "b", "why it died"])
    }))

  it.scoped("fails at once when Docker cannot be asked at the beginning", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      yield* server.down
      assert.strictEqual((yield* Effect.flip(read(server, { follow: true })))._tag, "DockerUnreachable")
      yield* TestClock.adjust(1)
    }))
})

describe("the frames of a container's output", () => {
  const Message = FastCheck.record({
    type: FastCheck.constantFrom(1, 2),
    payload: FastCheck.uint8Array({ maxLength: 300 })
  })

  it.prop("are the same however the bytes are split", {
    messages: FastCheck.array(Message, { maxLength: 20 }),
    cuts: FastCheck.array(FastCheck.nat(4000), { maxLength: 30 })
  }, ({ cuts, messages }) => {
    const bytes = Buffer.concat(messages.map(({ payload, type }) => frame(type, payload)))
    const at = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
    const demux = LogFrames.makeDemuxer(false)
    const found = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0), system: Buffer.alloc(0) }
    let begun = 0
    for (let index = 1; index < at.length; index++) {
      for (const piece of Either.getOrThrow(demux(bytes.subarray(at[index - 1], at[index])))) {
        found[piece.stream] = Buffer.concat([found[piece.stream], piece.bytes])
        if (piece.begins) begun++
      }
    }
    const expected = (type: number) =>
      Buffer.concat(messages.filter((message) => message.type === type).map(({ payload }) => payload))
    assert.isTrue(found.stdout.equals(expected(1)) && found.stderr.equals(expected(2)))
    assert.strictEqual(begun, messages.filter(({ payload }) => payload.length > 0).length)
  })

  it.prop("make the same lines however the bytes are split", {
    texts: FastCheck.array(
      FastCheck.string({ unit: "binary", maxLength: 40 }).map((text) => text.replace(/[\r\n]/g, "")),
      {
        maxLength: 20
      }
    ),
    size: FastCheck.integer({ min: 1, max: 20 })
  }, ({ size, texts }) => {
    const bytes = Buffer.from(texts.map((text) => `${text}\n`).join(""))
    const splitter = Lines.make(1000)
    const found: Array<string> = []
    for (let at = 0; at < bytes.length; at += size) {
      for (const { text } of splitter.push(bytes.subarray(at, at + size))) found.push(text)
    }
    assert.strictEqual(splitter.flush(), undefined)
    assert.deepStrictEqual(found, texts.map((text) => Buffer.from(text).toString()))
  })
})
