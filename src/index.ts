/**
 * The Orchion node agent as a library: services as Effect Layers, each usable alone and each to be swapped.
 *
 * Every service is a tag (`Orchestrator`, `Capabilities`, `Docker`, …); the module of the same room that ends in its
 * adapter's name (`GrpcOrchestrator`, `LocalCapabilities`, `DockerodeDocker`) has the layer.
 */
export { Agent, type AgentStartError } from "./agent/Agent.js"
export { type AgentState, AgentStatus, Connection } from "./agent/AgentStatus.js"
export { StateDirectoryInUse, StateFileError } from "./agent/StateDirectory.js"
export { Capabilities } from "./capabilities/Capabilities.js"
export * as CapabilitiesJsonSchema from "./capabilities/CapabilitiesJsonSchema.js"
export * as LocalCapabilities from "./capabilities/LocalCapabilities.js"
export * from "./capabilities/NodeCapabilities.js"
export * as AgentConfig from "./config/AgentConfig.js"
export { InvalidSetting } from "./config/Setting.js"
export * as ContainerSpec from "./docker/ContainerSpec.js"
export { Docker } from "./docker/Docker.js"
export * as DockerError from "./docker/DockerError.js"
export * as DockerodeDocker from "./docker/DockerodeDocker.js"
export * as EmbeddedOrchestrator from "./embedded/EmbeddedOrchestrator.js"
export * as GrpcClient from "./grpc/GrpcClient.js"
export * as GrpcError from "./grpc/GrpcError.js"
export * as GrpcServer from "./grpc/GrpcServer.js"
export * as GrpcService from "./grpc/GrpcService.js"
export * as GrpcOrchestrator from "./orchestrator/GrpcOrchestrator.js"
export type * from "./orchestrator/Node.js"
export * from "./orchestrator/Orchestrator.js"
export { ReconnectPolicy, type ReconnectPolicyOptions } from "./orchestrator/Reconnect.js"
export * as OrchionV1 from "./proto/OrchionV1.js"
export { version } from "./Version.js"
