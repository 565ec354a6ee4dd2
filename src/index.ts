/**
 * The Orchion node agent as a library: services as Effect Layers, each usable alone and each to be swapped.
 *
 * Every service is a tag (`Orchestrator`, `Capabilities`, `Docker`, …); the module of the same room that ends in its
 * adapter's name (`GrpcOrchestrator`, `LocalCapabilities`, `DockerodeDocker`) has the layer.
 *
 * @example
 * const program = Effect.flatMap(Capabilities, ({ readAll }) => readAll)
 * Effect.runFork(Effect.provide(program, LocalCapabilities.layer({})))
 *
 * @since 0.1.0
 */
export { Agent, type AgentStartError } from "./agent/Agent.js"
export { type AgentState, AgentStatus, Connection } from "./agent/AgentStatus.js"
export { StateDirectoryInUse, StateFileError } from "./state/StateDirectory.js"
export { Capabilities } from "./capabilities/Capabilities.js"
export * as CapabilitiesJsonSchema from "./node/CapabilitiesJsonSchema.js"
export * as LocalCapabilities from "./capabilities/LocalCapabilities.js"
export * from "./node/CapabilitiesSchema.js"
export { type FindingCode, findingCodes, gpusAreKnown } from "./node/Findings.js"
export * as AgentConfig from "./agent/AgentConfig.js"
export { InvalidSetting } from "./config/Setting.js"
export { UnknownSetting } from "./config/Source.js"
export * as ContainerSpec from "./docker/ContainerSpec.js"
export { Docker } from "./docker/Docker.js"
export * as DockerError from "./docker/api/DockerError.js"
export * as DockerodeDocker from "./docker/DockerodeDocker.js"
export * as DeferredDocker from "./docker/DeferredDocker.js"
export * as EmbeddedOrchestrator from "./embedded/EmbeddedOrchestrator.js"
export * as EngineDiagnosis from "./engine/Diagnosis.js"
export {
  type EngineActivity,
  type EngineName,
  EngineNotStarted,
  Engines,
  ModelUnavailable,
  type RunningEngine
} from "./engine/Engine.js"
export * from "./engine/EngineDriver.js"
export * as EnginePlan from "./engine/EnginePlan.js"
export * as OpenAiProbe from "./engine/OpenAiProbe.js"
export * as EngineSupervisor from "./engine/EngineSupervisor.js"
export { defaults as defaultEngineTimes, type EngineTimes } from "./engine/EngineTimes.js"
export { Machine, type MachineFacts } from "./engine/Machine.js"
export * as GrpcClient from "./grpc/GrpcClient.js"
export * as GrpcError from "./grpc/GrpcError.js"
export * as GrpcServer from "./grpc/GrpcServer.js"
export * as GrpcService from "./grpc/GrpcService.js"
export * as GrpcNodeAgentServer from "./inference/GrpcNodeAgentServer.js"
export { InferenceRouter } from "./inference/InferenceRouter.js"
export * as LocalInferenceRouter from "./inference/LocalInferenceRouter.js"
export { NodeAgentServer } from "./inference/NodeAgentServer.js"
export { RequestGate } from "./inference/RequestGate.js"
export * as GrpcClusterClient from "./orchestrator/grpc/GrpcClusterClient.js"
export * as GrpcOrchestrator from "./orchestrator/grpc/GrpcOrchestrator.js"
export type * from "./node/Node.js"
export * from "./orchestrator/ClusterClient.js"
export * from "./orchestrator/Orchestrator.js"
export { ReconnectPolicy, type ReconnectPolicyOptions } from "./orchestrator/Reconnect.js"
export * as OrchionV1 from "./proto/OrchionV1.js"
export { version } from "./Version.js"
