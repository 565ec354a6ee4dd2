import * as fs from "node:fs/promises"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import { Docker } from "../../src/docker/Docker.js"
import type * as ImagePull from "../../src/docker/ImagePull.js"
import * as Scripted from "./ScriptedDocker.js"
import { asleepFor, eventually, sleepThrough } from "./Waiting.js"

const image = "owner/model:v1"
const create = "POST /images/create"
const inspectImage = `GET /images/${image}/json`

const layerLine = (id: string, status: string, current?: number, total?: number) => ({
  id,
  status,
  ...(current === undefined ? {} : { progressDetail: { current, total } })
})

/** A pull that goes well, of two layers, one of which is there already. */
const wholePull = [
  { status: "Pulling from owner/model", id: "v1" },
  layerLine("aaa", "Pulling fs layer"),
  layerLine("bbb", "Already exists"),
  layerLine("aaa", "Downloading", 50, 200),
  layerLine("aaa", "Downloading", 200, 200),
  layerLine("aaa", "Verifying Checksum"),
  layerLine("aaa", "Download complete"),
  layerLine("aaa", "Extracting", 100, 200),
  layerLine("aaa", "Pull complete"),
  { status: "Digest: sha256:0123" },
  { status: "Status: Downloaded newer image for owner/model:v1" }
]

/** How a pull is answered, and whether it brings the image. */
interface Script {
  readonly good: boolean
  readonly answer: Scripted.Answer
}

/** A daemon that has the image once a pull has gone well. */
const engine = Effect.map(Scripted.make, (server) => {
  let there = false
  server.on(
    inspectImage,
    (response, request) =>
      (there ? Scripted.json({ Id: "sha256:0123" }) : Scripted.refuse(404, "No such image"))(response, request)
  )
  server.on(create, Scripted.lines(wholePull))
  return {
    ...server,
    have: () => {
      there = true
    },
    /** Answers pulls one after the other, the last again and again; the image is there after a good one. */
    pulls: (...answers: ReadonlyArray<Script>) => {
      let next = 0
      server.on(create, (response, request) => {
        const script = answers[Math.min(next++, answers.length - 1)]
        if (script === undefined) return
        if (script.good) {
          response.on("finish", () => {
            there = true
          })
        }
        return script.answer(response, request)
      })
    }
  }
})

const good = { good: true, answer: Scripted.lines(wholePull) }
const bad = (answer: Scripted.Answer) => ({ good: false, answer })

const pull = (options?: ImagePull.PullOptions, name = image) =>
  Stream.unwrap(Effect.map(Docker, (docker) => docker.pull(name, options)))

const all = (options?: ImagePull.PullOptions) => Effect.map(Stream.runCollect(pull(options)), Chunk.toReadonlyArray)

/** A pull that runs, and what was seen of it. */
const watched = (name = image) =>
  Effect.gen(function*() {
    const seen: Array<ImagePull.PullProgress> = []
    const fiber = yield* Effect.fork(
      Stream.runForEach(pull({}, name), (progress) => Effect.sync(() => seen.push(progress)))
    )
    return {
      seen,
      fiber,
      /** Lets the clock pass the wait after an attempt. */
      passRetry: (attempt: number) =>
        Effect.gen(function*() {
          const waiting = () => seen.find((progress) => progress.attempt === attempt && progress.phase === "waiting")
          yield* eventually(() => waiting() !== undefined)
          yield* sleepThrough(waiting()?.retry?.delay ?? 0)
        })
    }
  })

describe("pulling an image", () => {
  it.scoped("reports its progress, downloading and extracting apart", () =>
    Effect.gen(function*() {
      const server = yield* engine
      let response: Parameters<Scripted.Answer>[0] | undefined
      server.pulls({
        good: true,
        answer: (answer) => {
          response = answer
          answer.writeHead(200)
          answer.flushHeaders()
        }
      })
      const seen = yield* Effect.gen(function*() {
        const { fiber, seen } = yield* watched()
        yield* server.arrived(create)
        yield* eventually(() => seen.length > 0)
        // One line after the other: a reader is promised the newest state only.
        for (const line of wholePull) {
          const before = seen.length
          response?.write(`${JSON.stringify(line)}\r\n`)
          yield* eventually(() => seen.length > before)
        }
        response?.end()
        yield* Fiber.join(fiber)
        return seen
      }).pipe(Effect.provide(Scripted.layer(server)))
      const at = (phase: ImagePull.PullProgress["phase"], downloaded: number, extracted: number) =>
        seen.some((progress) =>
          progress.phase === phase && progress.downloadedBytes === downloaded && progress.extractedBytes === extracted
        )
      assert.strictEqual(seen[0]?.phase, "resolving")
      assert.isTrue(at("downloading", 50, 0), JSON.stringify(seen))
      assert.isTrue(at("extracting", 200, 0))
      assert.isTrue(at("extracting", 200, 100))
      assert.deepStrictEqual(seen.at(-1), {
        image,
        phase: "complete",
        layers: { total: 2, existing: 1, downloaded: 1, extracted: 1 },
        downloadedBytes: 200,
        extractedBytes: 200,
        totalBytes: 200,
        totalKnown: true,
        attempt: 1
      })
    }))

  it.scoped("asks for one tag, never for all", () =>
    Effect.gen(function*() {
      const server = yield* Scripted.make
      let there = false
      server.on("GET /images/*", (response, request) => {
        ;(there ? Scripted.json({ Id: "sha256:0123" }) : Scripted.refuse(404, "No such image"))(response, request)
      })
      server.on(create, (response, request) => {
        there = true
        return Scripted.lines(wholePull)(response, request)
      })
      yield* Stream.runDrain(pull({}, "ollama/ollama")).pipe(Effect.provide(Scripted.layer(server)))
      const [request] = yield* server.arrived(create)
      assert.strictEqual(request?.query.get("fromImage"), "docker.io/ollama/ollama")
      assert.strictEqual(request?.query.get("tag"), "latest")
    }))

  it.scoped("fetches nothing when the image is here", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.have()
      const seen = yield* Effect.provide(all(), Scripted.layer(server))
      assert.deepStrictEqual(seen.map(({ phase }) => phase), ["complete"])
      assert.deepStrictEqual(server.seen(), [inspectImage])
    }))

  it.scoped("looks for a newer one all the same when asked to", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.have()
      yield* Effect.provide(all({ policy: "always" }), Scripted.layer(server))
      assert.include(server.seen(), create)
    }))

  it.scoped("fails on an error line under status 200", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const message = "manifest for owner/model:v1 not found: manifest unknown"
      server.pulls(bad(Scripted.lines([...wholePull.slice(0, 4), { errorDetail: { message }, error: message }])))
      const error = yield* Effect.flip(Effect.provide(all(), Scripted.layer(server)))
      assert.strictEqual(error._tag, "ImageNotFound")
      assert.include(error.message, "Image \"owner/model:v1\" not found")
      assert.include(error.message, "manifest unknown")
    }))

  it.scoped("suggests to log in where the registry denies", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(bad(Scripted.refuse(
        404,
        "pull access denied for owner/model, repository does not exist or may require 'docker login'"
      )))
      const error = yield* Effect.flip(Effect.provide(all(), Scripted.layer(server)))
      assert.strictEqual(error._tag, "ImageNotFound")
      assert.include(error.message, "docker login")
    }))

  it.scoped("refuses a name that cannot be one before it asks for anything", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const error = yield* Effect.flip(
        Stream.runDrain(pull({}, "my model")).pipe(Effect.provide(Scripted.layer(server)))
      )
      assert.strictEqual(error._tag, "SpecInvalid")
      assert.deepStrictEqual(server.seen(), [])
    }))

  it.scoped("tries again after a fault of the network, and says so", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const fault = "Get https://registry-1.docker.io/v2/: net/http: TLS handshake timeout"
      server.pulls(bad(Scripted.lines([{ error: fault }])), bad(Scripted.cutAfter("{\"status\":\"x\"}\n")), good)
      yield* Effect.gen(function*() {
        const { fiber, passRetry, seen } = yield* watched()
        yield* passRetry(1)
        yield* passRetry(2)
        yield* Fiber.join(fiber)
        const reasons = seen.flatMap(({ retry }) => (retry === undefined ? [] : [retry.reason]))
        assert.include(reasons[0], "TLS handshake timeout")
        assert.include(reasons[1], "the connection was lost")
        assert.deepInclude(seen.at(-1), { phase: "complete", attempt: 3 })
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("gives up after five attempts that bring nothing", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(bad(Scripted.lines([{ error: "unexpected EOF" }])))
      yield* Effect.gen(function*() {
        const { fiber, passRetry, seen } = yield* watched()
        for (let attempt = 1; attempt < 5; attempt++) yield* passRetry(attempt)
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error._tag, "ImagePullFailed")
        assert.include(error.message, "after 5 attempts: unexpected EOF.")
        const delays = seen.flatMap(({ retry }) => (retry === undefined ? [] : [retry.delay]))
        assert.strictEqual(delays.length, 4)
        // Each twice the one before, give or take a fifth.
        for (const [index, delay] of delays.entries()) {
          assert.isAtLeast(delay, 800 * 2 ** index)
          assert.isAtMost(delay, 1200 * 2 ** index)
        }
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.strictEqual((yield* server.arrived(create)).length, 5)
    }))

  it.scoped("continues as long as each attempt brings a further layer", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const partial = bad(Scripted.lines([
        layerLine("aaa", "Downloading", 10, 10),
        layerLine("aaa", "Download complete"),
        { error: "unexpected EOF" }
      ]))
      server.pulls(partial, partial, partial, partial, partial, partial, good)
      yield* Effect.gen(function*() {
        const { fiber, passRetry, seen } = yield* watched()
        for (let attempt = 1; attempt < 7; attempt++) yield* passRetry(attempt)
        yield* Fiber.join(fiber)
        assert.strictEqual(seen.at(-1)?.attempt, 7)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("does not take the stream's end for success when the image is not there", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(bad(Scripted.lines(wholePull.slice(0, 5))), good)
      yield* Effect.gen(function*() {
        const { fiber, passRetry, seen } = yield* watched()
        yield* passRetry(1)
        yield* Fiber.join(fiber)
        assert.deepInclude(seen.at(-1), { phase: "complete", attempt: 2 })
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("takes a line that is no JSON for a failure, not for the process's end", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(bad(Scripted.lines(["<html>Proxy authentication required</html>"])), good)
      yield* Effect.gen(function*() {
        const { fiber, passRetry, seen } = yield* watched()
        yield* passRetry(1)
        yield* Fiber.join(fiber)
        assert.deepInclude(seen.at(-1), { phase: "complete", attempt: 2 })
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("reads lines that are split anywhere", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const text = Buffer.from(wholePull.map((line) => `${JSON.stringify(line)}\r\n`).join(""))
      server.pulls({
        good: true,
        answer: async (response) => {
          response.writeHead(200)
          for (let at = 0; at < text.length; at += 7) {
            await new Promise<void>((resolve) => response.write(text.subarray(at, at + 7), () => resolve()))
          }
          response.end()
        }
      })
      const seen = yield* Effect.provide(all(), Scripted.layer(server))
      assert.strictEqual(seen.at(-1)?.downloadedBytes, 200)
    }))

  it.scoped("counts no seconds as bytes where Docker extracts by the clock", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls({
        good: true,
        answer: Scripted.lines([
          layerLine("aaa", "Downloading", 200, 200),
          layerLine("aaa", "Download complete"),
          { id: "aaa", status: "Extracting", progressDetail: { current: 7, units: "s" } },
          layerLine("aaa", "Pull complete")
        ])
      })
      const seen = yield* Effect.provide(all(), Scripted.layer(server))
      assert.isTrue(seen.every(({ extractedBytes }) => extractedBytes === 0 || extractedBytes === 200))
      assert.strictEqual(seen.at(-1)?.totalBytes, 200)
    }))
})

describe("a pull that stalls", () => {
  const begun = [layerLine("aaa", "Pulling fs layer"), layerLine("aaa", "Downloading", 50, 200)]

  const stalled: Scripted.Answer = (response) => {
    response.writeHead(200)
    for (const line of begun) response.write(`${JSON.stringify(line)}\n`)
  }

  const silence = 120_000

  it.scoped("is tried again after two minutes without progress, and fails in the end", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(bad(stalled))
      yield* Effect.gen(function*() {
        const { fiber, passRetry, seen } = yield* watched()
        for (let attempt = 1; attempt <= 5; attempt++) {
          yield* eventually(() => seen.at(-1)?.attempt === attempt && seen.at(-1)?.downloadedBytes === 50)
          yield* asleepFor(silence)
          yield* TestClock.adjust(silence - 1)
          assert.strictEqual(server.connections(), 1)
          yield* TestClock.adjust(1)
          yield* server.until(() => server.connections() === 0)
          if (attempt < 5) yield* passRetry(attempt)
        }
        const error = yield* Effect.flip(Fiber.join(fiber))
        assert.strictEqual(error._tag, "ImagePullStalled")
        assert.include(error.message, "made no progress for 120 s, 5 times")
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  /** A pull whose lines the test writes. */
  const written = (server: Effect.Effect.Success<typeof engine>, ...later: ReadonlyArray<Script>) =>
    Effect.gen(function*() {
      let response: Parameters<Scripted.Answer>[0] | undefined
      server.pulls({
        good: later.length === 0,
        answer: (answer) => {
          response = answer
          answer.writeHead(200)
          answer.flushHeaders()
        }
      }, ...later)
      const running = yield* watched()
      yield* server.arrived(create)
      yield* eventually(() => running.seen.length > 0)
      return {
        ...running,
        end: () => response?.end(),
        /** Comes back when the pull has taken it in. */
        line: (line: unknown) =>
          Effect.suspend(() => {
            const before = running.seen.length
            response?.write(`${JSON.stringify(line)}\n`)
            return eventually(() => running.seen.length > before)
          })
      }
    })

  it.scoped("is not one while bytes come, however slowly", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { end, fiber, line, seen } = yield* written(server)
        for (let bytes = 1; bytes <= 20; bytes++) {
          yield* line(layerLine("aaa", "Downloading", bytes, 200))
          yield* TestClock.adjust(silence - 10_000)
        }
        end()
        yield* Fiber.join(fiber)
        assert.deepInclude(seen.at(-1), { phase: "complete", attempt: 1 })
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("is one while Docker only says that it tries again", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { fiber, line, passRetry, seen } = yield* written(server, good)
        yield* line(layerLine("aaa", "Downloading", 1, 200))
        yield* asleepFor(silence)
        for (let second = 0; second < 3; second++) {
          yield* line(layerLine("aaa", `Retrying in ${5 - second} seconds`))
          yield* TestClock.adjust(silence / 3)
        }
        yield* server.until(() => server.connections() === 0)
        yield* passRetry(1)
        yield* Fiber.join(fiber)
        assert.deepInclude(seen.at(-1), { phase: "complete", attempt: 2 })
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("is given longer while a large layer is written to disk", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { end, fiber, line, seen } = yield* written(server)
        for (const each of wholePull.slice(0, 8)) yield* line(each)
        yield* asleepFor(silence)
        yield* TestClock.adjust("9 minutes")
        end()
        yield* Fiber.join(fiber)
        assert.deepInclude(seen.at(-1), { phase: "complete", attempt: 1 })
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))
})

describe("several who pull the same image", () => {
  const held = (server: Effect.Effect.Success<typeof engine>) => {
    let response: Parameters<Scripted.Answer>[0] | undefined
    server.pulls({
      good: true,
      answer: (answer) => {
        response = answer
        answer.writeHead(200)
        for (const line of wholePull.slice(0, 4)) answer.write(`${JSON.stringify(line)}\n`)
      }
    })
    return {
      finish: () => {
        for (const line of wholePull.slice(4)) response?.write(`${JSON.stringify(line)}\n`)
        response?.end()
      }
    }
  }

  it.scoped("share one pull, and the late one sees where it stands", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const { finish } = held(server)
      yield* Effect.gen(function*() {
        const first = yield* watched()
        yield* eventually(() => first.seen.at(-1)?.downloadedBytes === 50)
        // Another way to write it.
        server.on("GET /images/docker.io/owner/model:v1/json", Scripted.refuse(404, "No such image"))
        const second = yield* watched("docker.io/owner/model:v1")
        yield* eventually(() => second.seen.length > 0)
        assert.deepInclude(second.seen[0], { image: "docker.io/owner/model:v1", downloadedBytes: 50 })
        finish()
        yield* Fiber.join(first.fiber)
        yield* Fiber.join(second.fiber)
        assert.strictEqual(first.seen.at(-1)?.phase, "complete")
        assert.strictEqual(second.seen.at(-1)?.phase, "complete")
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.strictEqual((yield* server.arrived(create)).length, 1)
    }))

  it.scoped("go on when one of them leaves, and give up when the last does", () =>
    Effect.gen(function*() {
      const server = yield* engine
      held(server)
      yield* Effect.gen(function*() {
        const first = yield* watched()
        yield* eventually(() => first.seen.at(-1)?.downloadedBytes === 50)
        const second = yield* watched()
        yield* eventually(() => second.seen.length > 0)
        yield* Fiber.interrupt(first.fiber)
        // The connection is still the first's.
        const [request] = yield* server.arrived(create)
        assert.strictEqual(request?.closed, false)
        yield* Fiber.interrupt(second.fiber)
        yield* server.until(() => request?.closed === true && server.connections() === 0)
        // Whoever comes later begins anew.
        const third = yield* watched()
        yield* server.arrived(create, 2)
        yield* Fiber.interrupt(third.fiber)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("all fail with the reason when it fails", () =>
    Effect.gen(function*() {
      const server = yield* engine
      let response: Parameters<Scripted.Answer>[0] | undefined
      server.pulls(bad((answer) => {
        response = answer
        answer.writeHead(200)
        answer.flushHeaders()
      }))
      yield* Effect.gen(function*() {
        const pulls = yield* Effect.all(Array.from({ length: 10 }, () => watched()))
        yield* server.arrived(create)
        yield* eventually(() => pulls.every(({ seen }) => seen.length > 0))
        response?.end(JSON.stringify({ error: "manifest unknown" }))
        for (const { fiber } of pulls) {
          assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "ImageNotFound")
        }
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.strictEqual((yield* server.arrived(create)).length, 1)
    }))

  it.scoped("stop with the layer", () =>
    Effect.gen(function*() {
      const server = yield* engine
      held(server)
      const scope = yield* Effect.scope
      yield* Effect.gen(function*() {
        yield* Effect.forkIn(all(), scope)
        yield* server.arrived(create)
      }).pipe(Effect.provide(Scripted.layer(server)))
      yield* server.until(() => server.connections() === 0)
    }))
})

describe("room for an image", () => {
  const petabyte = 2 ** 50

  it.scoped("is checked before, when the size is known", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const error = yield* Effect.flip(Effect.provide(all({ expectedBytes: petabyte }), Scripted.layer(server)))
      assert.strictEqual(error._tag, "OutOfDisk")
      assert.include(error.message, `in ${server.directory} for image "owner/model:v1"`)
      assert.include(error.message, "at least 1.0 PiB more")
      assert.notInclude(server.seen(), create)
    }))

  it.scoped("is checked as soon as the layers' sizes are known", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(bad((response) => {
        response.writeHead(200)
        response.write(`${JSON.stringify(layerLine("aaa", "Downloading", 1, petabyte))}\n`)
      }))
      const error = yield* Effect.flip(Effect.provide(all(), Scripted.layer(server)))
      assert.strictEqual(error._tag, "OutOfDisk")
      assert.include(error.message, "at least 2.0 PiB more")
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("is reported as lacking when Docker finds out", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const message = "failed to register layer: write /usr/lib/x: no space left on device"
      server.pulls(bad(Scripted.lines([{ error: message }])))
      const error = yield* Effect.flip(Effect.provide(all(), Scripted.layer(server)))
      assert.strictEqual(error._tag, "OutOfDisk")
      assert.include(error.message, "docker system prune")
    }))

  it.scoped("stops no pull where it cannot be known", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /info", Scripted.json({ DockerRootDir: "/no/such/directory" }))
      server.pulls(good)
      yield* Effect.provide(all({ expectedBytes: petabyte }), Scripted.layer(server))
    }))
})

describe("the registry's credentials", () => {
  const header = (server: Scripted.ScriptedDocker) =>
    Effect.map(server.arrived(create), ([request]) => {
      const value = request?.headers["x-registry-auth"]
      const parsed: unknown = typeof value === "string"
        ? JSON.parse(Buffer.from(value, "base64url").toString("utf8"))
        : undefined
      return parsed
    })

  const configured = (server: Scripted.ScriptedDocker, config: unknown) =>
    Effect.promise(async () => {
      await fs.mkdir(path.join(server.directory, ".docker"), { recursive: true })
      await fs.writeFile(
        path.join(server.directory, ".docker/config.json"),
        typeof config === "string" ? config : JSON.stringify(config)
      )
    })

  it.scoped("are those that docker login has kept", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(good)
      const auth = Buffer.from("me:pass:word").toString("base64")
      yield* configured(server, { auths: { "https://index.docker.io/v1/": { auth } } })
      yield* Effect.provide(all(), Scripted.layer(server))
      assert.deepStrictEqual(yield* header(server), {
        username: "me",
        password: "pass:word",
        serveraddress: "https://index.docker.io/v1/"
      })
    }))

  it.scoped("are asked of the helper that keeps them", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(good)
      const helper = path.join(server.directory, "docker-credential-mine")
      yield* Effect.promise(() =>
        fs.writeFile(
          helper,
          "#!/bin/sh\nread server\n[ \"$1\" = get ] && echo \"{\\\"Username\\\":\\\"<token>\\\",\\\"Secret\\\":\\\"for $server\\\"}\"\n",
          { mode: 0o755 }
        )
      )
      yield* configured(server, { credsStore: "mine" })
      const layer = Scripted.layer({
        ...server,
        environment: { ...server.environment, env: { PATH: `${server.directory}:/usr/bin:/bin` } }
      })
      yield* Effect.provide(all(), layer)
      assert.deepStrictEqual(yield* header(server), {
        identitytoken: "for https://index.docker.io/v1/",
        serveraddress: "https://index.docker.io/v1/"
      })
    }))

  it.scoped("are done without where they cannot be had", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.pulls(good)
      yield* configured(server, { credsStore: "missing", credHelpers: { "docker.io": "gone" } })
      yield* Effect.provide(all(), Scripted.layer(server))
      assert.strictEqual(yield* header(server), undefined)
    }))
})
