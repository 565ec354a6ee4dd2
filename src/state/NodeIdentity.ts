/** The node's id: the configured one, or one generated once and kept. */
import { randomUUID } from "node:crypto"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { InvalidSetting } from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"
import { StateSettings } from "./StateSettings.js"
import { StateDirectory, StateFileError } from "./StateDirectory.js"

/** Where the id is kept, in the state directory: the id and a line feed. */
export const fileName = "node-id"

export class NodeIdentity extends Context.Tag("@orchion/node-agent/NodeIdentity")<
  NodeIdentity,
  { readonly nodeId: string }
>() {
  static readonly layer: Layer.Layer<NodeIdentity, InvalidSetting | StateFileError, StateSettings | StateDirectory> =
    Layer
      .effect(
        NodeIdentity,
        Effect.gen(function*() {
          const config = yield* StateSettings
          const state = yield* StateDirectory
          if (Option.isSome(config.nodeId)) return { nodeId: config.nodeId.value }

          const kept = yield* state.read(fileName)
          if (kept === undefined) {
            const nodeId = randomUUID()
            yield* state.write(fileName, `${nodeId}\n`)
            return { nodeId }
          }
          // A node that silently became another one would leave a ghost behind in the cluster.
          const nodeId = Format.identifier("id").parse(kept.replace(/\r?\n$/, ""))
          // What is not UTF-8 is read as replacement characters.
          if (Either.isLeft(nodeId) || nodeId.right.includes("\uFFFD")) {
            return yield* new StateFileError({
              file: path.join(state.path, fileName),
              problem: "does not hold a node id",
              remedy:
                "put this node's id back into it (the orchestrator lists it), or remove the file to join as a new node"
            })
          }
          return { nodeId: nodeId.right }
        })
      )
}
