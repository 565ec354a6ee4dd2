/** An embedded orchestrator with nodes that serve engines. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RunningEngine } from "../../src/engine/Engine.js"
import type { EmbeddedOrchestratorOptions } from "../../src/embedded/EmbeddedOrchestrator.js"
import type { Node as WireNode } from "../../src/proto/generated/orchion/v1/Node.js"
import * as Running from "../embedded/Running.js"
import * as Inference from "./Inference.js"

export interface Cluster extends Running.Running {
  readonly nodes: ReadonlyArray<Inference.Node>
  /** Where OpenAI's API is. */
  readonly url: string
}

/** How a node with these engines describes itself. */
export const described = (id: string, port: number, engines: ReadonlyArray<RunningEngine>): WireNode => ({
  id,
  hostname: `host-of-${id}`,
  agent_address: `127.0.0.1:${port}`,
  capabilities: {
    agent_version: "0.1.0",
    engines: engines.map(({ detail, model, models, name, state }) => ({
      name,
      state,
      models: state === "ready" ? [...models] : [model],
      detail
    }))
  }
})

/** A node for each list of engines: `node-0`, `node-1`, … */
export const make = (
  engines: ReadonlyArray<ReadonlyArray<RunningEngine>>,
  options: EmbeddedOrchestratorOptions = {}
): Effect.Effect<Cluster, never, Scope.Scope> =>
  Effect.gen(function*() {
    const running = yield* Running.start(options)
    const nodes = yield* Effect.forEach(engines, (list) => Inference.node(list))
    yield* Effect.forEach(nodes, ({ engines, port }, index) =>
      running.register(described(`node-${index}`, port, engines)), { discard: true })
    return { ...running, nodes, url: `http://127.0.0.1:${running.httpPort}` }
  })
