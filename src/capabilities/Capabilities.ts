/** The port to what this machine is. */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type { NodeCapabilities } from "../node/NodeCapabilities.js"

/**
 * Detects what the machine is.
 *
 * Nothing here fails: a fact that cannot be read is absent, with a finding that says why. While it is not known which
 * GPUs there are, the finding `gpu.unknown` says so (`gpusAreKnown` asks for it); an empty list without it means none.
 */
export class Capabilities extends Context.Tag("@orchion/node-agent/Capabilities")<
  Capabilities,
  {
    /**
     * What is known now, with what the kernel answers at once (memory, limits). Starts no probe and no process, and waits
     * for none: for a first report that is to leave before detection begins.
     */
    readonly current: Effect.Effect<NodeCapabilities>
    /** Starts the probes that are due, and returns `current`; their results are in a later one. */
    readonly read: Effect.Effect<NodeCapabilities>
    /**
     * Starts the probes that are due, waits until they have ended or `limit` has passed, and answers with `current`.
     * Where nothing is due it costs no more than `read`. A probe that takes longer continues in the background.
     */
    readonly readWithin: (limit: Duration.DurationInput) => Effect.Effect<NodeCapabilities>
    /** `readWithin` the deadline of a probe: 5 s by default; a Mac's list of GPUs is given four times that. */
    readonly readAll: Effect.Effect<NodeCapabilities>
    /** Makes every probe due, those of facts that never change while a machine is up included: for after a sleep. */
    readonly forget: Effect.Effect<void>
  }
>() {}
