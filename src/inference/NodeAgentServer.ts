/** The `NodeAgent` service that orchestrators dial for inference on this node. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { AgentConfig, type AgentSettings } from "../config/AgentConfig.js"
import * as HostPort from "../config/HostPort.js"
import type { InvalidSetting } from "../config/Setting.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import { NodeAgentService } from "../proto/OrchionV1.js"
import * as Health from "./Health.js"
import { InferenceRouter } from "./InferenceRouter.js"
import * as Requests from "./Requests.js"

/** The largest request: a prompt of some million tokens. */
const maxRequestBytes = 16 * 1024 * 1024

/**
 * Only this machine's own orchestrator needs to reach the service when the orchestrator is here and nothing else was
 * advertised.
 */
const listenHosts = (config: AgentSettings): ReadonlyArray<string> =>
  HostPort.isLoopback(config.orchestrator.host) && Option.isNone(config.advertiseAddress)
    ? ["127.0.0.1"]
    // The second is for machines without IPv6.
    : ["::", "0.0.0.0"]

export class NodeAgentServer extends Context.Tag("@orchion/node-agent/NodeAgentServer")<
  NodeAgentServer,
  {
    /** The port that it listens on. */
    readonly port: number
    /**
     * Takes no more requests, and waits for those that run: for `--drain-timeout` at most, after which they are ended.
     * May be run twice; is run when the layer closes.
     */
    readonly drain: Effect.Effect<void>
  }
>() {
  static readonly layer: Layer.Layer<NodeAgentServer, InvalidSetting, AgentConfig | InferenceRouter> = Layer.scoped(
    NodeAgentServer,
    Effect.gen(function*() {
      const config = yield* AgentConfig
      const router = yield* InferenceRouter
      const requests = yield* Requests.make
      const health = yield* Health.make([NodeAgentService.name])
      const service = GrpcServer.serve(NodeAgentService)({
        ChatCompletion: { relay: (request, outlet) => requests.run(router.chat(request, outlet)) },
        Embeddings: (request) => requests.run(router.embeddings(request))
      })
      const [first, ...others] = listenHosts(config).map((host) =>
        GrpcServer.make({ host, port: config.agentPort, maxReceiveBytes: maxRequestBytes }, [service, health.service])
      )
      const { port } = yield* others.reduce(
        (attempt, next) => Effect.catchIf(attempt, ({ reason }) => reason !== "in-use", () => next),
        first ?? Effect.dieMessage("no address to listen on")
      ).pipe(
        Effect.mapError((error) => config.refuse("agentPort", error.message, "a free port, or 0 to have one picked"))
      )
      const drain = Effect.zipRight(health.setServing(false), requests.drain(config.drainTimeout))
      // Before the server closes, which ends what still runs.
      yield* Effect.addFinalizer(() => drain)
      return { port, drain }
    })
  )
}
