/** The agent's port to the orchestrator over gRPC: `orchion.v1` as every orchestrator in the field speaks it. */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { OrchestratorService } from "../../proto/OrchionV1.js"
import { Orchestrator } from "../Orchestrator.js"
import * as Connection from "./Connection.js"
import { toError, toNodeError } from "./StatusError.js"
import * as Wire from "./Wire.js"

export interface GrpcOrchestratorOptions extends Connection.ConnectionOptions {
  /** For every request. Default 5 s. */
  readonly deadline?: Duration.DurationInput
}

export const make = (
  options: GrpcOrchestratorOptions
): Effect.Effect<Orchestrator["Type"], never, Scope.Scope> =>
  Effect.map(Connection.make(options), ({ address, drop, request }) => {
    const unary = { deadline: options.deadline ?? "5 seconds", idempotent: true }
    return Orchestrator.of({
      address,
      reconnect: drop,
      register: Effect.fn("Orchestrator.register")(function*(node) {
        const nowUnix = Math.floor((yield* Clock.currentTimeMillis) / 1000)
        yield* request((client) =>
          client.unary(OrchestratorService, "RegisterNode", { node: Wire.toNode(node, nowUnix) }, unary)
        ).pipe(Effect.mapError(toError(address, "register this node")))
      }),
      heartbeat: Effect.fn("Orchestrator.heartbeat")(function*(nodeId, instanceId) {
        const beat = { node_id: nodeId, ...(instanceId === undefined ? {} : { instance_id: instanceId }) }
        yield* request((client) => client.unary(OrchestratorService, "Heartbeat", beat, unary)).pipe(
          Effect.mapError(toNodeError(address, "accept this node's heartbeat", nodeId))
        )
      }),
      updateNode: Effect.fn("Orchestrator.updateNode")(function*(nodeId, report) {
        const update = Wire.toUpdate(nodeId, report)
        yield* request((client) => client.unary(OrchestratorService, "UpdateNode", update, unary)).pipe(
          Effect.mapError(toNodeError(address, "update this node's hardware", nodeId))
        )
      })
    })
  })

/** The connection is closed with the layer, its calls cancelled. */
export const layer = (options: GrpcOrchestratorOptions): Layer.Layer<Orchestrator> =>
  Layer.scoped(Orchestrator, make(options))
