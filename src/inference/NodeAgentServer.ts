/** The `NodeAgent` service that orchestrators dial for inference on this node. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { InvalidSetting } from "../config/Setting.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import { NodeAgentService } from "../proto/OrchionV1.js"
import * as Health from "../grpc/Health.js"
import { InferenceSettings } from "./InferenceSettings.js"
import { InferenceRouter } from "./InferenceRouter.js"
import * as Requests from "./Requests.js"

/** The largest request: a prompt of some million tokens. */
const maxRequestBytes = 16 * 1024 * 1024

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
  static readonly layer: Layer.Layer<NodeAgentServer, InvalidSetting, InferenceRouter | InferenceSettings> = Layer
    .scoped(
      NodeAgentServer,
      Effect.gen(function*() {
        const config = yield* InferenceSettings
        const router = yield* InferenceRouter
        const requests = yield* Requests.make
        const health = yield* Health.make([NodeAgentService.name])
        const service = GrpcServer.serve(NodeAgentService)({
          ChatCompletion: { relay: (request, outlet) => requests.run(router.chat(request, outlet)) },
          Embeddings: (request) => requests.run(router.embeddings(request))
        })
        const listen = (host: string, port: number) =>
          GrpcServer.make({ host, port, maxReceiveBytes: maxRequestBytes }, [service, health.service])
        /** On machines without IPv6, the other's. */
        const orElse = <R1, R2>(
          listening: Effect.Effect<GrpcServer.GrpcServer, GrpcServer.GrpcBindError, R1>,
          other: Effect.Effect<GrpcServer.GrpcServer, GrpcServer.GrpcBindError, R2>
        ) => Effect.catchIf(listening, ({ reason }) => reason !== "in-use", () => other)
        const { port } = yield* (config.isLocal
          // `localhost` is either.
          ? Effect.tap(
            listen("127.0.0.1", config.agentPort),
            (first) => orElse(listen("::1", first.port), Effect.succeed(first))
          )
          : orElse(listen("::", config.agentPort), listen("0.0.0.0", config.agentPort))).pipe(
            Effect.mapError((error) =>
              config.refuse("agentPort", error.message, "a free port, or 0 to have one picked", {
                mayPass: error.reason === "in-use" || error.reason === "other"
              })
            )
          )
        const drain = Effect.zipRight(health.setServing(false), requests.drain(config.drainTimeout))
        // Before the server closes, which ends what still runs.
        yield* Effect.addFinalizer(() => drain)
        return { port, drain }
      })
    )
}
