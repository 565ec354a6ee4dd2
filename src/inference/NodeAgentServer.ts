/** The `NodeAgent` service that orchestrators dial for inference on this node. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { AgentConfig, type AgentSettings } from "../config/AgentConfig.js"
import * as HostPort from "../config/HostPort.js"
import type { InvalidSetting } from "../config/Setting.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import { NodeAgentService } from "../proto/OrchionV1.js"

/** Why a request for a model cannot be answered here. */
const refusal = (model: string): GrpcError.GrpcError =>
  model === ""
    ? GrpcError.fail(GrpcError.Status.INVALID_ARGUMENT, "the request names no model")
    : GrpcError.fail(
      GrpcError.Status.NOT_FOUND,
      `model ${JSON.stringify(model.slice(0, 200))} is not served by this node: it runs no inference engine`
    )

const service = GrpcServer.serve(NodeAgentService)({
  ChatCompletion: ({ model }) => Stream.fail(refusal(model)),
  Embeddings: ({ model }) => Effect.fail(refusal(model))
})

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
  }
>() {
  static readonly layer: Layer.Layer<NodeAgentServer, InvalidSetting, AgentConfig> = Layer.scoped(
    NodeAgentServer,
    Effect.gen(function*() {
      const config = yield* AgentConfig
      const [first, ...others] = listenHosts(config).map((host) =>
        GrpcServer.make({ host, port: config.agentPort }, [service])
      )
      return yield* others.reduce(
        (attempt, next) => Effect.catchIf(attempt, ({ reason }) => reason !== "in-use", () => next),
        first ?? Effect.dieMessage("no address to listen on")
      ).pipe(
        Effect.mapError((error) => config.refuse("agentPort", error.message, "a free port, or 0 to have one picked"))
      )
    })
  )
}
