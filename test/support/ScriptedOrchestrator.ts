/** An orchestrator in memory: it answers as the test says, and remembers what it was asked and when. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { NodeRegistration, NodeReport } from "../../src/node/Node.js"
import {
  Orchestrator,
  type OrchestratorError,
  OrchestratorRejected,
  OrchestratorUnimplemented,
  OrchestratorUnreachable,
  UnknownNode
} from "../../src/orchestrator/Orchestrator.js"

export const address = "orchestrator.test:50051"

export const unreachable = new OrchestratorUnreachable({ address, reason: "connection refused", timedOut: false })

export const rejected = new OrchestratorRejected({
  address,
  operation: "register this node",
  code: "PERMISSION_DENIED",
  reason: "not in this cluster"
})

export const unimplemented = (operation: string) => new OrchestratorUnimplemented({ address, operation })

export const unknownNode = new UnknownNode({ nodeId: "tester" })

export type Method = "register" | "heartbeat" | "updateNode" | "reconnect"

export interface Call {
  readonly method: Method
  /** Milliseconds since 1970. */
  readonly at: number
  readonly registration?: NodeRegistration
  readonly report?: NodeReport
}

export interface ScriptedOrchestrator {
  readonly calls: Array<Call>
  /** When a method was called. */
  readonly times: (method: Method) => ReadonlyArray<number>
  /** How the methods answer from now on. */
  register: Effect.Effect<void, OrchestratorError>
  heartbeat: Effect.Effect<void, OrchestratorError | UnknownNode>
  updateNode: Effect.Effect<void, OrchestratorError | UnknownNode>
  readonly layer: Layer.Layer<Orchestrator>
}

export const make = (): ScriptedOrchestrator => {
  const took = (call: Omit<Call, "at">) =>
    Effect.map(Clock.currentTimeMillis, (at) => void script.calls.push({ ...call, at }))
  const script: ScriptedOrchestrator = {
    calls: [],
    times: (method) => script.calls.filter((call) => call.method === method).map(({ at }) => at),
    register: Effect.void,
    heartbeat: Effect.void,
    updateNode: Effect.void,
    layer: Layer.succeed(Orchestrator, {
      address,
      reconnect: took({ method: "reconnect" }),
      register: (registration) =>
        Effect.zipRight(took({ method: "register", registration }), Effect.suspend(() => script.register)),
      heartbeat: () => Effect.zipRight(took({ method: "heartbeat" }), Effect.suspend(() => script.heartbeat)),
      updateNode: (_, report) =>
        Effect.zipRight(took({ method: "updateNode", report }), Effect.suspend(() => script.updateNode))
    })
  }
  return script
}
