/** The services of `proto/orchion/v1`, and the standard one of health, with the types that `npm run proto` generates. */
import * as GrpcService from "../grpc/GrpcService.js"
import { serviceDefinition } from "./Definitions.js"
import type {
  ServerReflectionDefinition,
  ServerReflectionHandlers
} from "./generated/grpc/reflection/v1/ServerReflection.js"
import type { HealthDefinition, HealthHandlers } from "./generated/grpc/health/v1/Health.js"
import type { LogStreamerDefinition, LogStreamerHandlers } from "./generated/orchion/v1/LogStreamer.js"
import type { NodeAgentDefinition, NodeAgentHandlers } from "./generated/orchion/v1/NodeAgent.js"
import type { OrchestratorDefinition, OrchestratorHandlers } from "./generated/orchion/v1/Orchestrator.js"
import type { OrchionLLMDefinition, OrchionLLMHandlers } from "./generated/orchion/v1/OrchionLLM.js"

const service = <Definition, Handlers>(name: string) =>
  GrpcService.make<Definition, Handlers>(name, serviceDefinition(name))

export const OrchestratorService = service<OrchestratorDefinition, OrchestratorHandlers>("orchion.v1.Orchestrator")
export const OrchionLLMService = service<OrchionLLMDefinition, OrchionLLMHandlers>("orchion.v1.OrchionLLM")
export const NodeAgentService = service<NodeAgentDefinition, NodeAgentHandlers>("orchion.v1.NodeAgent")
export const LogStreamerService = service<LogStreamerDefinition, LogStreamerHandlers>("orchion.v1.LogStreamer")
export const HealthService = service<HealthDefinition, HealthHandlers>("grpc.health.v1.Health")
export const ReflectionService = service<ServerReflectionDefinition, ServerReflectionHandlers>(
  "grpc.reflection.v1.ServerReflection"
)
