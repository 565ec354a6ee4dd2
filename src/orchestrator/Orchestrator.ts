/**
 * The port to the orchestrator: what an agent needs of it. Its adapter over gRPC is `grpc/GrpcOrchestrator.ts`; programs that
 * use a cluster use {@link "./ClusterClient.js"}.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { NodeRegistration, NodeReport } from "../node/Node.js"
import type { OrchestratorError, UnknownNode } from "./OrchestratorError.js"

export * from "./OrchestratorError.js"

/** A connection to an orchestrator, made on use: having the service does not mean that anything answers. */
export class Orchestrator extends Context.Tag("@orchion/node-agent/Orchestrator")<
  Orchestrator,
  {
    /** `host:port`. */
    readonly address: string
    /** Adds this node, or replaces the one with its id. */
    readonly register: (node: NodeRegistration) => Effect.Effect<void, OrchestratorError>
    /** `instanceId` is the registration's, so that an orchestrator notices two agents with the same node id. */
    readonly heartbeat: (nodeId: string, instanceId?: string) => Effect.Effect<void, OrchestratorError | UnknownNode>
    /** Replaces what the orchestrator knows of a node's hardware and engines. */
    readonly updateNode: (nodeId: string, report: NodeReport) => Effect.Effect<void, OrchestratorError | UnknownNode>
    /**
     * Drops the connection with every call on it; the next call makes a new one. For connections that are dead without
     * showing it, as after the machine slept.
     */
    readonly reconnect: Effect.Effect<void>
  }
>() {}
