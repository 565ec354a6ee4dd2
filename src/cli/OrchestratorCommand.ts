/** `node-agent orchestrator`: the embedded orchestrator alone. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as HostPort from "../net/HostPort.js"
import * as OrchestratorSettings from "../embedded/OrchestratorSettings.js"
import type { Source } from "../config/Source.js"
import * as Setting from "../config/Setting.js"
import * as EmbeddedOrchestrator from "../embedded/EmbeddedOrchestrator.js"
import * as LogSettings from "./LogSettings.js"
import { logging, warnOfUnknownVariables } from "./RunCommand.js"
import * as HeapTuning from "./HeapTuning.js"

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

/** The embedded orchestrator of these settings; what it cannot listen on is told as the setting's fault. */
export const embedded = (settings: OrchestratorSettings.OrchestratorSettings) =>
  EmbeddedOrchestrator.layer({
    host: settings.bindAddress,
    port: settings.port,
    httpPort: settings.httpPort,
    heartbeatTimeout: settings.heartbeatTimeout
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
      mayPass: error.reason === "in-use" || error.reason === "other"
    })

export const run = (sources: ReadonlyArray<Source>) =>
  Effect.gen(function*() {
    const settings = yield* Setting.readTable(OrchestratorSettings.table, sources)
    const { logFormat, logLevel } = yield* Setting.readTable(LogSettings.table, sources)
    yield* Effect.gen(function*() {
      yield* warnOfUnknownVariables
      const { httpPort, port } = yield* EmbeddedOrchestrator.EmbeddedOrchestrator
      yield* Effect.sync(() =>
        process.stdout.write(
          [
            "",
            "  The orchestrator runs. Ctrl-C stops it.",
            "",
            ...addresses(settings.bindAddress, port, httpPort),
            "",
            ""
          ].join("\n")
        )
      )
      yield* HeapTuning.afterStart
      yield* Effect.never
    }).pipe(
      Effect.scoped,
      Effect.onInterrupt(() => Effect.logInfo("Stopping")),
      Effect.provide(embedded(settings)),
      Effect.provide(logging({ logFormat, logLevel }))
    )
  })
