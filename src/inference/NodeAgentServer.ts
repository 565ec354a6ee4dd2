/** The `NodeAgent` service that orchestrators dial for inference on this node. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export class NodeAgentServer extends Context.Tag("@orchion/node-agent/NodeAgentServer")<
  NodeAgentServer,
  {
    /** The port that it listens on. */
    readonly port: number
    /**
     * Accepts no more requests, and waits for those in flight: for `--drain-timeout` at most, after which they are
     * cancelled. May be run twice; is run when the layer closes.
     */
    readonly drain: Effect.Effect<void>
  }
>() {}
