/** A small orchestrator for one machine, a lab's cluster, and tests. */
import * as os from "node:os"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Daemon from "../effect/Daemon.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import * as Health from "../grpc/Health.js"
import * as Reflection from "../grpc/Reflection.js"
import * as HostPort from "../net/HostPort.js"
import * as LocalAddress from "../net/LocalAddress.js"
import * as HttpListener from "../net/HttpListener.js"
import { version } from "../Version.js"
import * as Dispatcher from "./dispatch/Dispatcher.js"
import type { Authenticate } from "./http/Authenticate.js"
import * as HttpApi from "./http/HttpApi.js"
import { maxBodyBytes } from "./http/RequestBody.js"
import * as Jobs from "./jobs/Jobs.js"
import * as OrchestratorServices from "./OrchestratorServices.js"
import * as NodeRegistry from "./registry/NodeRegistry.js"
import * as RegistryLog from "./registry/RegistryLog.js"

export { GrpcBindError } from "../grpc/GrpcServer.js"
export { type Handler, HttpBindError, type NodeListener } from "../net/HttpListener.js"
export { type Authenticate, Unauthenticated } from "./http/Authenticate.js"
export type { CapabilitiesJson, NodeJson } from "./registry/NodeJson.js"
export type {
  NodeDescription,
  NodeRegistry,
  RegistryChanges,
  RegistryFull,
  Subscription
} from "./registry/NodeRegistry.js"

export interface EmbeddedOrchestratorOptions {
  /** Where both servers listen: an address of this machine, `::` for all of them. Default 127.0.0.1. */
  readonly host?: string
  /** Port of the gRPC services; 0 picks a free one. Default 50051. */
  readonly port?: number
  /** Port of the page and the HTTP API; 0 picks a free one. `"none"`: only {@link httpListener} serves them. Default 8080. */
  readonly httpPort?: number | "none"
  /** A node is stale when nothing was heard of it for this long. Default 30 s. */
  readonly heartbeatTimeout?: Duration.DurationInput
  /** A node is dropped when it has been stale for this long. Default 10 min. */
  readonly dropAfter?: Duration.DurationInput
  /** The URL under which a proxy or a domain name leads to the HTTP API: `https://llm.example.com`. */
  readonly publicUrl?: string | undefined
  /** Origins of pages, apps and extensions that may use the HTTP API: `http://localhost:3000`, `app://obsidian.md`. */
  readonly allowOrigins?: ReadonlyArray<string> | undefined
  /** Decides who may use the HTTP API. Default: everyone who can reach it. Does not apply to the gRPC services. */
  readonly authenticate?: Authenticate | undefined
  /** How often a comment says that nothing of a streamed chat has come yet. Default 15 s. */
  readonly comments?: Duration.DurationInput | undefined
}

/** A running orchestrator. */
export class EmbeddedOrchestrator extends Context.Tag("@orchion/node-agent/EmbeddedOrchestrator")<
  EmbeddedOrchestrator,
  {
    /** Port of the gRPC services. */
    readonly port: number
    /** Port of the page and the HTTP API; 0 when it does not listen. */
    readonly httpPort: number
    readonly registry: NodeRegistry.NodeRegistry
    /**
     * The page and the HTTP API for your own server, mounted at its root: `http.createServer(httpListener)`. Ends
     * with the orchestrator.
     */
    readonly httpListener: HttpListener.NodeListener
    /** Never succeeds; dies with the defect of a loop that died. */
    readonly join: Effect.Effect<never>
  }
>() {}

const warnWhenOpen = (host: string, authenticate: Authenticate | undefined) =>
  HostPort.isLoopback(host) ? Effect.void : Effect.logWarning(
    `Listening on ${host}: everybody who reaches this machine can register nodes${
      authenticate === undefined ? ", read what the cluster is doing and use its models" : ""
    }. Restrict the ports with a firewall, or bind to 127.0.0.1`
  )

/** Where agents on other machines find an orchestrator that listens on `host`. */
const reachableHost = (host: string): { readonly reachable_host?: string } => {
  const reachable = HostPort.isLoopback(host)
    ? undefined
    : host === "0.0.0.0" || host === "::"
    ? LocalAddress.external()
    : host
  return reachable === undefined ? {} : { reachable_host: reachable }
}

export const make = (
  options: EmbeddedOrchestratorOptions = {}
): Effect.Effect<
  EmbeddedOrchestrator["Type"],
  GrpcServer.GrpcBindError | HttpListener.HttpBindError,
  Scope.Scope
> => Effect.flatMap(Layer.build(Daemon.Daemons.layer), (daemons) => Effect.provide(makeWithDaemons(options), daemons))

const makeWithDaemons = (options: EmbeddedOrchestratorOptions) =>
  Effect.gen(function*() {
    const host = options.host ?? "127.0.0.1"
    const heartbeatTimeout = options.heartbeatTimeout ?? "30 seconds"
    const dropAfter = options.dropAfter ?? "10 minutes"
    const { httpPort = 8080 } = options
    const registry = yield* NodeRegistry.make({ heartbeatTimeout, dropAfter })
    const dispatcher = yield* Dispatcher.make(registry)
    const jobs = yield* Jobs.make(dispatcher)
    const ports: Array<number> = []
    const services = OrchestratorServices.make({ registry, dispatcher, jobs, ownPorts: () => ports })
    const names = services.map(({ service }) => service.name)
    const health = yield* Health.make(names)
    const grpc = yield* GrpcServer.make(
      {
        host,
        port: options.port ?? 50051,
        maxReceiveBytes: maxBodyBytes,
        // A connection per node, and many of them behind one address.
        maxConnections: 20_000,
        maxConnectionsPerPeer: 10_000
      },
      [...services, health.service, Reflection.make([...names, health.service.service.name])]
    )
    const handler = yield* HttpApi.make({
      registry,
      dispatcher,
      names: {
        bindAddress: host,
        hostname: os.hostname(),
        publicUrl: options.publicUrl,
        allowOrigins: options.allowOrigins
      },
      authenticate: options.authenticate,
      comments: options.comments,
      hello: () => ({
        version,
        grpc_port: grpc.port,
        loopback: HostPort.isLoopback(host),
        ...reachableHost(host),
        heartbeat_timeout_ms: Duration.toMillis(heartbeatTimeout),
        drop_after_ms: Duration.toMillis(dropAfter)
      })
    })
    const http = httpPort === "none" ? { port: 0 } : yield* HttpListener.make({ host, port: httpPort }, handler)
    ports.push(grpc.port, http.port)
    yield* warnWhenOpen(host, options.authenticate)
    yield* Daemon.start("registry log", RegistryLog.run(registry, heartbeatTimeout))
    const { join } = yield* Daemon.Daemons
    return {
      port: grpc.port,
      httpPort: http.port,
      registry,
      httpListener: yield* HttpListener.listener(handler),
      join
    }
  })

/** Both servers stop with the layer; nothing is left listening when one of them cannot. */
export const layer = (
  options?: EmbeddedOrchestratorOptions
): Layer.Layer<EmbeddedOrchestrator, GrpcServer.GrpcBindError | HttpListener.HttpBindError> =>
  Layer.scoped(EmbeddedOrchestrator, make(options))
