import { execFile } from "node:child_process"
import * as fs from "node:fs/promises"
import * as http from "node:http"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { promisify } from "node:util"
import { afterEach, assert, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import type * as ContainerEvents from "../../src/docker/ContainerEvents.js"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import { Docker } from "../../src/docker/Docker.js"
import type * as DockerError from "../../src/docker/api/DockerError.js"
import { describeDocker, layer, type TestEngine } from "../support/DockerTest.js"
import * as Registry from "./Registry.js"

/** What somebody does behind our back: raw requests. */
const behind = (engine: TestEngine, method: string, path: string) =>
  Effect.promise(() =>
    new Promise<number>((resolve, reject) => {
      const request = http.request({ socketPath: engine.socket, method, path, agent: false }, (response) => {
        response.resume().on("end", () => resolve(response.statusCode ?? 0))
      })
      request.on("error", reject).end()
    })
  )

await describeDocker("Docker, on a real engine,", (engine) => {
  const make = (input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
    Effect.suspend(() =>
      ContainerSpec.make({
        name: engine().nodeId,
        labels: { owner: engine().nodeId },
        image: engine().image,
        command: ["sleep", "600"],
        stopTimeoutSeconds: 1,
        ...input
      })
    )

  const shell = (script: string, input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
    make({ command: ["sh", "-c", script], ...input })

  const provided = Effect.provide(layer(engine))

  const ours = Effect.flatMap(Docker, (docker) => docker.list({ owner: engine().nodeId }))

  afterEach(async () => {
    const left = await Effect.runPromise(ours.pipe(provided))
    assert.deepStrictEqual(left, [], "containers are left")
  })

  it.live("says what it is and what it has", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      yield* docker.ping
      const version = yield* docker.version
      assert.match(version.version, /^\d+\.\d+/)
      assert.strictEqual(version.endpoint, engine().host)
      const info = yield* docker.info
      assert.match(info.dataDirectory, /^\//)
      assert.include(info.runtimes, "runc")
      assert.match((yield* docker.inspectImage(engine().image)).id, /^sha256:/)
      assert.strictEqual((yield* Effect.flip(docker.inspectImage("no/such:image")))._tag, "ImageNotFound")
    }).pipe(provided))

  it.scopedLive("runs a container to its end, with its output and its exit code", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const spec = yield* shell("echo out; echo err >&2; echo $A $T; exit 3", { env: { A: "1" }, secrets: { T: "2" } })
      const container = yield* docker.runScoped(spec)
      assert.strictEqual(container.name, spec.name)
      assert.deepInclude(container.labels, ContainerSpec.labels(spec))
      const exit = yield* docker.wait(container.id)
      assert.deepInclude(exit, { exitCode: 3, oomKilled: false })
      const lines = Chunk.toReadonlyArray(yield* Stream.runCollect(docker.logs(container.id)))
      const of = (stream: string) => lines.filter((line) => line.stream === stream).map(({ text }) => text)
      assert.deepStrictEqual(of("stdout"), ["out", "1 2"])
      assert.deepStrictEqual(of("stderr"), ["err"])
      assert.isTrue(lines.every(({ time }) => time !== undefined && Math.abs(time - Date.now()) < 60_000))
      const info = yield* docker.inspect(container.name)
      assert.deepInclude(info, { state: "exited", exitCode: 3 })
      assert.isNumber(info.finishedAt)
      assert.notProperty(info, "pid")
    }).pipe(provided))

  it.scopedLive("stops a container with its grace, and removes it with its scope", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const directory = yield* Effect.acquireRelease(
        Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "orchion-grace-"))),
        (directory) => Effect.promise(() => fs.rm(directory, { recursive: true }))
      )
      const files = Effect.promise(() => fs.readdir(directory))
      yield* Effect.scoped(Effect.gen(function*() {
        const spec = yield* shell(
          "trap 'sleep 0.5; echo > /x/drained; exit 0' TERM; echo > /x/up; while :; do sleep 0.1; done",
          { mounts: [{ _tag: "Bind", source: directory, target: "/x" }] }
        )
        yield* docker.runScoped(spec, { grace: "20 seconds" })
        yield* Effect.repeat(Effect.zipRight(Effect.sleep("10 millis"), files), {
          until: (names) => names.includes("up")
        })
      }))
      assert.deepStrictEqual((yield* files).sort(), ["drained", "up"])
      assert.deepStrictEqual(yield* ours, [])
    }).pipe(provided))

  it.scopedLive("has an init that ends what ignores the stop signal as process 1 would", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const container = yield* docker.runScoped(yield* make())
      yield* docker.stop(container.id, { grace: "10 seconds" })
      assert.strictEqual((yield* docker.wait(container.id)).exitCode, 143)
      // It is so already.
      yield* docker.stop(container.id)
      yield* docker.kill(container.id)
    }).pipe(provided))

  it.scopedLive("publishes a port, a free one where none is named", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const spec = yield* shell("echo hello > /tmp/index.html; exec httpd -f -p 8080 -h /tmp", {
        ports: [{ container: 8080 }]
      })
      const { ports: [port] } = yield* docker.runScoped(spec)
      assert.deepInclude(port, { container: 8080, protocol: "tcp", hostIp: "127.0.0.1" })
      const get = Effect.tryPromise(() => fetch(`http://127.0.0.1:${port?.host}/`).then((response) => response.text()))
      assert.strictEqual(yield* Effect.retry(get, Schedule.spaced("50 millis")), "hello\n")
    }).pipe(provided))

  it.live("keeps a container that is run to stay, for another to adopt", () =>
    Effect.gen(function*() {
      const spec = yield* make()
      const { id } = yield* Effect.flatMap(Docker, (docker) => docker.run(spec)).pipe(provided)
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const [found] = yield* ours
        assert.deepInclude(found, { id, state: "running" })
        assert.strictEqual(found?.labels[ContainerSpec.Label.specHash], ContainerSpec.hash(spec))
        assert.strictEqual((yield* Effect.flip(docker.run(spec)))._tag, "NameTaken")
        yield* Effect.scoped(docker.adoptScoped(id))
      }).pipe(provided)
    }))

  it.scopedLive("runs commands in a container", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const container = yield* docker.runScoped(yield* make())
      assert.deepStrictEqual(
        yield* docker.exec(container.id, ["sh", "-c", "echo out $A; echo err >&2; exit 7"], { env: { A: "1" } }),
        { exitCode: 7, stdout: "out 1\n", stderr: "err\n", truncated: false }
      )
      const much = yield* docker.exec(container.id, ["seq", "1", "100000"], { maxOutputBytes: 1000 })
      assert.deepInclude(much, { exitCode: 0, truncated: true })
      assert.strictEqual(much.stdout.length, 1000)
      assert.oneOf((yield* docker.exec(container.id, ["nvidia-smi"])).exitCode, [126, 127])
      const error = yield* Effect.flip(docker.exec(container.id, ["sleep", "60"], { deadline: "300 millis" }))
      assert.strictEqual(error._tag, "DockerTimeout")
      yield* docker.kill(container.id)
      yield* docker.wait(container.id)
      assert.strictEqual((yield* Effect.flip(docker.exec(container.id, ["true"])))._tag, "ContainerNotRunning")
      assert.strictEqual((yield* Effect.flip(docker.exec("none", ["true"])))._tag, "ContainerNotFound")
    }).pipe(provided))

  it.scopedLive("measures what a container uses", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const spec = yield* shell("while :; do :; done", { memoryBytes: 64 * 1024 * 1024, cpus: 0.2, pidsLimit: 50 })
      const container = yield* docker.runScoped(spec)
      const stats = yield* docker.stats(container.id)
      assert.strictEqual(stats.memoryLimitBytes, 64 * 1024 * 1024)
      assert.isAbove(stats.memoryUsedBytes ?? 0, 0)
      assert.isAbove(stats.cpuPercent ?? 0, 1)
      assert.isBelow(stats.cpuPercent ?? 0, 60)
      assert.isAbove(stats.pids ?? 0, 1)
    }).pipe(provided))

  it.scopedLive("reads a long log without losing or mixing lines", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const count = 20_000
      const spec = yield* shell(`seq 1 5 >&2; dd if=/dev/zero bs=40000 count=1 2>/dev/null; echo; seq 1 ${count}`)
      const container = yield* docker.runScoped(spec)
      const lines = Chunk.toReadonlyArray(yield* Stream.runCollect(docker.logs(container.id, { follow: true })))
      const numbers = lines.filter(({ stream, text }) => stream === "stdout" && /^\d+$/.test(text))
      assert.strictEqual(numbers.length, count)
      assert.isTrue(numbers.every(({ text }, index) => text === String(index + 1)))
      assert.strictEqual(lines.filter(({ stream }) => stream === "stderr").length, 5)
      // Longer than what Docker keeps in one piece.
      assert.strictEqual(lines.filter(({ text }) => text.length === 40_000).length, 1)
      const last = yield* Stream.runCollect(docker.logs(container.id, { tail: 3 }))
      assert.strictEqual(Chunk.size(last), 3)
      const none = yield* Stream.runCollect(docker.logs(container.id, { since: Date.now() + 60_000 }))
      assert.strictEqual(Chunk.size(none), 0)
    }).pipe(provided))

  it.scopedLive("sees a container that is ended for lack of memory", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const spec = yield* shell("exec dd if=/dev/zero of=/dev/null bs=60M count=1", {
        memoryBytes: 16 * 1024 * 1024,
        init: false
      })
      const container = yield* docker.runScoped(spec)
      assert.deepInclude(yield* docker.wait(container.id), { exitCode: 137, oomKilled: true })
    }).pipe(provided))

  const failures: ReadonlyArray<{
    readonly title: string
    readonly input: Partial<ContainerSpec.ContainerSpecInput>
    readonly tag: DockerError.RunError["_tag"]
    readonly says: string
  }> = [
    {
      title: "its image is not here",
      input: { image: "no/such:image" },
      tag: "ImageNotFound",
      says: "Image \"no/such:image\" not found"
    },
    {
      title: "its command does not exist",
      input: { command: ["no-such-command"], init: false },
      tag: "ContainerStartFailed",
      says: "does not exist in the image"
    },
    {
      title: "its command is not executable",
      input: { command: ["/tmp"], init: false },
      tag: "ContainerStartFailed",
      says: "is not executable"
    },
    {
      title: "a device is not there",
      input: { devices: [{ host: "/dev/no-such-device" }] },
      tag: "DeviceUnavailable",
      says: "the device /dev/no-such-device"
    },
    {
      title: "a directory of the machine is not there",
      input: { mounts: [{ _tag: "Bind", source: "/no/such/directory", target: "/x" }] },
      tag: "VolumeUnavailable",
      says: "cannot mount /no/such/directory"
    }
  ]

  for (const { input, says, tag, title } of failures) {
    it.live(`leaves nothing when a container does not start: ${title}`, () =>
      Effect.gen(function*() {
        const docker = yield* Docker
        const error = yield* Effect.flip(docker.run(yield* make(input)))
        assert.strictEqual(error._tag, tag)
        assert.include(error.message, says)
      }).pipe(provided))
  }

  it.live("says what is missing for GPUs, where there are none", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const { gpuReady } = yield* docker.info
      if (gpuReady === true) return
      const error = yield* Effect.flip(docker.run(yield* make({ gpus: { vendor: "nvidia", devices: "all" } })))
      assert.strictEqual(error._tag, "GpuUnavailable")
      assert.include(error.message, "nvidia-container-toolkit")
    }).pipe(provided))

  it.scopedLive("says who has a port, a container or a process", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const holder = yield* docker.runScoped(
        yield* make({ name: `${engine().nodeId}-holder`, ports: [{ container: 80 }] })
      )
      const taken = yield* make({ ports: [{ container: 80, host: holder.ports[0]?.host ?? 0 }] })
      const byContainer = yield* Effect.flip(docker.run(taken))
      assert.strictEqual(byContainer._tag, "PortTaken")
      assert.include(byContainer.message, `by the container ${holder.name}`)
      const server = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<net.Server>((resolve) => {
            const server = net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (server) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
      )
      const address = server.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      const byProcess = yield* Effect.flip(docker.run(yield* make({ ports: [{ container: 80, host: port }] })))
      assert.strictEqual(byProcess._tag, "PortTaken")
      assert.include(byProcess.message, `(process ${process.pid})`)
    }).pipe(provided))

  it.scopedLive("reports what others do to a container", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const seen: Array<ContainerEvents.ContainerEvent> = []
      const told = (tag: string) =>
        Effect.repeat(Effect.sleep("10 millis"), {
          until: () => seen.some((event) => event._tag === tag || (event._tag === "Changed" && event.action === tag))
        })
      yield* Effect.forkScoped(
        Stream.runForEach(docker.events({ owner: engine().nodeId }), (event) => Effect.sync(() => seen.push(event)))
      )
      yield* told("Snapshot")
      const container = yield* docker.runScoped(yield* make())
      yield* told("start")
      assert.strictEqual(yield* behind(engine(), "POST", `/containers/${container.id}/pause`), 204)
      yield* told("pause")
      assert.strictEqual((yield* docker.inspect(container.id)).state, "paused")
      assert.strictEqual(yield* behind(engine(), "POST", `/containers/${container.id}/unpause`), 204)
      const waiting = yield* Effect.fork(docker.wait(container.id))
      assert.strictEqual(yield* behind(engine(), "POST", `/containers/${container.id}/kill`), 204)
      yield* told("die")
      assert.strictEqual((yield* Fiber.join(waiting)).exitCode, 137)
      const die = seen.find((event) => event._tag === "Changed" && event.action === "die")
      assert.deepInclude(die, { id: container.id, name: container.name, exitCode: 137 })
    }).pipe(provided))

  it.scopedLive("is not put off when a container is removed behind its back", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const container = yield* docker.runScoped(yield* make())
      const waiting = yield* Effect.fork(Effect.exit(docker.wait(container.id)))
      const following = yield* Effect.fork(Stream.runDrain(docker.logs(container.id, { follow: true })))
      yield* Effect.sleep("50 millis")
      assert.strictEqual(yield* behind(engine(), "DELETE", `/containers/${container.id}?force=true`), 204)
      yield* Fiber.join(following)
      const exit = yield* Fiber.join(waiting)
      assert.isTrue(Exit.isFailure(exit) || exit.value.exitCode === 137)
      assert.strictEqual((yield* Effect.flip(docker.inspect(container.id)))._tag, "ContainerNotFound")
    }).pipe(provided))

  it.live("removes a paused container", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      yield* Effect.scoped(Effect.gen(function*() {
        const container = yield* docker.runScoped(yield* make())
        yield* behind(engine(), "POST", `/containers/${container.id}/pause`)
      }))
      assert.deepStrictEqual(yield* ours, [])
    }).pipe(provided))

  it.live("leaves nothing when it is interrupted, at 20 moments", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const spec = yield* make({ stopTimeoutSeconds: 0, init: false })
      for (let moment = 0; moment < 20; moment++) {
        const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(docker.runScoped(spec), Effect.never)))
        yield* Effect.sleep(yield* Random.nextIntBetween(0, 700))
        yield* Fiber.interrupt(fiber)
        assert.deepStrictEqual(yield* ours, [], `after moment ${moment}`)
      }
    }).pipe(provided, Effect.withRandom(Random.make("20 moments"))), 60_000)

  it.live("leaves nothing when a run without a scope is interrupted, at 10 moments", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const spec = yield* make({ stopTimeoutSeconds: 0, init: false })
      for (let moment = 0; moment < 10; moment++) {
        const fiber = yield* Effect.fork(docker.run(spec))
        yield* Effect.sleep(yield* Random.nextIntBetween(0, 700))
        yield* Fiber.interrupt(fiber)
        const exit = yield* Fiber.await(fiber)
        // Either it was interrupted and left nothing, or it was done.
        if (Exit.isSuccess(exit)) yield* docker.remove(exit.value.id, { force: true })
        assert.deepStrictEqual(yield* ours, [], `after moment ${moment}`)
      }
    }).pipe(provided, Effect.withRandom(Random.make("10 moments"))), 60_000)

  it.scopedLive("pulls an image with its progress in bytes", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const registry = yield* Registry.make({ bytes: 4_000_000, pause: 20 })
      const seen = Chunk.toReadonlyArray(yield* Stream.runCollect(docker.pull(registry.image)))
      yield* Effect.addFinalizer(() => behind(engine(), "DELETE", `/images/${registry.image}?force=true`))
      assert.isTrue(
        seen.some(({ downloadedBytes, totalBytes }) =>
          downloadedBytes > 0 && downloadedBytes < totalBytes && totalBytes === registry.layerBytes
        ),
        JSON.stringify(seen)
      )
      assert.deepInclude(seen.at(-1), {
        phase: "complete",
        layers: { total: 1, existing: 0, downloaded: 1, extracted: 1 },
        downloadedBytes: registry.layerBytes,
        extractedBytes: registry.layerBytes
      })
      // The second time the registry is not asked.
      const asked = registry.requests.length
      yield* Stream.runDrain(docker.pull(registry.image))
      assert.strictEqual(registry.requests.length, asked)
      const unknown = yield* Effect.flip(Stream.runDrain(docker.pull(registry.image.replace(":v1", ":v2"))))
      assert.strictEqual(unknown._tag, "ImageNotFound")
    }).pipe(provided))

  it.scopedLive("cancels a pull when its last caller leaves", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const registry = yield* Registry.make({ bytes: 4_000_000, pause: 200 })
      yield* docker.pull(registry.image).pipe(
        Stream.takeUntil(({ downloadedBytes }) => downloadedBytes > 0),
        Stream.runDrain
      )
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => registry.aborted() > 0 })
      assert.strictEqual((yield* Effect.flip(docker.inspectImage(registry.image)))._tag, "ImageNotFound")
    }).pipe(provided))

  it.live("shows the docker command what it would show of its own", () =>
    Effect.gen(function*() {
      const docker = yield* Docker
      const command = (...args: ReadonlyArray<string>) =>
        Effect.tryPromise(() => promisify(execFile)("docker", ["--host", engine().host, ...args]))
      const there = yield* Effect.option(command("version"))
      if (there._tag === "None") return
      yield* Effect.scoped(Effect.gen(function*() {
        const container = yield* docker.runScoped(yield* shell("echo hello; sleep 600"))
        const { stdout } = yield* command("ps", "--format", "{{.ID}} {{.Names}}", "--no-trunc")
        assert.include(stdout, `${container.id} ${container.name}`)
      }))
    }).pipe(provided))
})
