/** The machine that an engine is planned for, as far as it matters for containers. */
import * as fs from "node:fs/promises"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Capabilities } from "../capabilities/Capabilities.js"
import { gpusAreKnown } from "../node/Findings.js"
import type { NodeCapabilities } from "../node/NodeCapabilities.js"

export interface MachineFacts {
  readonly nodeId: string
  readonly capabilities: NodeCapabilities
  /** The agent's environment, parts of which are passed on. */
  readonly env: Readonly<Record<string, string | undefined>>
  /**
   * Numeric groups of the device nodes by which GPUs are used (`/dev/kfd`, `/dev/dri/*`), whose members may use them.
   * Group names would be looked up in the image, which rarely has them.
   */
  readonly deviceGroups: ReadonlyArray<number>
  /** Why the GPUs are not known yet, in a few words; absent once they are. */
  readonly gpusPending?: string
}

const groupsOf = async (): Promise<ReadonlyArray<number>> => {
  const names = await fs.readdir("/dev/dri").catch(() => [])
  const nodes = [
    "/dev/kfd",
    ...names.filter((name) => /^(card|renderD)\d+$/.test(name)).map((name) => `/dev/dri/${name}`)
  ]
  const groups = new Set<number>()
  for (const node of nodes) {
    const found = await fs.stat(node).catch(() => undefined)
    // Those of root are no groups to be in.
    if (found !== undefined && found.gid !== 0) groups.add(found.gid)
  }
  return [...groups].sort((a, b) => a - b)
}

const pendingReason = ({ findings }: NodeCapabilities): string =>
  findings.find(({ code }) => code === "gpu.unknown")?.message ?? "detection is still running"

/** Looks at this machine, waiting for its slow probes. */
export class Machine extends Context.Tag("@orchion/node-agent/Machine")<
  Machine,
  { readonly look: (nodeId: string) => Effect.Effect<MachineFacts> }
>() {
  static readonly layer: Layer.Layer<Machine, never, Capabilities> = Layer.effect(
    Machine,
    Effect.map(Capabilities, ({ readAll }) => ({
      look: (nodeId) =>
        Effect.map(
          Effect.all([readAll, Effect.promise(groupsOf)]),
          ([capabilities, deviceGroups]) => ({
            nodeId,
            capabilities,
            deviceGroups,
            env: process.env,
            ...(gpusAreKnown(capabilities) ? {} : { gpusPending: pendingReason(capabilities) })
          })
        )
    }))
  )
}
