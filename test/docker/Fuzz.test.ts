import { execFileSync } from "node:child_process"
import * as fs from "node:fs/promises"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as ContainerEvents from "../../src/docker/ContainerEvents.js"
import * as DockerAnswer from "../../src/docker/api/DockerAnswer.js"
import * as DockerApi from "../../src/docker/api/DockerApi.js"
import * as DockerConfig from "../../src/docker/api/DockerConfig.js"
import * as DockerEndpoint from "../../src/docker/api/DockerEndpoint.js"
import * as ImageReference from "../../src/docker/api/ImageReference.js"
import * as RegistryAuth from "../../src/docker/api/RegistryAuth.js"
import * as LogFrames from "../../src/docker/LogFrames.js"
import * as PullProgress from "../../src/docker/PullProgress.js"

/** In processor time, of which a busy machine takes no more. */
const quickly = <A>(use: () => A): A => {
  const begun = process.cpuUsage()
  const value = use()
  const { user } = process.cpuUsage(begun)
  assert.isBelow(user / 1000, 300)
  return value
}

const frame = (stream: 1 | 2, payload: Uint8Array): Buffer => {
  const header = Buffer.alloc(8)
  header[0] = stream
  header.writeUInt32BE(payload.length, 4)
  return Buffer.concat([header, payload])
}

/** In chunks of these sizes, in turn. */
const chunked = (bytes: Uint8Array, sizes: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const chunks: Array<Uint8Array> = []
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1
    chunks.push(bytes.subarray(at, at + size))
    at += size
  }
  return chunks
}

const sizes = FastCheck.array(FastCheck.integer({ min: 1, max: 40 }), { minLength: 1 })
const text = FastCheck.oneof(FastCheck.string({ unit: "binary" }), FastCheck.json())

describe("the log of a container", () => {
  it("has the lines that were written, whatever the chunks that they come in", () => {
    const lines = FastCheck.array(FastCheck.record({
      stream: FastCheck.constantFrom(1 as const, 2 as const),
      line: FastCheck.string({ unit: "binary" }).map((line) => line.replace(/[\r\n]/g, " ").toWellFormed())
    }))
    FastCheck.assert(FastCheck.property(lines, sizes, (written, sizes) => {
      const bytes = Buffer.concat(
        written.map(({ line, stream }) => frame(stream, Buffer.from(`2026-05-07T21:09:36.123456789Z ${line}\n`)))
      )
      const decoder = LogFrames.makeDecoder(false)
      const read = chunked(bytes, sizes).flatMap((chunk) => Either.getOrThrow(decoder.push(chunk)))
      const all = [...read, ...decoder.flush()].map(({ line }) => ({ stream: line.stream, line: line.text }))
      for (const [number, name] of [[1, "stdout"], [2, "stderr"]] as const) {
        assert.deepStrictEqual(
          all.filter(({ stream }) => stream === name).map(({ line }) => line),
          written.filter(({ stream }) => stream === number).map(({ line }) => line)
        )
      }
    }))
  })

  it("is read without a throw from any bytes, framed or raw", () => {
    const bytes = FastCheck.oneof(
      FastCheck.uint8Array({ maxLength: 2_000 }),
      FastCheck.array(FastCheck.constantFrom(0, 1, 2, 3, 10, 13, 32, 50), { maxLength: 500 }).map((codes) =>
        Uint8Array.from(codes)
      )
    )
    FastCheck.assert(FastCheck.property(bytes, sizes, FastCheck.boolean(), (bytes, sizes, tty) => {
      const decoder = LogFrames.makeDecoder(tty)
      for (const chunk of chunked(bytes, sizes)) {
        const lines = decoder.push(chunk)
        if (Either.isLeft(lines)) return
      }
      decoder.flush()
    }))
  })

  it("is read without holding anything else up, whatever floods it", () => {
    // A socket hands out no more at a time.
    const size = 64 * 1024
    const empty = Buffer.concat(Array.from({ length: size / 8 }, () => frame(1, new Uint8Array(0))))
    for (const unit of ["\r", "a", "\n", "2026-05-07T21:09:36Z \n", " "]) {
      const flood = Buffer.from(unit.repeat(Math.ceil(size / unit.length)))
      for (const [tty, bytes] of [[true, flood], [false, frame(1, flood)], [false, empty]] as const) {
        const decoder = LogFrames.makeDecoder(tty)
        for (let chunk = 0; chunk < 16; chunk++) quickly(() => decoder.push(bytes))
        quickly(() => decoder.flush())
      }
    }
  })
})

describe("what Docker answers", () => {
  const event = FastCheck.record({
    Type: FastCheck.constantFrom("container", "image"),
    Action: FastCheck.string(),
    time: FastCheck.oneof(FastCheck.double(), FastCheck.constant(1e300)),
    timeNano: FastCheck.oneof(FastCheck.maxSafeInteger(), FastCheck.string()),
    Actor: FastCheck.record({ ID: FastCheck.string(), Attributes: FastCheck.dictionary(FastCheck.string(), text) })
  }, { requiredKeys: [] })

  it("is an event with a possible time, or none", () => {
    FastCheck.assert(FastCheck.property(FastCheck.oneof(text, event.map((value) => JSON.stringify(value))), (line) => {
      const read = quickly(() => ContainerEvents.readEvent(line))
      if (read !== undefined) assert.isTrue(Number.isFinite(read.event.time) && read.nanos >= 0n)
    }))
    assert.strictEqual(
      ContainerEvents.readEvent("{\"Action\":\"die\",\"Actor\":{\"ID\":\"a\"},\"time\":1e400}")?.event.time,
      0
    )
    quickly(() => ContainerEvents.readEvent(`"timeNano" ${" ".repeat(1024 * 1024)}`))
  })

  it("is progress with possible sizes", () => {
    const number = FastCheck.oneof(FastCheck.double(), FastCheck.constantFrom(-1, 1e300, 2 ** 63))
    const line = FastCheck.record({
      id: FastCheck.constantFrom("a", "b", "c"),
      status: FastCheck.constantFrom("Downloading", "Extracting", "Pull complete", "Waiting", "Already exists", "x"),
      progressDetail: FastCheck.record({ current: number, total: number }, { requiredKeys: [] })
    }, { requiredKeys: [] })
    const decode = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.PullLine))
    FastCheck.assert(FastCheck.property(FastCheck.array(line), (lines) => {
      const picture = PullProgress.empty()
      for (const line of lines) {
        const decoded = decode(JSON.stringify(line))
        if (Either.isRight(decoded)) PullProgress.take(picture, decoded.right)
        const { downloadedBytes, extractedBytes, totalBytes } = PullProgress.of("image", 1, picture)
        for (const bytes of [downloadedBytes, extractedBytes, totalBytes]) {
          assert.isTrue(Number.isFinite(bytes) && bytes >= 0)
        }
        assert.isTrue(Number.isFinite(PullProgress.roomNeeded(picture)))
      }
    }))
    const many = PullProgress.empty()
    for (let index = 0; index < 5_000; index++) PullProgress.take(many, { id: `${index}`, status: "Waiting" })
    assert.strictEqual(many.layers.size, PullProgress.maxLayers)
  })

  it("is an error that fits a line", () => {
    FastCheck.assert(FastCheck.property(FastCheck.integer(), text, (status, body) => {
      const detail = quickly(() => DockerAnswer.detailOf(status, body))
      assert.isAtMost(detail.length, DockerAnswer.maxDetailLength + 1)
      assert.notMatch(detail, /[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/)
    }))
    quickly(() => DockerAnswer.detailOf(500, "<".repeat(4 * 1024 * 1024)))
    assert.include(DockerAnswer.detailOf(502, " <!DOCTYPE html><html>…"), "a web page")
  })
})

describe("what people write", () => {
  it("is an image's name, or an error that quotes it", () => {
    const part = FastCheck.oneof(
      FastCheck.constantFrom("a", "-", "_", "__", ".", "/", ":", "@", "sha256:", "localhost", "[::1]:5000", "\u202e"),
      FastCheck.string()
    )
    FastCheck.assert(FastCheck.property(FastCheck.array(part).map((parts) => parts.join("")), (name) => {
      const parsed = quickly(() => ImageReference.parse(name))
      if (Either.isLeft(parsed)) return
      const again = Either.getOrThrow(ImageReference.parse(parsed.right.canonical))
      assert.strictEqual(again.canonical, parsed.right.canonical)
    }))
    for (const unit of ["a", "a-", "a_", "-", "a/", ":", "@"]) quickly(() => ImageReference.parse(unit.repeat(500_000)))
  })

  it("is an endpoint that reads back as itself, or an error", () => {
    const part = FastCheck.oneof(
      FastCheck.constantFrom("unix://", "tcp://", "npipe://", "https://", "[", "]", "::1", ":", "2375", "/", "host"),
      FastCheck.string()
    )
    FastCheck.assert(FastCheck.property(FastCheck.array(part).map((parts) => parts.join("")), (text) => {
      const parsed = quickly(() => Effect.runSync(Effect.either(DockerEndpoint.parse(text, "DOCKER_HOST"))))
      if (Either.isLeft(parsed)) return assert.isAtMost(parsed.left.message.length, 1_000)
      const again = Effect.runSync(DockerEndpoint.parse(DockerEndpoint.format(parsed.right), "DOCKER_HOST"))
      assert.strictEqual(DockerEndpoint.format(again), DockerEndpoint.format(parsed.right))
      // What a request is made from.
      assert.doesNotThrow(() => new URL(DockerEndpoint.get(parsed.right, "/version").url))
    }))
  })
})

describe("the docker command's files", () => {
  it.scopedLive("are read, or ignored, whatever is in them", () =>
    Effect.gen(function*() {
      const home = yield* Effect.acquireRelease(
        Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "orchion-config-"))),
        (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
      )
      const environment = { env: {}, homeDirectory: home, platform: "linux", root: home } as const
      const file = path.join(home, ".docker/config.json")
      const image = Either.getOrThrow(ImageReference.parse("registry.example/a"))
      yield* Effect.promise(() => fs.mkdir(path.dirname(file)))
      const config = FastCheck.record({
        currentContext: FastCheck.oneof(FastCheck.string(), FastCheck.integer()),
        auths: FastCheck.dictionary(
          FastCheck.constantFrom("registry.example", "https://registry.example"),
          FastCheck.record({ auth: FastCheck.oneof(FastCheck.base64String(), FastCheck.string()) })
        ),
        credsStore: FastCheck.constantFrom("", "../evil", "nothing-of-that-name")
      }, { requiredKeys: [] })
      yield* Effect.promise(() =>
        FastCheck.assert(
          FastCheck.asyncProperty(FastCheck.oneof(text, config.map((value) => JSON.stringify(value))), (content) =>
            Effect.runPromise(
              Effect.gen(function*() {
                yield* Effect.promise(() => fs.writeFile(file, content))
                yield* DockerConfig.currentContext(environment)
                yield* Effect.either(DockerEndpoint.candidates(environment))
                const found = yield* RegistryAuth.find(environment, image)
                if (found !== undefined) {
                  assert.isObject(JSON.parse(Buffer.from(Redacted.value(found), "base64url").toString("utf8")))
                }
              }).pipe(Logger.withMinimumLogLevel(LogLevel.None))
            )),
          { numRuns: 50 }
        )
      )
    }))

  it.scopedLive("do not hang the agent when they are pipes or devices", () =>
    Effect.gen(function*() {
      const read = DockerConfig.readText("/dev/zero").pipe(Logger.withMinimumLogLevel(LogLevel.None))
      assert.isUndefined(yield* read)
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "orchion-config-"))),
        (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
      )
      const pipe = path.join(directory, "pipe")
      execFileSync("mkfifo", [pipe])
      assert.isUndefined(yield* DockerConfig.readText(pipe).pipe(Logger.withMinimumLogLevel(LogLevel.None)))
    }))
})
