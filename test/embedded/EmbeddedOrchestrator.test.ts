import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as EmbeddedOrchestrator from "../../src/embedded/EmbeddedOrchestrator.js"
import * as NodeRegistry from "../../src/embedded/registry/NodeRegistry.js"
import * as RegistryLog from "../../src/embedded/registry/RegistryLog.js"
import { OrchestratorService } from "../../src/proto/OrchionV1.js"
import * as EventSource from "./EventSource.js"
import * as Nodes from "./Nodes.js"
import * as Running from "./Running.js"
import { watched } from "./Watched.js"

/** A port that another program listens on. */
const taken = Effect.map(
  Effect.acquireRelease(
    Effect.async<net.Server>((resume) => {
      const server = net.createServer()
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.async<void>((resume) => void server.close(() => resume(Effect.void)))
  ),
  (server) => (server.address() as net.AddressInfo).port
)

/** Whether something listens on a port of this machine. */
const listens = (port: number): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const socket = net.connect(port, "127.0.0.1")
    socket.on("connect", () => {
      socket.destroy()
      resume(Effect.succeed(true))
    })
    socket.on("error", () => resume(Effect.succeed(false)))
  })

describe("the embedded orchestrator", () => {
  it.scopedLive("distinguishes a taken gRPC port from a taken HTTP port", () =>
    Effect.gen(function*() {
      const port = yield* taken
      const grpc = yield* Effect.flip(EmbeddedOrchestrator.make({ port, httpPort: 0 }))
      assert.strictEqual(grpc._tag, "GrpcBindError")
      assert.strictEqual(grpc.reason, "in-use")
      assert.strictEqual(grpc.message, `port ${port} on 127.0.0.1 is taken by another program`)
      const http = yield* Effect.flip(EmbeddedOrchestrator.make({ port: 0, httpPort: port }))
      assert.strictEqual(http._tag, "HttpBindError")
      assert.strictEqual(http.reason, "in-use")
      assert.strictEqual(http.message, `port ${port} on 127.0.0.1 is taken by another program`)
    }))

  it.scopedLive("names an address that this machine does not have", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(EmbeddedOrchestrator.make({ host: "192.0.2.1", port: 0, httpPort: 0 }))
      assert.strictEqual(error.reason, "no-such-address")
      assert.strictEqual(error.message, "192.0.2.1 is not an address of this machine")
    }))

  it.scopedLive("leaves nothing listening when it cannot start whole", () =>
    Effect.gen(function*() {
      const httpPort = yield* taken
      const free = yield* Effect.scoped(taken)
      yield* Effect.flip(Effect.scoped(EmbeddedOrchestrator.make({ port: free, httpPort })))
      assert.isFalse(yield* listens(free))
    }))

  it.live("gives its ports back with its layer, and can be started on them again", () =>
    Effect.gen(function*() {
      const ports = (port: number, httpPort: number) =>
        Effect.provide(
          Effect.map(EmbeddedOrchestrator.EmbeddedOrchestrator, ({ httpPort, port }) => ({ port, httpPort })),
          EmbeddedOrchestrator.layer({ port, httpPort })
        )
      const first = yield* ports(0, 0)
      assert.isFalse(yield* listens(first.port))
      assert.isFalse(yield* listens(first.httpPort))
      assert.deepStrictEqual(yield* ports(first.port, first.httpPort), first)
    }))

  it.scopedLive("can be reached on this machine only, by default", () =>
    Effect.gen(function*() {
      const { httpPort, port } = yield* Running.start()
      const outside = Effect.async<ReadonlyArray<string>>((resume) => {
        const socket = net.connect(httpPort, "127.0.0.2")
        socket.on("connect", () => {
          socket.destroy()
          resume(Effect.succeed(["connected"]))
        })
        socket.on("error", () => resume(Effect.succeed([])))
      })
      assert.deepStrictEqual(yield* outside, [])
      assert.isTrue(yield* listens(port))
    }))

  it.scopedLive("ends within a second while followers, half-sent requests and idle connections are open", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { httpPort, register } = yield* Scope.extend(Running.start(), scope)
      yield* register(Nodes.node("a"))
      const follower = yield* EventSource.open(httpPort)
      yield* follower.until("ready")
      const half = yield* Effect.acquireRelease(
        Effect.async<net.Socket>((resume) => {
          const socket = net.connect(httpPort, "127.0.0.1", () => {
            socket.write("GET /api/nodes HTTP/1.1\r\nHost: local", () => resume(Effect.succeed(socket)))
          })
          socket.on("error", () => {})
        }),
        (socket) => Effect.sync(() => socket.destroy())
      )
      const [elapsed] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(elapsed), 1000)
      yield* follower.closed
      assert.isFalse(yield* listens(httpPort))
      half.destroy()
    }))

  it.scopedLive("shows a thousand agents' heartbeats to its followers", () =>
    Effect.gen(function*() {
      const { client, httpPort, register, registry } = yield* Running.start()
      const ids = Array.from({ length: 1000 }, (_, index) => `node-${index}`)
      yield* Effect.forEach(ids, (id) => register(Nodes.node(id)), { concurrency: 64, discard: true })
      const followers = yield* Effect.replicateEffect(EventSource.open(httpPort), 3)
      yield* Effect.forEach(followers, ({ until }) => until("ready"))
      yield* Effect.forEach(
        ids,
        (id) => client.unary(OrchestratorService, "Heartbeat", { node_id: id }, { deadline: "10 seconds" }),
        { concurrency: 64, discard: true }
      )
      assert.strictEqual((yield* registry.list).length, 1000)
      for (const { next } of followers) {
        const heard = new Set<string>()
        while (heard.size < 1000) {
          const event = yield* next
          if (event.name === "seen") { for (const [id] of event.data) heard.add(id) }
        }
      }
    }))

  it.live("takes a heartbeat as fast among ten thousand nodes as among a hundred", () =>
    Effect.gen(function*() {
      const perHeartbeat = (nodes: number) =>
        Effect.scoped(Effect.gen(function*() {
          const registry = yield* watched(NodeRegistry.make())
          yield* Effect.forEach(
            Array.from({ length: nodes }, (_, index) => `node-${index}`),
            (id) => registry.register({ id, hostname: id, agentAddress: "" }),
            { discard: true }
          )
          const beats = Effect.forEach(
            Array.from({ length: 20_000 }, (_, index) => `node-${index % nodes}`),
            registry.heartbeat,
            { discard: true }
          )
          yield* beats
          const [elapsed] = yield* Effect.timed(beats)
          return Duration.toMillis(elapsed)
        }))
      const few = yield* perHeartbeat(100)
      const many = yield* perHeartbeat(10_000)
      // A hundred times as many nodes; anything that goes through all of them shows as such.
      assert.isBelow(many, few * 20)
    }))
})

describe("the orchestrator's log", () => {
  it.scoped("has one line for what happens to many nodes at once", () =>
    Effect.gen(function*() {
      const lines = yield* Ref.make<ReadonlyArray<string>>([])
      const logger = Logger.make(({ annotations, logLevel, message }) => {
        assert.isTrue(HashMap.isEmpty(annotations))
        Effect.runSync(Ref.update(lines, (all) => [...all, `${logLevel.label} ${String(message)}`]))
      })
      const take = Ref.getAndSet(lines, [])
      yield* Effect.gen(function*() {
        const registry = yield* watched(NodeRegistry.make())
        const fiber = yield* Effect.forkScoped(RegistryLog.run(registry, "30 seconds"))
        yield* TestClock.adjust("2 seconds")
        const register = (id: string, hostname: string) => registry.register({ id, hostname, agentAddress: "" })
        yield* register("id-1", "box")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* take, ["INFO Node box (id-1) registered"])
        yield* Effect.forEach(["a", "b", "c", "d", "e"], (id) => register(id, "evil\u001b[2Jname"))
        yield* registry.heartbeat("id-1")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* take, [
          "INFO 5 nodes registered: evilname (a), evilname (b), evilname (c) and 2 more"
        ])
        yield* Effect.replicateEffect(Effect.zipRight(registry.heartbeat("id-1"), TestClock.adjust("5 seconds")), 7)
        assert.deepStrictEqual(yield* take, [
          "WARN 5 nodes are stale: no heartbeat for 30s: evilname (a), evilname (b), evilname (c) and 2 more"
        ])
        yield* registry.heartbeat("a")
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* take, ["INFO Node evilname (a) is back"])
        yield* registry.heartbeat("id-1")
        yield* TestClock.adjust("40 seconds")
        yield* take
        yield* TestClock.adjust("11 minutes")
        assert.deepStrictEqual(yield* take, [
          "INFO 4 nodes were dropped: "
          + "evilname (b), evilname (c), evilname (d) and 1 more",
          "INFO Node evilname (a) was dropped",
          "INFO Node box (id-1) was dropped"
        ])
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(Layer.mergeAll(Logger.replace(Logger.defaultLogger, logger))))
    }))
})
