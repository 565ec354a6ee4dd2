/** Nodes that register, become stale, stop, come back and are dropped, in the log: one line per kind and second. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as GoDuration from "../../text/GoDuration.js"
import { printable } from "../../text/Printable.js"
import type { NodeJson } from "./NodeJson.js"
import type { NodeRegistry } from "./NodeRegistry.js"

/** Nodes that are named on one line. */
const maxNamed = 3

const nameOf = ({ hostname, id }: Pick<NodeJson, "hostname" | "id">) =>
  printable(hostname === "" || hostname === id ? id : `${hostname} (${id})`)

const line = (names: ReadonlyArray<string>, one: string, many: string) =>
  names.length === 1
    ? `Node ${names[0]} ${one}`
    : `${names.length} nodes ${many}: ${names.slice(0, maxNamed).join(", ")}${
      names.length > maxNamed ? ` and ${names.length - maxNamed} more` : ""
    }`

/** Follows the registry until it is interrupted. */
export const run = (
  registry: NodeRegistry,
  heartbeatTimeout: Duration.DurationInput
): Effect.Effect<never> =>
  Effect.gen(function*() {
    const { next } = yield* registry.subscribe
    const silence = GoDuration.format(Duration.decode(heartbeatTimeout))
    const known = new Map<string, { readonly name: string; readonly stale: boolean }>()

    while (true) {
      const { nodes, removed, reset } = yield* next
      const listed = new Set(nodes.map(({ id }) => id))
      const gone = reset ? [...known.keys()].filter((id) => !listed.has(id)) : removed
      const dropped = gone.flatMap((id) => known.get(id)?.name ?? [])
      for (const id of gone) known.delete(id)

      const registered: Array<string> = []
      const stale: Array<string> = []
      const stopped: Array<string> = []
      const returned: Array<string> = []
      for (const node of nodes) {
        const before = known.get(node.id)
        const name = nameOf(node)
        known.set(node.id, { name, stale: node.stale })
        if (before === undefined) registered.push(name)
        else if (before.stale !== node.stale) {
          ;(node.stopped === true ? stopped : node.stale ? stale : returned).push(name)
        }
      }

      if (registered.length > 0) yield* Effect.logInfo(line(registered, "registered", "registered"))
      if (returned.length > 0) yield* Effect.logInfo(line(returned, "is back", "are back"))
      if (stopped.length > 0) yield* Effect.logInfo(line(stopped, "stopped", "stopped"))
      if (stale.length > 0) {
        yield* Effect.logWarning(
          line(stale, `is stale: no heartbeat for ${silence}`, `are stale: no heartbeat for ${silence}`)
        )
      }
      if (dropped.length > 0) yield* Effect.logInfo(line(dropped, "was dropped", "were dropped"))
      yield* Effect.sleep("1 second")
    }
  })
