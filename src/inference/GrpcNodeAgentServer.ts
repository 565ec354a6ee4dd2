/** The `NodeAgent` service over gRPC, with the health service that load balancers ask. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { InvalidSetting } from "../config/Setting.js"
import * as GrpcServer from "../grpc/GrpcServer.js"
import * as Health from "../grpc/Health.js"
import * as Reflection from "../grpc/Reflection.js"
import { NodeAgentService } from "../proto/OrchionV1.js"
import { InferenceRouter } from "./InferenceRouter.js"
import { InferenceSettings } from "./InferenceSettings.js"
import { NodeAgentServer } from "./NodeAgentServer.js"
import { RequestGate } from "./RequestGate.js"

/** The largest request: a prompt of some million tokens. */
const maxRequestBytes = 16 * 1024 * 1024

/** Listens on both loopback addresses, or on all addresses; without IPv6, on IPv4 only. */
const listen = (
  services: ReadonlyArray<GrpcServer.ServedService<never>>,
  { agentPort, isLocal }: InferenceSettings["Type"]
) => {
  const at = (host: string, port: number) => GrpcServer.make({ host, port, maxReceiveBytes: maxRequestBytes }, services)
  const orElse = <R1, R2>(
    listening: Effect.Effect<GrpcServer.GrpcServer, GrpcServer.GrpcBindError, R1>,
    other: Effect.Effect<GrpcServer.GrpcServer, GrpcServer.GrpcBindError, R2>
  ) => Effect.catchIf(listening, ({ reason }) => reason !== "in-use", () => other)
  return isLocal
    // `localhost` is either.
    ? Effect.tap(at("127.0.0.1", agentPort), (first) => orElse(at("::1", first.port), Effect.succeed(first)))
    : orElse(at("::", agentPort), at("0.0.0.0", agentPort))
}

export const make: Effect.Effect<
  NodeAgentServer["Type"],
  InvalidSetting,
  InferenceRouter | InferenceSettings | RequestGate | Scope.Scope
> = Effect.gen(function*() {
  const settings = yield* InferenceSettings
  const router = yield* InferenceRouter
  const gate = yield* RequestGate
  const health = yield* Health.make([NodeAgentService.name])
  const service = GrpcServer.serve(NodeAgentService)({
    ChatCompletion: { relay: (request, outlet) => gate.admit(router.chat(request, outlet)) },
    Embeddings: (request) => gate.admit(router.embeddings(request))
  })
  const { port } = yield* Effect.mapError(
    listen([service, health.service, Reflection.make([NodeAgentService.name, health.service.service.name])], settings),
    (error) =>
      settings.refuse("agentPort", error.message, "a free port, or 0 to have one picked", {
        isTransient: error.reason === "in-use" || error.reason === "other"
      })
  )
  const drain = Effect.zipRight(health.setServing(false), gate.drain(settings.drainTimeout))
  // Before the server closes, which cancels in-flight requests.
  yield* Effect.addFinalizer(() => drain)
  return { port, drain }
})

export const layer: Layer.Layer<
  NodeAgentServer,
  InvalidSetting,
  InferenceRouter | InferenceSettings | RequestGate
> = Layer.scoped(NodeAgentServer, make)
