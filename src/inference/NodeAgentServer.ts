/** The `NodeAgent` service that orchestrators dial for inference on this node. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"

export class NodeAgentServer extends Context.Tag("@orchion/node-agent/NodeAgentServer")<
  NodeAgentServer,
  {
    /** The port that it listens on. */
    readonly port: number
    /**
     * Stops accepting requests and waits up to `--drain-timeout` for those in flight, then cancels them. Idempotent;
     * runs when the layer closes.
     */
    readonly drain: Effect.Effect<void>
  }
>() {}
