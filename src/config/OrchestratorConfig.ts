/** The settings of the embedded orchestrator. */
import * as Setting from "./Setting.js"
import * as Format from "./SettingFormat.js"

/** Every setting, by the name of its field in {@link OrchestratorSettings}. */
export const settings = {
  port: Setting.setting("port", Format.listenPort, {
    description: "gRPC port of the orchestrator; 0 picks a free one",
    default: "50051"
  }),
  httpPort: Setting.setting("http-port", Format.listenPort, {
    description: "Port of its page and HTTP API; 0 picks a free one",
    default: "8080"
  }),
  bindAddress: Setting.setting("bind-address", Format.listenAddress, {
    description: "Where the orchestrator listens; 0.0.0.0 or :: for other machines to reach it",
    default: "127.0.0.1"
  }),
  heartbeatTimeout: Setting.setting("heartbeat-timeout", Format.durationBetween("100ms", "24h"), {
    description: "A node is stale when it was silent for this long",
    default: "30s"
  })
} as const

export type OrchestratorSettings = Setting.Settings<typeof settings>
