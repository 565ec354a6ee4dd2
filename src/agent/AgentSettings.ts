/** The settings of the agent itself: the orchestrator it joins, and how its node appears there. */
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"
import * as NodeLabel from "./NodeLabel.js"

export const cluster = Setting.group("Cluster", {
  orchestrator: Setting.setting("orchestrator", Format.target(50_051), {
    description: "gRPC address of the orchestrator to join",
    default: "localhost:50051"
  }),
  heartbeatInterval: Setting.setting("heartbeat-interval", Format.durationBetween("10ms", "24h"), {
    description: "Time between heartbeats",
    default: "5s"
  }),
  capabilityInterval: Setting.setting("capability-interval", Format.durationBetween("50ms", "24h"), {
    description: "Hardware polling interval",
    default: "10s"
  })
})

export const node = Setting.group("Node", {
  hostname: Setting.optional("hostname", Format.identifier("name"), {
    description: "Display name of this node",
    note: "the system's hostname"
  }),
  advertiseAddress: Setting.optional("advertise-address", Format.hostWithOptionalPort, {
    description: "Address at which the orchestrator reaches this agent",
    note: "the local address used to reach the orchestrator"
  }),
  labels: Setting.repeatable("label", NodeLabel.format, {
    description: "Label of this node, for people and filters; may be given several times"
  })
})
