/** `node-agent orchestrator`: the embedded orchestrator alone. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as HostPort from "../net/HostPort.js"
import * as OrchestratorSettings from "../embedded/OrchestratorSettings.js"
import type { Source } from "../config/Source.js"
import * as Setting from "../config/Setting.js"
import * as EmbeddedOrchestrator from "../embedded/EmbeddedOrchestrator.js"
import * as LogSettings from "./LogSettings.js"
import * as LongRunning from "./LongRunning.js"

/** The host by which this machine reaches what listens on an address. */
export const reachableHost = (bindAddress: string): string =>
  bindAddress === "0.0.0.0" || bindAddress === "127.0.0.1" || bindAddress === "::" || bindAddress === "::1"
    ? "localhost"
    : bindAddress

/** Where a person finds the orchestrator, as lines for the terminal. */
export const addresses = (bindAddress: string, port: number, httpPort: number): ReadonlyArray<string> => {
  const at = (port: number) => HostPort.format({ host: reachableHost(bindAddress), port })
  return [
    `  page           http://${at(httpPort)}/`,
    `  orchestrator   ${at(port)}   (node-agent --orchestrator ${at(port)})`
  ]
}

/** Shows a person what is running, and where, on standard output. */
export const banner = (title: string, lines: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.sync(() => void process.stdout.write(["", `  ${title}`, "", ...lines, "", ""].join("\n")))

/** The embedded orchestrator of these settings; an address that it cannot listen on is an error of the setting. */
export const embedded = (settings: OrchestratorSettings.OrchestratorSettings) =>
  EmbeddedOrchestrator.layer({
    host: settings.bindAddress,
    port: settings.port,
    httpPort: settings.httpPort,
    heartbeatTimeout: settings.heartbeatTimeout,
    publicUrl: Option.getOrUndefined(settings.publicUrl),
    allowOrigins: settings.allowOrigin
  }).pipe(
    Layer.catchAll((error) => Layer.fail(refuse(settings, error._tag === "GrpcBindError" ? "port" : "httpPort", error)))
  )

const refuse = (
  settings: OrchestratorSettings.OrchestratorSettings,
  key: "port" | "httpPort",
  error: { readonly message: string; readonly reason: string }
) =>
  error.reason === "no-such-address"
    ? settings.refuse("bindAddress", error.message, "an address of this machine, such as 127.0.0.1")
    : settings.refuse(key, error.message, "a free port, or 0 to have one picked", {
      isTransient: error.reason === "in-use" || error.reason === "other"
    })

export const run = Effect.fn("OrchestratorCommand.run")(function*(sources: ReadonlyArray<Source>) {
  const settings = yield* Setting.readTable(OrchestratorSettings.table, sources)
  const log = yield* Setting.readTable(LogSettings.table, sources)
  return yield* LongRunning.launch({
    log,
    layer: embedded(settings),
    start: Effect.gen(function*() {
      const { httpPort, join, port } = yield* EmbeddedOrchestrator.EmbeddedOrchestrator
      yield* banner(
        "The orchestrator is running. Press Ctrl-C to stop it.",
        addresses(settings.bindAddress, port, httpPort)
      )
      return join
    })
  })
})
