/** The settings of the embedded orchestrator. */
import * as Either from "effect/Either"
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"

const checked = (
  placeholder: string,
  expected: string,
  examples: ReadonlyArray<string>,
  isValid: (text: string) => boolean
): Format.Format<string> => ({
  placeholder,
  expected,
  json: { type: "string", examples },
  parse: (text) => isValid(text) ? Either.right(text) : Either.left(expected),
  print: (text) => text
})

const publicUrl = checked(
  "url",
  "an http or https URL, such as https://llm.example.com",
  ["https://llm.example.com"],
  (text) => /^https?:\/\/[^\s/@]+\/?$/i.test(text) && URL.canParse(text)
)

const origin = checked(
  "origin",
  "an origin without a path, such as http://localhost:3000 or app://obsidian.md, or * for all",
  ["http://localhost:3000"],
  (text) => text === "*" || /^[a-z][a-z0-9+.-]*:\/\/[^\s/]+\/?$/i.test(text)
)

export const table = Setting.group("Orchestrator", {
  port: Setting.setting("port", Format.listenPort, {
    description: "gRPC port for agents and clients; 0 picks a free one",
    default: "50051"
  }),
  httpPort: Setting.setting("http-port", Format.listenPort, {
    description: "Port of the web page and the HTTP API; 0 picks a free one",
    default: "8080"
  }),
  bindAddress: Setting.setting("bind-address", Format.listenAddress, {
    description: "Address to listen on; 0.0.0.0 or :: lets other machines connect",
    default: "127.0.0.1"
  }),
  publicUrl: Setting.optional("public-url", publicUrl, {
    description: "URL of a proxy or domain name that leads to the HTTP API; browsers may then use it",
    note: "none"
  }),
  allowOrigin: Setting.repeatable("allow-origin", origin, {
    description: "Origin of another web page, app or extension that may use the HTTP API; may be repeated"
  }),
  heartbeatTimeout: Setting.setting("heartbeat-timeout", Format.durationBetween("100ms", "24h"), {
    description: "Time without a heartbeat after which a node is stale",
    default: "30s"
  })
})

/** The values of {@link table}. */
export type OrchestratorSettings = Setting.Settings<typeof table>
