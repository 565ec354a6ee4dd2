/** `node-agent capabilities`: what this machine's hardware is. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { Capabilities } from "../capabilities/Capabilities.js"
import * as LocalCapabilities from "../capabilities/LocalCapabilities.js"
import { NodeCapabilities } from "../capabilities/NodeCapabilities.js"
import * as AgentConfig from "../config/AgentConfig.js"
import * as Setting from "../config/Setting.js"
import * as CapabilitiesTable from "./CapabilitiesTable.js"
import { logging } from "./RunCommand.js"

const { dockerHost, logFormat, logLevel, orchestrator, stateDir } = AgentConfig.settings

export const run = (options: { readonly json: boolean }, sources: ReadonlyArray<Setting.Source>) =>
  Effect.gen(function*() {
    const settings = yield* Setting.readTable({ dockerHost, logFormat, logLevel, orchestrator, stateDir }, sources)
    const live = LocalCapabilities.layer({
      stateDir: Option.getOrElse(settings.stateDir, () => AgentConfig.defaultStateDir()),
      orchestratorAddress: settings.orchestrator,
      ...(Option.isSome(settings.dockerHost) ? { dockerHost: settings.dockerHost.value } : {})
    })
    const known = yield* Effect.flatMap(Capabilities, ({ readAll }) => readAll).pipe(
      Effect.provide(live.pipe(Layer.provideMerge(logging(settings))))
    )
    const text = options.json
      ? JSON.stringify(yield* Schema.encode(NodeCapabilities)(known), null, 2)
      : CapabilitiesTable.render(known, {
        color: process.stdout.isTTY === true && (process.env["NO_COLOR"] ?? "") === "",
        width: process.stdout.columns ?? 100
      })
    yield* Effect.sync(() => process.stdout.write(`${text}\n`))
  })
