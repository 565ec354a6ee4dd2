/** The daemon: which layers, in which order. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Capabilities } from "../capabilities/Capabilities.js"
import * as LocalCapabilities from "../capabilities/LocalCapabilities.js"
import { AgentConfig, type AgentSettings, stateDir } from "../config/AgentConfig.js"
import type { InvalidSetting } from "../config/Setting.js"
import { NodeAgentServer } from "../inference/NodeAgentServer.js"
import * as GrpcOrchestrator from "../orchestrator/GrpcOrchestrator.js"
import type { Orchestrator } from "../orchestrator/Orchestrator.js"
import { AgentStatus } from "./AgentStatus.js"
import { Connectivity } from "./Connectivity.js"
import * as Heartbeat from "./Heartbeat.js"
import { NodeIdentity } from "./NodeIdentity.js"
import { Registration } from "./Registration.js"
import { StateDirectory, type StateDirectoryInUse, type StateFileError } from "./StateDirectory.js"
import * as Telemetry from "./Telemetry.js"

/** Why an agent cannot start. Once started, it goes on whatever happens around it. */
export type AgentStartError = InvalidSetting | StateDirectoryInUse | StateFileError

/** How long a request that tests the connection may take: a beat must be over before many more are due. */
const deadlineOf = ({ heartbeatInterval }: AgentSettings): Duration.Duration =>
  Duration.clamp(heartbeatInterval, { minimum: "1 second", maximum: "5 seconds" })

/** A running agent. */
export class Agent extends Context.Tag("@orchion/node-agent/Agent")<
  Agent,
  {
    readonly nodeId: string
    /** Runs on until a defect ends one of the agent's loops, and then fails with it. */
    readonly join: Effect.Effect<never>
  }
>() {
  /**
   * Starts an agent that stops with the scope, on the orchestrator and the capabilities that are provided.
   *
   * Being started does not wait for the orchestrator: {@link AgentStatus} tells when the node is registered.
   */
  static readonly layer: Layer.Layer<
    Agent | AgentStatus,
    AgentStartError,
    AgentConfig | Capabilities | Orchestrator
  > = Layer.scoped(
    Agent,
    Effect.gen(function*() {
      const config = yield* AgentConfig
      const { nodeId } = yield* NodeIdentity
      const { stopping } = yield* Connectivity
      const loops = yield* FiberSet.make<never, never>()
      yield* Effect.addFinalizer(() => stopping)
      yield* FiberSet.run(loops, Heartbeat.run(config.heartbeatInterval))
      yield* FiberSet.run(loops, Telemetry.run(config.capabilityInterval))
      if (config.enableVllm || config.enableOllama) {
        const wanted = [...(config.enableVllm ? ["vLLM"] : []), ...(config.enableOllama ? ["Ollama"] : [])]
        yield* Effect.logWarning(
          `This version does not run inference engines yet: ${wanted.join(" and ")} will not be started here`
        )
      }
      return { nodeId, join: Effect.zipRight(FiberSet.join(loops), Effect.never) }
    })
  ).pipe(
    Layer.provide(Registration.layer),
    Layer.provide(Connectivity.layer),
    Layer.provide(NodeIdentity.layer),
    Layer.provide([NodeAgentServer.layer, StateDirectory.layer]),
    Layer.provideMerge(AgentStatus.layer)
  )

  /** An agent as the command runs it: on this machine's hardware, with the orchestrator of the settings. */
  static readonly layerLive: Layer.Layer<Agent | AgentStatus, AgentStartError, AgentConfig> = Layer.unwrapEffect(
    Effect.map(AgentConfig, (config) =>
      Agent.layer.pipe(
        Layer.provide(GrpcOrchestrator.layer({ address: config.orchestrator, deadline: deadlineOf(config) })),
        Layer.provide(LocalCapabilities.layer({
          stateDir: stateDir(config),
          orchestratorAddress: config.orchestrator,
          ...(Option.isSome(config.dockerHost) ? { dockerHost: config.dockerHost.value } : {})
        }))
      ))
  )
}
