/** `node-agent capabilities`: what this machine's hardware is. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import { Capabilities } from "../capabilities/Capabilities.js"
import * as LocalCapabilities from "../capabilities/LocalCapabilities.js"
import { NodeCapabilities } from "../capabilities/NodeCapabilities.js"
import * as AgentConfig from "../config/AgentConfig.js"
import * as Setting from "../config/Setting.js"
import * as CapabilitiesTable from "./CapabilitiesTable.js"
import { logging } from "./RunCommand.js"

const { capabilityInterval, dockerHost, logFormat, logLevel, orchestrator, stateDir } = AgentConfig.settings
const settings = { capabilityInterval, dockerHost, logFormat, logLevel, orchestrator, stateDir }

export interface CapabilitiesOptions {
  /** JSON instead of a table; one line for each look when it is watched. */
  readonly json: boolean
  /** Look again every `capabilityInterval`, in place on a terminal, until it is told to stop. */
  readonly watch: boolean
}

/** Clears the terminal and goes to its first line. */
const clear = "\u001b[2J\u001b[H"

export const run = ({ json, watch }: CapabilitiesOptions, sources: ReadonlyArray<Setting.Source>) =>
  Effect.gen(function*() {
    const values = yield* Setting.readTable(settings, sources)
    const live = LocalCapabilities.layer({
      stateDir: Option.getOrElse(values.stateDir, () => AgentConfig.defaultStateDir()),
      orchestratorAddress: values.orchestrator,
      ...(Option.isSome(values.dockerHost) ? { dockerHost: values.dockerHost.value } : {})
    })
    const isTerminal = process.stdout.isTTY === true
    const show = (known: NodeCapabilities) =>
      json
        ? Effect.map(Schema.encode(NodeCapabilities)(known), (encoded) => JSON.stringify(encoded, null, watch ? 0 : 2))
        : Effect.sync(() =>
          CapabilitiesTable.render(known, {
            color: isTerminal && (process.env["NO_COLOR"] ?? "") === "",
            width: process.stdout.columns ?? 100
          })
        )
    const look = Effect.gen(function*() {
      const { readAll } = yield* Capabilities
      const text = yield* show(yield* readAll)
      yield* Effect.sync(() => process.stdout.write(`${watch && isTerminal && !json ? clear : ""}${text}\n`))
    })
    yield* (watch ? Effect.repeat(look, Schedule.spaced(values.capabilityInterval)) : look).pipe(
      Effect.provide(live.pipe(Layer.provideMerge(logging(values))))
    )
  })
