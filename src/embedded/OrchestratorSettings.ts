/** The settings of the embedded orchestrator. */
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"

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
  heartbeatTimeout: Setting.setting("heartbeat-timeout", Format.durationBetween("100ms", "24h"), {
    description: "Time without a heartbeat after which a node is stale",
    default: "30s"
  })
})

/** The values of {@link table}. */
export type OrchestratorSettings = Setting.Settings<typeof table>
