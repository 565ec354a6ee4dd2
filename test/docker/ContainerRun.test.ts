import * as net from "node:net"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as ContainerSpec from "../../src/docker/ContainerSpec.js"
import { Docker } from "../../src/docker/Docker.js"
import type * as DockerError from "../../src/docker/api/DockerError.js"
import * as Scripted from "./ScriptedDocker.js"
import { asleepFor, backOff, sleepThrough } from "./Waiting.js"

const create = "POST /containers/create"
const start = "POST /containers/abc/start"
const stop = "POST /containers/abc/stop"
const inspect = "GET /containers/abc/json"
const remove = "DELETE /containers/abc"

/** A daemon on which all goes well, with the one container abc. */
const engine = Effect.tap(Scripted.make, (server) =>
  Effect.sync(() => {
    server.on(create, Scripted.json({ Id: "abc", Warnings: [] }, 201))
    server.on(start, Scripted.empty())
    server.on(stop, Scripted.empty())
    server.on(inspect, Scripted.json(Scripted.inspected("abc")))
    server.on(remove, Scripted.empty())
    server.on("GET /containers/json", Scripted.json([]))
  }))

const name = "orchion-vllm-test"

const make = (input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
  ContainerSpec.make({ name, image: "some/image:tag", stopTimeoutSeconds: 20, ...input })

const run = (input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
  Effect.gen(function*() {
    const docker = yield* Docker
    return yield* docker.run(yield* make(input))
  })

const failure = (server: Scripted.ScriptedDocker, input: Partial<ContainerSpec.ContainerSpecInput> = {}) =>
  Effect.flip(Effect.provide(run(input), Scripted.layer(server)))

/** The requests that change something. */
const changes = (server: Scripted.ScriptedDocker) => server.seen().filter((request) => !request.startsWith("GET"))

describe("a container that is run", () => {
  it.scoped("is created by its name with its labels, started, and left", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const info = yield* Effect.provide(run({ secrets: { TOKEN: "secret" } }), Scripted.layer(server))
      assert.deepInclude(info, {
        id: "abc",
        state: "running",
        pid: 4711,
        imageId: "sha256:0123",
        ports: [{ container: 80, protocol: "tcp", hostIp: "127.0.0.1", host: 32768 }]
      })
      assert.deepStrictEqual(changes(server), [create, start])
      const [request] = yield* server.arrived(create)
      assert.strictEqual(request?.query.toString(), `name=${name}`)
      assert.deepInclude(request?.body, { Image: "some/image:tag", Env: ["TOKEN=secret"], StopTimeout: 20 })
    }))

  it.scoped("is stopped with its grace and then removed, with its scope", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        yield* Effect.scoped(Effect.gen(function*() {
          yield* docker.runScoped(yield* make(), { grace: "42 seconds" })
          assert.deepStrictEqual(changes(server), [create, start])
        }))
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [create, start, stop, remove])
      assert.strictEqual((yield* server.arrived(stop))[0]?.query.get("t"), "42")
      assert.strictEqual((yield* server.arrived(remove))[0]?.query.toString(), "force=true&v=true")
    }))

  it.scoped("is stopped with the grace that it was created with when nothing else is said", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.flatMap(Docker, (docker) => Effect.scoped(docker.adoptScoped("abc"))).pipe(
        Effect.provide(Scripted.layer(server))
      )
      assert.deepStrictEqual(changes(server), [stop, remove])
      assert.strictEqual((yield* server.arrived(stop))[0]?.query.get("t"), "7")
    }))

  it.scoped("is removed also when it cannot be stopped", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(
        stop,
        Scripted.refuse(500, "cannot stop container: abc: tried to kill container, but did not receive an exit event")
      )
      yield* Effect.flatMap(Docker, (docker) => Effect.scoped(docker.adoptScoped("abc"))).pipe(
        Effect.provide(Scripted.layer(server))
      )
      assert.deepStrictEqual(changes(server), [stop, remove])
    }))

  it.scoped("is removed also when the stop is never answered", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(stop, Scripted.silence)
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const fiber = yield* Effect.fork(Effect.scoped(docker.adoptScoped("abc", { grace: "5 seconds" })))
        yield* server.arrived(stop)
        yield* sleepThrough(35_000)
        yield* Fiber.join(fiber)
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [stop, remove])
    }))

  it.scoped("is released to the end also when a second interruption comes", () =>
    Effect.gen(function*() {
      const server = yield* engine
      let answer: (() => void) | undefined
      server.on(stop, (response) => {
        answer = () => response.writeHead(204).end()
      })
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const adopted = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
          yield* docker.adoptScoped("abc")
          yield* Deferred.succeed(adopted, undefined)
          yield* Effect.never
        })))
        yield* Deferred.await(adopted)
        yield* Fiber.interruptFork(fiber)
        const [request] = yield* server.arrived(stop)
        yield* Fiber.interruptFork(fiber)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        assert.strictEqual(request?.closed, false)
        answer?.()
        yield* Fiber.await(fiber)
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [stop, remove])
    }))

  it.scoped("is waited for where its removal is under way already", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(remove, Scripted.refuse(409, "removal of container abc is already in progress"))
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const fiber = yield* Effect.fork(docker.remove("abc"))
        yield* server.arrived(inspect)
        yield* sleepThrough(200)
        yield* server.arrived(inspect, 2)
        server.on(inspect, Scripted.refuse(404, "No such container"))
        yield* sleepThrough(200)
        yield* Fiber.join(fiber)
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))

  it.scoped("is released when Docker is back from a restart", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const docker = yield* Docker
        const scoped = yield* Deferred.make<void>()
        const end = yield* Deferred.make<void>()
        const fiber = yield* Effect.fork(Effect.scoped(Effect.gen(function*() {
          yield* docker.adoptScoped("abc")
          yield* Deferred.succeed(scoped, undefined)
          yield* Deferred.await(end)
        })))
        yield* Deferred.await(scoped)
        yield* server.down
        yield* Deferred.succeed(end, undefined)
        yield* backOff(200)
        yield* server.up
        yield* backOff(400)
        yield* Fiber.join(fiber)
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [stop, remove])
    }))
})

describe("a container that does not start", () => {
  const cases: ReadonlyArray<{
    readonly title: string
    readonly answer: Scripted.Answer
    readonly state?: Record<string, unknown>
    readonly input?: Partial<ContainerSpec.ContainerSpecInput>
    readonly tag: DockerError.RunError["_tag"]
    readonly says: ReadonlyArray<string>
  }> = [
    {
      title: "for lack of the GPU's toolkit",
      answer: Scripted.refuse(500, "could not select device driver \"nvidia\" with capabilities: [[gpu]]"),
      input: { gpus: { vendor: "nvidia", devices: "all" } },
      tag: "GpuUnavailable",
      says: ["NVIDIA GPUs it asks for (all)", "nvidia-container-toolkit", "ask for no GPU"]
    },
    {
      title: "since the GPU that it asks for does not exist",
      answer: Scripted.refuse(
        500,
        "OCI runtime create failed: nvidia-container-cli: device error: 7: unknown device: unknown"
      ),
      input: { gpus: { vendor: "nvidia", devices: ["7"] } },
      tag: "GpuUnavailable",
      says: ["(7)", "nvidia-smi -L"]
    },
    {
      title: "since the GPU's driver does not work",
      answer: Scripted.refuse(
        500,
        "nvidia-container-cli: initialization error: nvml error: driver not loaded: unknown"
      ),
      input: { gpus: { vendor: "nvidia", devices: ["0"] } },
      tag: "GpuUnavailable",
      says: ["driver does not work"]
    },
    {
      title: "for lack of a device node",
      answer: Scripted.refuse(
        500,
        "error gathering device information while adding custom device \"/dev/kfd\": no such file or directory"
      ),
      input: { devices: [{ host: "/dev/kfd" }] },
      tag: "DeviceUnavailable",
      says: ["the device /dev/kfd", "driver is loaded"]
    },
    {
      title: "for a full disk",
      answer: Scripted.refuse(500, "mkdir /var/lib/docker/x: no space left on device"),
      tag: "OutOfDisk",
      says: [`for container ${name}`, "docker system prune"]
    },
    {
      title: "since its command does not exist",
      answer: Scripted.refuse(400, "exec: \"vlm\": executable file not found in $PATH: unknown"),
      state: { Status: "created", ExitCode: 127, StartedAt: "0001-01-01T00:00:00Z" },
      tag: "ContainerStartFailed",
      says: [name, "some/image:tag", "\"vlm\"", "does not exist in the image"]
    },
    {
      title: "since its command is not executable",
      answer: Scripted.refuse(400, "exec: \"/x\": permission denied: unknown"),
      state: { Status: "created", ExitCode: 126, StartedAt: "0001-01-01T00:00:00Z" },
      tag: "ContainerStartFailed",
      says: ["is not executable"]
    },
    {
      title: "since a group is not known in the image",
      answer: Scripted.refuse(500, "Unable to find group video: no matching entries in group file"),
      tag: "ContainerStartFailed",
      says: ["Unable to find group video"]
    }
  ]

  for (const { answer, input, says, state, tag, title } of cases) {
    it.scoped(`says so and is removed: ${title}`, () =>
      Effect.gen(function*() {
        const server = yield* engine
        server.on(start, answer)
        if (state !== undefined) server.on(inspect, Scripted.json(Scripted.inspected("abc", state)))
        const error = yield* failure(server, input)
        assert.strictEqual(error._tag, tag)
        for (const text of says) assert.include(error.message, text)
        assert.deepStrictEqual(changes(server), [create, start, remove])
      }))
  }

  const portTexts = [
    "driver failed programming external connectivity on endpoint x (0123): Error starting userland proxy: listen tcp4 127.0.0.1:PORT: bind: address already in use",
    "driver failed programming external connectivity on endpoint x (0123): Bind for 127.0.0.1:PORT failed: port is already allocated",
    "failed to set up container networking: failed to bind host port 127.0.0.1:PORT/tcp: address already in use"
  ]

  it.scoped("names the container that has its port", () =>
    Effect.gen(function*() {
      for (const text of portTexts) {
        const server = yield* engine
        server.on(start, Scripted.refuse(500, text.replace("PORT", "8000")))
        server.on(
          "GET /containers/json",
          Scripted.json([
            {
              Id: "abc",
              Names: [`/${name}`],
              State: "created",
              Ports: [{ PrivatePort: 80, PublicPort: 8000, Type: "tcp" }]
            },
            {
              Id: "def",
              Names: ["/old-vllm"],
              State: "running",
              Ports: [{ PrivatePort: 80, PublicPort: 8000, Type: "tcp" }]
            }
          ])
        )
        const error = yield* failure(server, { ports: [{ container: 1, host: 7000 }, { container: 80, host: 8000 }] })
        assert.strictEqual(error._tag, "PortTaken")
        assert.include(error.message, "Port 8000/tcp")
        assert.include(error.message, "by the container old-vllm")
        assert.deepStrictEqual(changes(server), [create, start, remove])
      }
    }))

  it.scoped("names the process that has its port", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const holder = yield* Effect.acquireRelease(
        Effect.promise(() =>
          new Promise<net.Server>((resolve) => {
            const server = net.createServer().listen(0, "127.0.0.1", () => resolve(server))
          })
        ),
        (holder) => Effect.promise(() => new Promise<void>((resolve) => holder.close(() => resolve())))
      )
      const address = holder.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      server.on(start, Scripted.refuse(500, (portTexts[0] ?? "").replace("PORT", String(port))))
      const error = yield* failure(server, { ports: [{ container: 80, host: port }] })
      assert.strictEqual(error._tag, "PortTaken")
      if (process.platform === "linux") assert.include(error.message, `(process ${process.pid})`)
      assert.include(error.message, "choose another port")
    }))

  it.scoped("is not created when its name is taken, and the other is left alone", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const holder = "0123456789abcdef".repeat(4)
      server.on(
        create,
        Scripted.refuse(
          409,
          `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`
        )
      )
      const error = yield* failure(server)
      assert.strictEqual(error._tag, "NameTaken")
      assert.include(error.message, `"${name}" is taken by container 0123456789ab`)
      assert.deepStrictEqual(changes(server), [create])
    }))

  it.scoped("is not created without its image", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(create, Scripted.refuse(404, "No such image: some/image:tag"))
      const error = yield* failure(server)
      assert.strictEqual(error._tag, "ImageNotFound")
      assert.include(error.message, "pull it first")
      assert.deepStrictEqual(changes(server), [create])
    }))

  it.scoped("is not created when a directory that it is to see is not there", () =>
    Effect.gen(function*() {
      const server = yield* engine
      const missing = path.join(server.directory, "missing")
      const error = yield* failure(server, { mounts: [{ _tag: "Bind", source: missing, target: "/models" }] })
      assert.strictEqual(error._tag, "VolumeUnavailable")
      assert.include(error.message, missing)
      assert.deepStrictEqual(changes(server), [])
    }))

  it.scoped("says what Docker thinks is wrong with it", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(create, Scripted.refuse(400, "Minimum memory limit allowed is 6MB"))
      const error = yield* failure(server)
      assert.strictEqual(error._tag, "DockerRequestFailed")
      assert.include(error.message, "(status 400): Minimum memory limit allowed is 6MB.")
    }))
})

describe("GPUs", () => {
  const gpus = { vendor: "nvidia", devices: ["0", "1"] } as const

  const requested = (server: Scripted.ScriptedDocker) =>
    Effect.map(
      server.arrived(create),
      (requests) => requests.map(({ body }) => Object(body["HostConfig"])["DeviceRequests"])
    )

  const podman = Scripted.json({ Version: "5.2.0", ApiVersion: "1.41", Components: [{ Name: "Podman Engine" }] })
  const hook = [{ Driver: "nvidia", DeviceIDs: ["0", "1"], Capabilities: [["gpu"]] }]
  const cdi = [{ Driver: "cdi", DeviceIDs: ["nvidia.com/gpu=0", "nvidia.com/gpu=1"] }]

  it.scoped("are asked for by the vendor's hook", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.provide(run({ gpus }), Scripted.layer(server))
      assert.deepStrictEqual(yield* requested(server), [hook])
    }))

  it.scoped("are asked for by CDI where Docker has no hook and knows CDI", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /info", Scripted.json({ CDISpecDirs: ["/etc/cdi"] }))
      server.on(start, (response, request) => {
        server.on(start, Scripted.empty())
        return Scripted.refuse(500, "could not select device driver \"nvidia\" with capabilities: [[gpu]]")(
          response,
          request
        )
      })
      yield* Effect.provide(run({ gpus }), Scripted.layer(server))
      assert.deepStrictEqual(yield* requested(server), [hook, cdi])
      assert.deepStrictEqual(changes(server), [create, start, remove, create, start])
    }))

  it.scoped("fail with what the hook lacks when CDI does not help either", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /info", Scripted.json({ CDISpecDirs: ["/etc/cdi"] }))
      let starts = 0
      server.on(start, (response, request) =>
        Scripted.refuse(
          500,
          starts++ === 0
            ? "could not select device driver \"nvidia\" with capabilities: [[gpu]]"
            : "CDI device injection failed: unresolvable CDI devices nvidia.com/gpu=0"
        )(response, request))
      const error = yield* failure(server, { gpus })
      assert.include(error.message, "nvidia-container-toolkit")
      assert.deepStrictEqual(changes(server), [create, start, remove, create, start, remove])
    }))

  it.scoped("are asked for by CDI of Podman, which would ignore the hook's form", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /version", podman)
      yield* Effect.provide(run({ gpus }), Scripted.layer(server))
      assert.deepStrictEqual(yield* requested(server), [cdi])
    }))

  it.scoped("are refused where Docker would start the container without them", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /version", podman)
      const hooked = yield* failure(server, { gpus: { ...gpus, method: "hook" } })
      assert.strictEqual(hooked._tag, "GpuUnavailable")
      server.on("GET /version", Scripted.json({ Version: "20.10.24", ApiVersion: "1.41" }))
      const old = yield* failure(server, { gpus: { vendor: "amd", devices: "all" } })
      assert.strictEqual(old._tag, "GpuUnavailable")
      assert.include(old.message, "Docker 20.10.24 does not support the Container Device Interface")
      assert.deepStrictEqual(changes(server), [])
    }))
})

describe("what is left unfinished", () => {
  it.scoped("is found by its label and removed when its creation was never answered", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(create, Scripted.silence)
      let lists = 0
      server.on("GET /containers/json", (response, request) =>
        // It comes to be after the first look.
        Scripted.json(lists++ === 0 ? [] : [{ Id: "abc", Names: [`/${name}`], State: "created" }])(response, request))
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Effect.flip(run()))
        const [request] = yield* server.arrived(create)
        yield* sleepThrough(60_000)
        yield* sleepThrough(1_000)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "DockerTimeout")
        const runId = Object(request?.body["Labels"])[ContainerSpec.Label.runId]
        const [list] = yield* server.arrived("GET /containers/json")
        assert.deepStrictEqual(JSON.parse(list?.query.get("filters") ?? ""), {
          label: [`${ContainerSpec.Label.runId}=${runId}`]
        })
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [create, remove])
    }))

  it.scoped("is found also when the connection was lost over its creation", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(create, Scripted.cutAfter("{\"Id\":"))
      server.on("GET /containers/json", Scripted.json([{ Id: "abc", Names: [`/${name}`], State: "created" }]))
      assert.strictEqual((yield* failure(server))._tag, "DockerUnreachable")
      assert.deepStrictEqual(changes(server), [create, remove])
    }))

  it.scoped("is not looked for when Docker never got to hear of it", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /version", (response, request) => {
        void Effect.runPromise(server.down)
        return Scripted.json({ Version: "28", ApiVersion: "1.50" })(response, request)
      })
      assert.strictEqual((yield* failure(server))._tag, "DockerUnreachable")
    }))

  const settleLimit = 20_000

  it.scoped("is removed when the start is interrupted, once Docker has answered", () =>
    Effect.gen(function*() {
      const server = yield* engine
      let answer: (() => void) | undefined
      server.on(start, (response) => {
        answer = () => response.writeHead(204).end()
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(run())
        const [request] = yield* server.arrived(start)
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* asleepFor(settleLimit)
        // Docker is in the middle of it: a removal now would race with the start.
        assert.strictEqual(request?.closed, false)
        assert.deepStrictEqual(changes(server), [create, start])
        answer?.()
        const exit = yield* Fiber.join(interrupting)
        assert.isTrue(Exit.isInterrupted(exit))
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [create, start, remove])
    }))

  it.scoped("is removed when the start is interrupted twice", () =>
    Effect.gen(function*() {
      const server = yield* engine
      let answer: (() => void) | undefined
      server.on(start, (response) => {
        answer = () => response.writeHead(204).end()
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(run())
        const [request] = yield* server.arrived(start)
        yield* Fiber.interruptFork(fiber)
        yield* asleepFor(settleLimit)
        yield* Fiber.interruptFork(fiber)
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
        assert.strictEqual(request?.closed, false)
        answer?.()
        yield* Fiber.await(fiber)
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [create, start, remove])
    }))

  it.scoped("is removed when the creation is interrupted, once Docker has answered", () =>
    Effect.gen(function*() {
      const server = yield* engine
      let answer: (() => void) | undefined
      server.on(create, (response, request) => {
        answer = () => void Scripted.json({ Id: "abc" }, 201)(response, request)
      })
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(run())
        const [request] = yield* server.arrived(create)
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* asleepFor(settleLimit)
        assert.strictEqual(request?.closed, false)
        answer?.()
        yield* Fiber.join(interrupting)
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [create, remove])
      assert.notInclude(server.seen(), "GET /containers/json")
    }))

  it.scoped("is removed when the start is interrupted and never answered", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(start, Scripted.silence)
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(run())
        yield* server.arrived(start)
        const interrupting = yield* Effect.fork(Fiber.interrupt(fiber))
        yield* sleepThrough(settleLimit)
        yield* Fiber.join(interrupting)
      }).pipe(Effect.provide(Scripted.layer(server)))
      assert.deepStrictEqual(changes(server), [create, start, remove])
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("is given up, and logged, when Docker no longer removes anything", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on(start, Scripted.refuse(500, "some failure"))
      server.on(remove, Scripted.silence)
      yield* Effect.gen(function*() {
        const fiber = yield* Effect.fork(Effect.flip(run()))
        yield* server.arrived(remove)
        yield* asleepFor(60_000)
        yield* TestClock.adjust("90 seconds")
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "ContainerStartFailed")
      }).pipe(Effect.provide(Scripted.layer(server)))
    }))
})

describe("commands in a container", () => {
  const exec = (server: Scripted.ScriptedDocker, options?: { readonly maxOutputBytes: number }) =>
    Effect.flatMap(Docker, (docker) => docker.exec("abc", ["nvidia-smi", "-L"], options)).pipe(
      Effect.provide(Scripted.layer(server))
    )

  const execEngine = Effect.tap(Scripted.make, (server) =>
    Effect.sync(() => {
      server.on("POST /containers/abc/exec", Scripted.json({ Id: "e1" }, 201))
      server.on("POST /exec/e1/start", (response) => {
        response.writeHead(200)
        response.write(Scripted.frame(1, "GPU 0\n"))
        response.write(Scripted.frame(2, "warning\n"))
        response.end(Scripted.frame(1, "GPU 1\n"))
      })
      server.on("GET /exec/e1/json", Scripted.json({ ExitCode: 3, Running: false }))
    }))

  it.scoped("answer with their output and exit code", () =>
    Effect.gen(function*() {
      const server = yield* execEngine
      assert.deepStrictEqual(yield* exec(server), {
        exitCode: 3,
        stdout: "GPU 0\nGPU 1\n",
        stderr: "warning\n",
        truncated: false
      })
    }))

  it.scoped("have their output cut at the limit", () =>
    Effect.gen(function*() {
      const server = yield* execEngine
      assert.deepStrictEqual(yield* exec(server, { maxOutputBytes: 8 }), {
        exitCode: 3,
        stdout: "GPU 0\nGP",
        stderr: "warning\n",
        truncated: true
      })
    }))

  it.scoped("fail in a container that does not run, and in one that is not there", () =>
    Effect.gen(function*() {
      const server = yield* execEngine
      server.on("POST /containers/abc/exec", Scripted.refuse(409, "Container abc is not running"))
      assert.strictEqual((yield* Effect.flip(exec(server)))._tag, "ContainerNotRunning")
      server.on("POST /containers/abc/exec", Scripted.refuse(404, "No such container: abc"))
      assert.strictEqual((yield* Effect.flip(exec(server)))._tag, "ContainerNotFound")
    }))

  it.scoped("fail at their deadline when they do not end", () =>
    Effect.gen(function*() {
      const server = yield* execEngine
      server.on("POST /exec/e1/start", (response) => {
        response.writeHead(200)
        response.write(Scripted.frame(1, "begun"))
      })
      const fiber = yield* Effect.fork(Effect.flip(exec(server)))
      yield* server.arrived("POST /exec/e1/start")
      yield* asleepFor(30_000)
      yield* TestClock.adjust("30 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "DockerTimeout")
      assert.include(error.message, "run nvidia-smi in container abc within 30 s")
      yield* server.until(() => server.connections() === 0)
    }))
})
