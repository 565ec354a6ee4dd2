/** The settings of the `NodeAgent` service and of the requests that it passes to engines. */
import * as Context from "effect/Context"
import * as Setting from "../config/Setting.js"
import * as Format from "../config/SettingFormat.js"

export const table = Setting.group("Inference", {
  agentPort: Setting.setting("agent-port", Format.listenPort, {
    description: "Port on which the orchestrator reaches this agent; 0 picks a free one",
    default: "50052"
  }),
  maxRequestsPerEngine: Setting.setting("max-requests-per-engine", Format.positiveInteger(100_000), {
    description: "Limit of in-flight requests per engine; more are refused",
    default: "256"
  }),
  engineIdleTimeout: Setting.setting("engine-idle-timeout", Format.durationBetween("1s", "24h"), {
    description: "Time without output from an engine after which a request is cancelled",
    default: "10m"
  }),
  readerTimeout: Setting.setting("reader-timeout", Format.durationBetween("1s", "24h"), {
    description: "Time without the orchestrator reading an answer after which its request is cancelled",
    default: "2m"
  }),
  drainTimeout: Setting.setting("drain-timeout", Format.durationBetween("0s", "24h"), {
    description: "Grace period for in-flight requests at shutdown",
    default: "30s"
  })
})

/** The values of {@link table}, and of other rooms' settings that concern the service. */
export class InferenceSettings extends Context.Tag("@orchion/node-agent/InferenceSettings")<
  InferenceSettings,
  Setting.Settings<typeof table> & {
    /** Only this machine's own orchestrator needs to reach the service. */
    readonly isLocal: boolean
  }
>() {}
