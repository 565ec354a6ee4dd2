/** `node-agent capabilities`: what this machine's hardware is. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import { Capabilities } from "../capabilities/Capabilities.js"
import { known } from "../node/Fields.js"
import * as LocalCapabilities from "../capabilities/LocalCapabilities.js"
import type { NodeCapabilities } from "../node/NodeCapabilities.js"
import * as AgentConfig from "../agent/AgentConfig.js"
import * as Setting from "../config/Setting.js"
import type { Source } from "../config/Source.js"
import { stateDir as stateDirOf } from "../state/StateSettings.js"
import * as Printable from "../text/Printable.js"
import * as CapabilitiesTable from "./CapabilitiesTable.js"
import * as LogSettings from "./LogSettings.js"
import { logging } from "./LongRunning.js"

const { capabilityInterval, dockerHost, orchestrator, stateDir } = AgentConfig.settings
const settings = { capabilityInterval, dockerHost, orchestrator, stateDir, ...LogSettings.table }

export interface CapabilitiesOptions {
  /** JSON instead of a table; one line for each look when it is watched. */
  readonly json: boolean
  /** Look again every `capabilityInterval`, in place on a terminal, until it is stopped. */
  readonly watch: boolean
}

/** Standard output cannot be written to. */
class OutputError extends Data.TaggedError("OutputError")<{ readonly cause: Error }> {
  override get message(): string {
    return `cannot write to standard output: ${this.cause.message}`
  }
}

/** Prints a text, and returns whether the output is still open. */
const print = (text: string): Effect.Effect<boolean, OutputError> =>
  Effect.async((resume) => {
    process.stdout.write(text, (cause: NodeJS.ErrnoException | null | undefined) => {
      if (cause === null || cause === undefined) resume(Effect.succeed(true))
      // The reader has seen enough: `| head` is not a failure.
      else resume(cause.code === "EPIPE" ? Effect.succeed(false) : Effect.fail(new OutputError({ cause })))
    })
  })

/**
 * A text in place of the one before, without a flicker: from the first line on, each line to its end, and nothing left
 * below. Lines that the terminal has no room for would scroll it, and are left out.
 */
const inPlace = (text: string, rows: number): string => {
  const lines = text.split("\n")
  const shown = lines.length < rows ? lines : [...lines.slice(0, Math.max(1, rows - 2)), "…"]
  return `\u001b[H${shown.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`
}

export const run = ({ json, watch }: CapabilitiesOptions, sources: ReadonlyArray<Source>) =>
  Effect.gen(function*() {
    const values = yield* Setting.readTable(settings, sources)
    const live = LocalCapabilities.layer({
      // Who watches wants to see what begins.
      ...(watch ? { idleGoodFor: 0 } : {}),
      ...known({ stateDir: stateDirOf(values) }),
      orchestratorAddress: values.orchestrator,
      ...(Option.isSome(values.dockerHost) ? { dockerHost: values.dockerHost.value } : {})
    })
    const isTerminal = process.stdout.isTTY === true
    const isDrawn = watch && isTerminal && !json
    const show = (node: NodeCapabilities) =>
      json
        ? Printable.json(node, watch ? 0 : 2)
        : CapabilitiesTable.render(node, {
          color: isTerminal && (process.env["NO_COLOR"] ?? "") === "",
          // A terminal that does not know its size says 0.
          width: process.stdout.columns || 100
        })
    const look = Effect.gen(function*() {
      const { readAll } = yield* Capabilities
      const text = show(yield* readAll)
      return yield* print(isDrawn ? inPlace(text, process.stdout.rows || 24) : `${text}\n`)
    })
    if (isDrawn) yield* print("\u001b[2J")
    const again = Schedule.spaced(values.capabilityInterval)
    yield* Effect.repeat(look, { schedule: again, while: (isRead) => watch && isRead }).pipe(
      Effect.provide(live.pipe(Layer.provideMerge(logging(values))))
    )
  })
