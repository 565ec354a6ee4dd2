/** Peers that speak gRPC, or do not, on a port of this machine. */
import * as net from "node:net"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import * as GrpcServer from "../../src/grpc/GrpcServer.js"
import { LogStreamerService, OrchestratorService, OrchionLLMService } from "../../src/proto/OrchionV1.js"

/** A TCP server that does this with each connection. */
export const tcp = (onConnection: (socket: net.Socket) => void): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly server: net.Server; readonly sockets: Set<net.Socket> }>((resume) => {
        const sockets = new Set<net.Socket>()
        const server = net.createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => sockets.delete(socket))
          onConnection(socket)
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, sockets })))
      }),
      ({ server, sockets }) =>
        Effect.async<void>((resume) => {
          for (const socket of sockets) socket.destroy()
          server.close(() => resume(Effect.void))
        })
    ),
    ({ server }) => (server.address() as net.AddressInfo).port
  )

/** Takes every connection and never says a word. */
export const silent = tcp((socket) => void socket.resume())

/** Answers with what is not HTTP/2. */
export const garbage = tcp((socket) => {
  socket.on("data", () => socket.write("HTTP/1.1 418 I'm a teapot\r\n\r\n".repeat(20)))
})

/** Closes every connection as soon as something arrives. */
export const closing = tcp((socket) => {
  socket.once("data", () => socket.destroy())
})

export type Handlers = GrpcServer.Handlers<
  NonNullable<(typeof OrchestratorService)["_types"]>["handlers"]
>
export type InferenceHandlers = GrpcServer.Handlers<NonNullable<(typeof OrchionLLMService)["_types"]>["handlers"]>
export type LogHandlers = GrpcServer.Handlers<NonNullable<(typeof LogStreamerService)["_types"]>["handlers"]>

const unimplemented = Effect.fail(GrpcError.fail(GrpcError.Status.UNIMPLEMENTED, "not here"))

/** An orchestrator with these handlers; the rest is UNIMPLEMENTED. */
export const orchestrator = (
  handlers: Partial<Handlers> = {},
  inference: Partial<InferenceHandlers> = {},
  logs: Partial<LogHandlers> = {},
  port = 0,
  closeGrace: Duration.DurationInput = "500 millis"
): Effect.Effect<number, never, Scope.Scope> =>
  GrpcServer.make({ host: "127.0.0.1", port, closeGrace }, [
    GrpcServer.serve(OrchestratorService)({
      RegisterNode: () => unimplemented,
      UpdateNode: () => unimplemented,
      Heartbeat: () => unimplemented,
      ListNodes: () => unimplemented,
      SubmitJob: () => unimplemented,
      GetJobStatus: () => unimplemented,
      ...handlers
    }),
    GrpcServer.serve(OrchionLLMService)({
      ChatCompletion: () => Stream.fromEffect(unimplemented),
      Embeddings: () => unimplemented,
      ...inference
    }),
    GrpcServer.serve(LogStreamerService)({ StreamLogs: () => Stream.fromEffect(unimplemented), ...logs })
  ]).pipe(Effect.map(({ port }) => port), Effect.orDie)
