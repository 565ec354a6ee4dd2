/** The port through which the agent learns what the machine is. */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { NodeCapabilities } from "../node/NodeCapabilities.js"

/**
 * Detects what the machine is.
 *
 * Nothing here fails: a fact that cannot be read is absent, with a finding that says why.
 */
export class Capabilities extends Context.Tag("@orchion/node-agent/Capabilities")<
  Capabilities,
  {
    /**
     * Reads what changes (memory, GPUs, disks) and answers with everything known so far. It never waits for a slow
     * probe: those run in the background and their facts are in a later answer.
     */
    readonly read: Effect.Effect<NodeCapabilities>
    /**
     * Like `read`, but waits for the slow probes that are due too, each bounded by its own deadline (5 s by default; a
     * Mac's list of GPUs has four times that). Where nothing is due it costs no more than `read`.
     */
    readonly readAll: Effect.Effect<NodeCapabilities>
    /** Detects what never changes while a machine is up again too: for after a sleep or a change of boot id. */
    readonly forget: Effect.Effect<void>
  }
>() {}
