/** Who came, went silent, came back and was dropped, as lines of the log: one per kind and second, however many nodes. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as GoDuration from "../../text/GoDuration.js"
import { printable } from "../../text/Printable.js"
import type { NodeJson } from "./NodeJson.js"
import type { NodeRegistry } from "./NodeRegistry.js"

/** Of the nodes of one line, so many are named. */
const named = 3

const nameOf = ({ hostname, id }: Pick<NodeJson, "hostname" | "id">) =>
  printable(hostname === "" || hostname === id ? id : `${hostname} (${id})`)

const line = (names: ReadonlyArray<string>, one: string, many: string) =>
  names.length === 1
    ? `Node ${names[0]} ${one}`
    : `${names.length} nodes ${many}: ${names.slice(0, named).join(", ")}${
      names.length > named ? ` and ${names.length - named} more` : ""
    }`

/** Follows the registry until it is interrupted. */
export const run = (
  registry: NodeRegistry["Type"],
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
      const silent: Array<string> = []
      const returned: Array<string> = []
      for (const node of nodes) {
        const before = known.get(node.id)
        const name = nameOf(node)
        known.set(node.id, { name, stale: node.stale })
        if (before === undefined) registered.push(name)
        else if (before.stale !== node.stale) (node.stale ? silent : returned).push(name)
      }

      if (registered.length > 0) yield* Effect.logInfo(line(registered, "registered", "registered"))
      if (returned.length > 0) yield* Effect.logInfo(line(returned, "is back", "are back"))
      if (silent.length > 0) {
        yield* Effect.logWarning(line(silent, `is silent: nothing heard for ${silence}`, `are silent for ${silence}`))
      }
      if (dropped.length > 0) {
        yield* Effect.logInfo(
          line(dropped, "was dropped after its long silence", "were dropped after their long silence")
        )
      }
      yield* Effect.sleep("1 second")
    }
  })
