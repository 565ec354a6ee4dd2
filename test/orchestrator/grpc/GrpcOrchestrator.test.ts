import * as http2 from "node:http2"
import * as net from "node:net"
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as EmbeddedOrchestrator from "../../../src/embedded/EmbeddedOrchestrator.js"
import * as GrpcError from "../../../src/grpc/GrpcError.js"
import * as GrpcClusterClient from "../../../src/orchestrator/grpc/GrpcClusterClient.js"
import * as GrpcOrchestrator from "../../../src/orchestrator/grpc/GrpcOrchestrator.js"
import type { NodeRegistration } from "../../../src/node/Node.js"
import * as Machines from "../../support/Machines.js"
import * as Peers from "../../support/Peers.js"
import * as Ports from "../../support/Ports.js"

const { fail, Status } = GrpcError

const embedded = EmbeddedOrchestrator.make({ port: 0, httpPort: 0 }).pipe(Logger.withMinimumLogLevel(LogLevel.None))

const cluster = (port: number) =>
  GrpcClusterClient.make({ address: { host: "127.0.0.1", port }, deadline: "5 seconds" })

const client = (port: number, deadline = "5 seconds" as "5 seconds" | "200 millis") =>
  GrpcOrchestrator.make({ address: { host: "127.0.0.1", port }, deadline })

const node = (id = "tester"): NodeRegistration => ({
  id,
  hostname: "host",
  agentAddress: "10.0.0.7:50052",
  report: Machines.report()
})

interface Told {
  readonly _tag: string
  readonly message: string
}

describe("an orchestrator over gRPC", () => {
  it.scopedLive("accepts a node, its heartbeats and its reports, and lists it", () =>
    Effect.gen(function*() {
      const { port } = yield* embedded
      const orchestrator = yield* client(port)
      assert.strictEqual(orchestrator.address, `127.0.0.1:${port}`)
      yield* orchestrator.register(node())
      yield* orchestrator.heartbeat("tester")
      const hot = Machines.machine({ findings: [Machines.finding("gpu.hot")] })
      yield* orchestrator.updateNode("tester", Machines.report(hot))
      const [listed, ...others] = yield* Effect.flatMap(cluster(port), ({ listNodes }) => listNodes)
      assert.deepStrictEqual(others, [])
      assert.deepInclude(listed, { id: "tester", hostname: "host", agentAddress: "10.0.0.7:50052", stale: false })
      assert.deepStrictEqual(listed?.report?.capabilities, hot)
    }))

  it.scopedLive("does not know a node that never registered", () =>
    Effect.gen(function*() {
      const orchestrator = yield* client((yield* embedded).port)
      for (const asked of [orchestrator.heartbeat("ghost"), orchestrator.updateNode("ghost", Machines.report())]) {
        const error = yield* Effect.flip(asked)
        assert.strictEqual(error._tag, "UnknownNode")
        assert.strictEqual(error.message, "the orchestrator does not know node ghost")
      }
    }))

  it.scopedLive("refuses what it does not take, and says why", () =>
    Effect.gen(function*() {
      const orchestrator = yield* client((yield* embedded).port)
      const error = yield* Effect.flip(orchestrator.register(node("")))
      assert.deepInclude(error, { _tag: "OrchestratorRejected", code: "INVALID_ARGUMENT" })
      assert.match(
        error.message,
        /^the orchestrator at 127\.0\.0\.1:\d+ refused to register this node: the node's id is empty/
      )
    }))

  it.scopedLive("reports what is not implemented", () =>
    Effect.gen(function*() {
      const orchestrator = yield* client(yield* Peers.orchestrator())
      const report = Machines.report()
      const asked: Readonly<Record<string, Effect.Effect<unknown, Told>>> = {
        "register this node": orchestrator.register(node()),
        "accept this node's heartbeat": orchestrator.heartbeat("tester"),
        "update this node's hardware": orchestrator.updateNode("tester", report)
      }
      for (const [operation, effect] of Object.entries(asked)) {
        const error = yield* Effect.flip(effect)
        assert.strictEqual(error._tag, "OrchestratorUnimplemented")
        assert.strictEqual(
          error.message,
          `the orchestrator at ${orchestrator.address} does not implement this: it cannot ${operation}`
        )
      }
    }))

  it.scopedLive("distinguishes statuses by what a caller would do about them", () =>
    Effect.gen(function*() {
      const rejections = [
        Status.INVALID_ARGUMENT,
        Status.PERMISSION_DENIED,
        Status.UNAUTHENTICATED,
        Status.ALREADY_EXISTS,
        Status.FAILED_PRECONDITION,
        Status.OUT_OF_RANGE,
        Status.NOT_FOUND
      ]
      const transient = [
        Status.UNAVAILABLE,
        Status.RESOURCE_EXHAUSTED,
        Status.ABORTED,
        Status.INTERNAL,
        Status.UNKNOWN,
        Status.CANCELLED,
        Status.DATA_LOSS
      ]
      let status: GrpcError.Status = Status.OK
      const orchestrator = yield* client(
        yield* Peers.orchestrator({ RegisterNode: () => Effect.suspend(() => Effect.fail(fail(status, "because"))) })
      )
      for (status of rejections) {
        const error = yield* Effect.flip(orchestrator.register(node()))
        assert.deepInclude(error, { _tag: "OrchestratorRejected", code: Status[status], reason: "because" })
      }
      for (status of transient) {
        const error = yield* Effect.flip(orchestrator.register(node()))
        assert.deepInclude(error, {
          _tag: "OrchestratorUnreachable",
          timedOut: false,
          reason: `because (${Status[status]})`
        })
      }
    }))
})

describe("an orchestrator that misbehaves", () => {
  const unreachable = (port: number, deadline?: "200 millis") =>
    Effect.flatMap(
      client(port, deadline),
      (orchestrator) =>
        Effect.flatMap(Effect.flip(orchestrator.heartbeat("tester")), (error) =>
          error._tag === "OrchestratorUnreachable" ? Effect.succeed(error) : Effect.die(error))
    )

  it.scopedLive("and does not run is unreachable at once, and says so", () =>
    Effect.gen(function*() {
      const port = yield* Ports.free
      const error = yield* unreachable(port)
      assert.isFalse(error.timedOut)
      assert.strictEqual(
        error.message,
        `the orchestrator at 127.0.0.1:${port} cannot be reached: connection refused: nothing listens there`
      )
    }))

  it.scopedLive("and says nothing is given up at the deadline", () =>
    Effect.gen(function*() {
      const error = yield* unreachable(yield* Peers.silent, "200 millis")
      assert.isTrue(error.timedOut)
      assert.strictEqual(error.reason, "no answer in time")
    }))

  it.scopedLive("and answers late is given up at the deadline, and works at the next call", () =>
    Effect.gen(function*() {
      let late = true
      const orchestrator = yield* client(
        yield* Peers.orchestrator({
          Heartbeat: () =>
            Effect.suspend(() => late ? Effect.delay(Effect.succeed({}), "10 seconds") : Effect.succeed({}))
        }),
        "200 millis"
      )
      const error = yield* Effect.flip(orchestrator.heartbeat("tester"))
      assert.deepInclude(error, { _tag: "OrchestratorUnreachable", timedOut: true })
      late = false
      yield* orchestrator.heartbeat("tester").pipe(Effect.retry({ times: 3 }))
    }))

  it.scopedLive("and answers what is not gRPC is unreachable", () =>
    Effect.gen(function*() {
      const error = yield* unreachable(yield* Peers.garbage)
      assert.isNotEmpty(error.reason)
    }))

  it.scopedLive("and closes in the middle of a call is unreachable", () =>
    Effect.gen(function*() {
      const error = yield* unreachable(yield* Peers.closing)
      assert.isFalse(error.timedOut)
    }))

  it.scopedLive("and whose name does not resolve is unreachable, by that name", () =>
    Effect.gen(function*() {
      const orchestrator = yield* GrpcOrchestrator.make({ address: { host: "orchestrator.invalid", port: 50_051 } })
      const error = yield* Effect.flip(orchestrator.heartbeat("tester"))
      assert.match(
        error.message,
        /^the orchestrator at orchestrator\.invalid:50051 cannot be reached: the name (does not resolve|cannot be resolved now)/
      )
    }))

  it.scopedLive("is found again at the first call after it came", () =>
    Effect.gen(function*() {
      const port = yield* Ports.free
      const orchestrator = yield* client(port)
      for (let round = 0; round < 3; round++) {
        yield* Effect.flip(orchestrator.heartbeat("tester"))
        yield* Effect.scoped(
          Effect.zipRight(
            Peers.orchestrator({ Heartbeat: () => Effect.succeed({}) }, {}, {}, port),
            orchestrator.heartbeat("tester")
          )
        )
      }
    }))
})

/** Says GOAWAY to everybody, ends the call in a way of its own, and keeps its side of the connection open. */
const goawayServer = Effect.map(
  Effect.acquireRelease(
    Effect.async<http2.Http2Server>((resume) => {
      const server = http2.createServer()
      server.on("session", (session) => session.on("error", () => {}))
      server.on("stream", (stream) => {
        stream.on("error", () => {})
        stream.session?.goaway(http2.constants.NGHTTP2_NO_ERROR)
        stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "13" }, { endStream: true })
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.sync(() => void server.close())
  ),
  (server) => (server.address() as net.AddressInfo).port
)

describe("a connection to an orchestrator", () => {
  it.scopedLive("is dropped with its calls on request, and the next call makes another", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const orchestrator = yield* client(
        yield* Peers.orchestrator({
          Heartbeat: () =>
            Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
            ),
          RegisterNode: () => Effect.succeed({})
        })
      )
      const hanging = yield* Effect.fork(Effect.flip(orchestrator.heartbeat("tester")))
      yield* Deferred.await(asked)
      yield* orchestrator.reconnect
      const error = yield* Fiber.join(hanging)
      assert.strictEqual(error._tag, "OrchestratorUnreachable")
      assert.isFalse(error._tag === "OrchestratorUnreachable" && error.timedOut)
      yield* Deferred.await(interrupted)
      yield* orchestrator.register(node())
    }))

  it.scopedLive("is closed when it failed, whatever the peer calls the failure", () =>
    Effect.gen(function*() {
      const open = new Set<net.Socket>()
      let connections = 0
      const goaway = yield* goawayServer
      // Between the two, to see what the client does with its sockets.
      const port = yield* Peers.tcp((socket) => {
        connections += 1
        open.add(socket)
        socket.on("close", () => open.delete(socket))
        const onward = net.connect(goaway, "127.0.0.1")
        onward.on("error", () => {})
        socket.on("close", () => onward.destroy())
        socket.pipe(onward).pipe(socket, { end: false })
      })
      const orchestrator = yield* client(port)
      for (let round = 0; round < 3; round++) yield* Effect.flip(orchestrator.heartbeat("tester"))
      assert.strictEqual(connections, 3)
      yield* Effect.repeat(Effect.delay(Effect.sync(() => open.size), "10 millis"), { until: (size) => size === 0 })
    }))

  it.scopedLive("cancels the call of a fiber that is interrupted", () =>
    Effect.gen(function*() {
      const asked = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const orchestrator = yield* client(
        yield* Peers.orchestrator({
          Heartbeat: () =>
            Effect.zipRight(Deferred.succeed(asked, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
            )
        })
      )
      const hanging = yield* Effect.fork(orchestrator.heartbeat("tester"))
      yield* Deferred.await(asked)
      yield* Fiber.interrupt(hanging)
      yield* Deferred.await(interrupted)
    }))
})
