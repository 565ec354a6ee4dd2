/** The daemon: its layers, and the order in which they start and stop. */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Capabilities } from "../capabilities/Capabilities.js"
import * as LocalCapabilities from "../capabilities/LocalCapabilities.js"
import { AgentConfig, type AgentSettings, rooms } from "./AgentConfig.js"
import { known } from "../node/Fields.js"
import type { InvalidSetting } from "../config/Setting.js"
import * as DeferredDocker from "../docker/DeferredDocker.js"
import type { Docker } from "../docker/Docker.js"
import * as Daemon from "../effect/Daemon.js"
import * as drivers from "../engine/drivers.js"
import * as GrpcNodeAgentServer from "../inference/GrpcNodeAgentServer.js"
import * as LocalInferenceRouter from "../inference/LocalInferenceRouter.js"
import type { Engines } from "../engine/Engine.js"
import { NodeAgentServer } from "../inference/NodeAgentServer.js"
import * as RequestGate from "../inference/RequestGate.js"
import * as GrpcOrchestrator from "../orchestrator/grpc/GrpcOrchestrator.js"
import type { Orchestrator } from "../orchestrator/Orchestrator.js"
import type { AgentStatus } from "./AgentStatus.js"
import { Connectivity } from "./Connectivity.js"
import { NodeEngines } from "./NodeEngines.js"
import { NodeIdentity } from "../state/NodeIdentity.js"
import { stateDir } from "../state/StateSettings.js"
import { StateDirectory, type StateDirectoryInUse, type StateFileError } from "../state/StateDirectory.js"
import * as NodeLabel from "./NodeLabel.js"
import * as Reporter from "./Reporter.js"
import * as Session from "./Session.js"
import { boundedRelease, StopBudget, stopEngines } from "./Shutdown.js"
import * as StatusView from "./StatusView.js"

/** Why an agent cannot start. Once started, it keeps running whatever happens around it. */
export type AgentStartError = InvalidSetting | StateDirectoryInUse | StateFileError

/** The deadline of a request that tests the connection: a heartbeat must end before many more are due. */
const deadlineOf = ({ heartbeatInterval }: AgentSettings): Duration.Duration =>
  Duration.clamp(heartbeatInterval, { minimum: "1 second", maximum: "5 seconds" })

/** The state directory is checked at the heartbeat interval, but no more often than this. */
const minCheckInterval = Duration.seconds(1)

/** Settings that contradict each other are found before anything starts; engines that are off are not loaded. */
const checkSettings = Effect.flatMap(AgentConfig, (config): Effect.Effect<unknown, InvalidSetting> => {
  if (config.labels.length > NodeLabel.maxLabels) {
    return config.refuse("labels", `${config.labels.length} labels`, `at most ${NodeLabel.maxLabels} labels`)
  }
  return drivers.make(config, { "--agent-port": config.agentPort })
})

/** Starts the loops, and ends everything in order when the scope closes. */
const make = Effect.gen(function*() {
  const config = yield* AgentConfig
  const { nodeId } = yield* NodeIdentity
  const connectivity = yield* Connectivity
  const nodeEngines = yield* NodeEngines
  const reporter = yield* Reporter.Reporter
  const server = yield* NodeAgentServer
  const state = yield* StateDirectory
  const budget = yield* StopBudget
  const { join } = yield* Daemon.Daemons
  const context = yield* Effect.context<Engines | StopBudget>()
  const annotated = Effect.annotateLogs("node.id", nodeId)

  const session = yield* Daemon.start("session", Session.run(config))
  yield* Daemon.start(
    "state directory",
    Effect.repeat(state.check, Schedule.spaced(Duration.max(config.heartbeatInterval, minCheckInterval)))
  )
  // Heartbeats continue while requests drain and engines stop, so that a slow stop does not look like a crash.
  yield* Effect.addFinalizer(() =>
    Effect.gen(function*() {
      yield* budget.begin
      const { connection } = yield* connectivity.state
      yield* connectivity.stopping
      yield* server.drain
      const engines = yield* Effect.either(
        Effect.provide(
          stopEngines({ keepEngines: config.keepEngines, stop: nodeEngines.shutdown }),
          context
        )
      )
      yield* Fiber.interrupt(session)
      if (connection._tag === "Registered") yield* reporter.farewell
      // Reported to whoever closed the scope: the command exits with code 1.
      if (Either.isLeft(engines)) yield* Effect.die(engines.left)
    }).pipe(annotated)
  )
  return { nodeId, port: server.port, stateDirectory: state.path, join }
})

/** Everything that runs under the node's id; its log lines carry it. */
const identified = Layer.unwrapEffect(Effect.map(NodeIdentity, ({ nodeId }) =>
  Layer.scoped(Agent, make).pipe(
    Layer.provide(Reporter.layer),
    Layer.provideMerge(StatusView.layer),
    Layer.provide(Connectivity.layer),
    Layer.provide(GrpcNodeAgentServer.layer),
    Layer.provide(RequestGate.layer),
    Layer.provide(LocalInferenceRouter.layer),
    Layer.provide(boundedRelease(NodeEngines.layer)),
    Layer.locallyWith(FiberRef.currentLogAnnotations, HashMap.set<string, unknown>("node.id", nodeId))
  )))

/** A running agent. */
export class Agent extends Context.Tag("@orchion/node-agent/Agent")<
  Agent,
  {
    readonly nodeId: string
    /** The port of its `NodeAgent` service. */
    readonly port: number
    /** The absolute path of its state directory. */
    readonly stateDirectory: string
    /** Never succeeds; dies with the defect of the first loop of the agent, or of a room below it, that died. */
    readonly join: Effect.Effect<never>
  }
>() {
  /**
   * Starts an agent that stops with the scope, on the orchestrator, the capabilities and the container runtime that are
   * provided. The container runtime is not used unless an engine is enabled, or was in an earlier run. A release that
   * leaves something behind dies with {@link StopIncomplete}.
   *
   * Starting does not wait for the orchestrator: {@link AgentStatus} says when the node is registered.
   */
  static readonly layer: Layer.Layer<
    Agent | AgentStatus,
    AgentStartError,
    AgentConfig | Capabilities | Docker | Orchestrator
  > = Layer.suspend(() =>
    identified.pipe(
      Layer.provide(Layer.unwrapEffect(Effect.map(AgentConfig, ({ drainTimeout }) => StopBudget.layer(drainTimeout)))),
      Layer.provide(NodeIdentity.layer),
      Layer.provide(StateDirectory.layer),
      Layer.provide(Daemon.Daemons.layer),
      Layer.provide(rooms),
      Layer.provide(Layer.effectDiscard(checkSettings))
    )
  )

  /** An agent as the command runs it: on this machine's hardware, with the orchestrator of the settings. */
  static readonly layerLive: Layer.Layer<Agent | AgentStatus, AgentStartError, AgentConfig> = Layer.unwrapEffect(
    Effect.map(AgentConfig, (config) =>
      Agent.layer.pipe(
        Layer.provide(GrpcOrchestrator.layer({ address: config.orchestrator, deadline: deadlineOf(config) })),
        Layer.provide(DeferredDocker.layer(
          Effect.flatMap(
            Effect.promise(() => import("../docker/DockerodeDocker.js")),
            (DockerodeDocker) => DockerodeDocker.make({ host: Option.getOrUndefined(config.dockerHost) })
          )
        )),
        Layer.provide(LocalCapabilities.layer({
          ...known({ stateDir: stateDir(config) }),
          orchestratorAddress: config.orchestrator,
          ...(Option.isSome(config.dockerHost) ? { dockerHost: config.dockerHost.value } : {})
        }))
      ))
  )
}
