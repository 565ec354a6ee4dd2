/** A small orchestrator for one machine, a laboratory's cluster, and tests. */
import * as os from "node:os"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as HostPort from "../net/HostPort.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import { version } from "../Version.js"
import { Dispatcher } from "./dispatch/Dispatcher.js"
import * as HttpApi from "./http/HttpApi.js"
import * as HttpListener from "../net/HttpListener.js"
import * as Jobs from "./jobs/Jobs.js"
import { NodeRegistry } from "./registry/NodeRegistry.js"
import * as OrchestratorServices from "./OrchestratorServices.js"
import * as RegistryLog from "./registry/RegistryLog.js"

export { GrpcBindError } from "../grpc/GrpcServer.js"
export { HttpBindError } from "../net/HttpListener.js"

/** As the agents take them. */
const maxRequestBytes = 16 * 1024 * 1024

export interface EmbeddedOrchestratorOptions {
  /** Where both servers listen: an address of this machine, `::` for all of them. Default 127.0.0.1. */
  readonly host?: string
  /** Of the gRPC services; 0 picks a free one. Default 50051. */
  readonly port?: number
  /** Of the page and the HTTP API; 0 picks a free one. Default 8080. */
  readonly httpPort?: number
  /** A node is stale when nothing was heard of it for this long. Default 30 s. */
  readonly heartbeatTimeout?: Duration.DurationInput
  /** A node is dropped when it has been stale for this long. Default 10 min. */
  readonly dropAfter?: Duration.DurationInput
}

/** An orchestrator that runs. */
export class EmbeddedOrchestrator extends Context.Tag("@orchion/node-agent/EmbeddedOrchestrator")<
  EmbeddedOrchestrator,
  {
    /** Of the gRPC services. */
    readonly port: number
    /** Of the page and the HTTP API. */
    readonly httpPort: number
    readonly registry: NodeRegistry["Type"]
  }
>() {}

export const make = (
  options: EmbeddedOrchestratorOptions = {}
): Effect.Effect<
  EmbeddedOrchestrator["Type"],
  GrpcServer.GrpcBindError | HttpListener.HttpBindError,
  Scope.Scope
> =>
  Effect.gen(function*() {
    const host = options.host ?? "127.0.0.1"
    const heartbeatTimeout = options.heartbeatTimeout ?? "30 seconds"
    const dropAfter = options.dropAfter ?? "10 minutes"
    const registry = yield* NodeRegistry.make({ heartbeatTimeout, dropAfter })
    const dispatcher = yield* Dispatcher.make(registry)
    const jobs = yield* Jobs.make(dispatcher)
    const services = OrchestratorServices.make({ registry, dispatcher, jobs })
    const grpc = yield* GrpcServer.make(
      { host, port: options.port ?? 50051, maxReceiveBytes: maxRequestBytes },
      services
    )
    const http = yield* HttpListener.make(
      { host, port: options.httpPort ?? 8080 },
      HttpApi.make({
        registry,
        dispatcher,
        names: { bindAddress: host, hostname: os.hostname() },
        hello: () => ({
          version,
          grpc_port: grpc.port,
          loopback: HostPort.isLoopback(host),
          heartbeat_timeout_ms: Duration.toMillis(heartbeatTimeout),
          drop_after_ms: Duration.toMillis(dropAfter)
        })
      })
    )
    yield* Effect.forkScoped(RegistryLog.run(registry, heartbeatTimeout))
    return { port: grpc.port, httpPort: http.port, registry }
  })

/** Both servers stop with the layer; nothing is left listening when one of them cannot. */
export const layer = (
  options?: EmbeddedOrchestratorOptions
): Layer.Layer<EmbeddedOrchestrator, GrpcServer.GrpcBindError | HttpListener.HttpBindError> =>
  Layer.scoped(EmbeddedOrchestrator, make(options))
