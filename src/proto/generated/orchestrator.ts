import type * as grpc from '@grpc/grpc-js';
import type { EnumTypeDefinition, MessageTypeDefinition } from '@grpc/proto-loader';

import type { Capabilities as _orchion_v1_Capabilities, Capabilities__Output as _orchion_v1_Capabilities__Output } from './orchion/v1/Capabilities.js';
import type { ChatChoice as _orchion_v1_ChatChoice, ChatChoice__Output as _orchion_v1_ChatChoice__Output } from './orchion/v1/ChatChoice.js';
import type { ChatCompletionRequest as _orchion_v1_ChatCompletionRequest, ChatCompletionRequest__Output as _orchion_v1_ChatCompletionRequest__Output } from './orchion/v1/ChatCompletionRequest.js';
import type { ChatCompletionResponse as _orchion_v1_ChatCompletionResponse, ChatCompletionResponse__Output as _orchion_v1_ChatCompletionResponse__Output } from './orchion/v1/ChatCompletionResponse.js';
import type { ChatMessage as _orchion_v1_ChatMessage, ChatMessage__Output as _orchion_v1_ChatMessage__Output } from './orchion/v1/ChatMessage.js';
import type { ContainerRuntimeInfo as _orchion_v1_ContainerRuntimeInfo, ContainerRuntimeInfo__Output as _orchion_v1_ContainerRuntimeInfo__Output } from './orchion/v1/ContainerRuntimeInfo.js';
import type { CpuInfo as _orchion_v1_CpuInfo, CpuInfo__Output as _orchion_v1_CpuInfo__Output } from './orchion/v1/CpuInfo.js';
import type { DiskInfo as _orchion_v1_DiskInfo, DiskInfo__Output as _orchion_v1_DiskInfo__Output } from './orchion/v1/DiskInfo.js';
import type { Embedding as _orchion_v1_Embedding, Embedding__Output as _orchion_v1_Embedding__Output } from './orchion/v1/Embedding.js';
import type { EmbeddingRequest as _orchion_v1_EmbeddingRequest, EmbeddingRequest__Output as _orchion_v1_EmbeddingRequest__Output } from './orchion/v1/EmbeddingRequest.js';
import type { EmbeddingResponse as _orchion_v1_EmbeddingResponse, EmbeddingResponse__Output as _orchion_v1_EmbeddingResponse__Output } from './orchion/v1/EmbeddingResponse.js';
import type { EngineFigures as _orchion_v1_EngineFigures, EngineFigures__Output as _orchion_v1_EngineFigures__Output } from './orchion/v1/EngineFigures.js';
import type { EngineInfo as _orchion_v1_EngineInfo, EngineInfo__Output as _orchion_v1_EngineInfo__Output } from './orchion/v1/EngineInfo.js';
import type { ErrorCount as _orchion_v1_ErrorCount, ErrorCount__Output as _orchion_v1_ErrorCount__Output } from './orchion/v1/ErrorCount.js';
import type { Finding as _orchion_v1_Finding, Finding__Output as _orchion_v1_Finding__Output } from './orchion/v1/Finding.js';
import type { GetJobStatusRequest as _orchion_v1_GetJobStatusRequest, GetJobStatusRequest__Output as _orchion_v1_GetJobStatusRequest__Output } from './orchion/v1/GetJobStatusRequest.js';
import type { GetJobStatusResponse as _orchion_v1_GetJobStatusResponse, GetJobStatusResponse__Output as _orchion_v1_GetJobStatusResponse__Output } from './orchion/v1/GetJobStatusResponse.js';
import type { GpuInfo as _orchion_v1_GpuInfo, GpuInfo__Output as _orchion_v1_GpuInfo__Output } from './orchion/v1/GpuInfo.js';
import type { GpuProcess as _orchion_v1_GpuProcess, GpuProcess__Output as _orchion_v1_GpuProcess__Output } from './orchion/v1/GpuProcess.js';
import type { HeartbeatRequest as _orchion_v1_HeartbeatRequest, HeartbeatRequest__Output as _orchion_v1_HeartbeatRequest__Output } from './orchion/v1/HeartbeatRequest.js';
import type { HeartbeatResponse as _orchion_v1_HeartbeatResponse, HeartbeatResponse__Output as _orchion_v1_HeartbeatResponse__Output } from './orchion/v1/HeartbeatResponse.js';
import type { ListNodesRequest as _orchion_v1_ListNodesRequest, ListNodesRequest__Output as _orchion_v1_ListNodesRequest__Output } from './orchion/v1/ListNodesRequest.js';
import type { ListNodesResponse as _orchion_v1_ListNodesResponse, ListNodesResponse__Output as _orchion_v1_ListNodesResponse__Output } from './orchion/v1/ListNodesResponse.js';
import type { LogEntry as _orchion_v1_LogEntry, LogEntry__Output as _orchion_v1_LogEntry__Output } from './orchion/v1/LogEntry.js';
import type { LogStreamerClient as _orchion_v1_LogStreamerClient, LogStreamerDefinition as _orchion_v1_LogStreamerDefinition } from './orchion/v1/LogStreamer.js';
import type { MemoryInfo as _orchion_v1_MemoryInfo, MemoryInfo__Output as _orchion_v1_MemoryInfo__Output } from './orchion/v1/MemoryInfo.js';
import type { MigInstance as _orchion_v1_MigInstance, MigInstance__Output as _orchion_v1_MigInstance__Output } from './orchion/v1/MigInstance.js';
import type { NetworkInfo as _orchion_v1_NetworkInfo, NetworkInfo__Output as _orchion_v1_NetworkInfo__Output } from './orchion/v1/NetworkInfo.js';
import type { Node as _orchion_v1_Node, Node__Output as _orchion_v1_Node__Output } from './orchion/v1/Node.js';
import type { NodeAgentClient as _orchion_v1_NodeAgentClient, NodeAgentDefinition as _orchion_v1_NodeAgentDefinition } from './orchion/v1/NodeAgent.js';
import type { OrchestratorClient as _orchion_v1_OrchestratorClient, OrchestratorDefinition as _orchion_v1_OrchestratorDefinition } from './orchion/v1/Orchestrator.js';
import type { OrchionLLMClient as _orchion_v1_OrchionLLMClient, OrchionLLMDefinition as _orchion_v1_OrchionLLMDefinition } from './orchion/v1/OrchionLLM.js';
import type { OsInfo as _orchion_v1_OsInfo, OsInfo__Output as _orchion_v1_OsInfo__Output } from './orchion/v1/OsInfo.js';
import type { RegisterNodeRequest as _orchion_v1_RegisterNodeRequest, RegisterNodeRequest__Output as _orchion_v1_RegisterNodeRequest__Output } from './orchion/v1/RegisterNodeRequest.js';
import type { RegisterNodeResponse as _orchion_v1_RegisterNodeResponse, RegisterNodeResponse__Output as _orchion_v1_RegisterNodeResponse__Output } from './orchion/v1/RegisterNodeResponse.js';
import type { StreamLogsRequest as _orchion_v1_StreamLogsRequest, StreamLogsRequest__Output as _orchion_v1_StreamLogsRequest__Output } from './orchion/v1/StreamLogsRequest.js';
import type { StreamLogsResponse as _orchion_v1_StreamLogsResponse, StreamLogsResponse__Output as _orchion_v1_StreamLogsResponse__Output } from './orchion/v1/StreamLogsResponse.js';
import type { SubmitJobRequest as _orchion_v1_SubmitJobRequest, SubmitJobRequest__Output as _orchion_v1_SubmitJobRequest__Output } from './orchion/v1/SubmitJobRequest.js';
import type { SubmitJobResponse as _orchion_v1_SubmitJobResponse, SubmitJobResponse__Output as _orchion_v1_SubmitJobResponse__Output } from './orchion/v1/SubmitJobResponse.js';
import type { TokenUsage as _orchion_v1_TokenUsage, TokenUsage__Output as _orchion_v1_TokenUsage__Output } from './orchion/v1/TokenUsage.js';
import type { UpdateNodeRequest as _orchion_v1_UpdateNodeRequest, UpdateNodeRequest__Output as _orchion_v1_UpdateNodeRequest__Output } from './orchion/v1/UpdateNodeRequest.js';
import type { UpdateNodeResponse as _orchion_v1_UpdateNodeResponse, UpdateNodeResponse__Output as _orchion_v1_UpdateNodeResponse__Output } from './orchion/v1/UpdateNodeResponse.js';

type SubtypeConstructor<Constructor extends new (...args: any) => any, Subtype> = {
  new(...args: ConstructorParameters<Constructor>): Subtype;
};

export interface ProtoGrpcType {
  orchion: {
    v1: {
      Capabilities: MessageTypeDefinition<_orchion_v1_Capabilities, _orchion_v1_Capabilities__Output>
      ChatChoice: MessageTypeDefinition<_orchion_v1_ChatChoice, _orchion_v1_ChatChoice__Output>
      ChatCompletionRequest: MessageTypeDefinition<_orchion_v1_ChatCompletionRequest, _orchion_v1_ChatCompletionRequest__Output>
      ChatCompletionResponse: MessageTypeDefinition<_orchion_v1_ChatCompletionResponse, _orchion_v1_ChatCompletionResponse__Output>
      ChatMessage: MessageTypeDefinition<_orchion_v1_ChatMessage, _orchion_v1_ChatMessage__Output>
      ContainerRuntimeInfo: MessageTypeDefinition<_orchion_v1_ContainerRuntimeInfo, _orchion_v1_ContainerRuntimeInfo__Output>
      CpuInfo: MessageTypeDefinition<_orchion_v1_CpuInfo, _orchion_v1_CpuInfo__Output>
      DiskInfo: MessageTypeDefinition<_orchion_v1_DiskInfo, _orchion_v1_DiskInfo__Output>
      Embedding: MessageTypeDefinition<_orchion_v1_Embedding, _orchion_v1_Embedding__Output>
      EmbeddingRequest: MessageTypeDefinition<_orchion_v1_EmbeddingRequest, _orchion_v1_EmbeddingRequest__Output>
      EmbeddingResponse: MessageTypeDefinition<_orchion_v1_EmbeddingResponse, _orchion_v1_EmbeddingResponse__Output>
      EngineFigures: MessageTypeDefinition<_orchion_v1_EngineFigures, _orchion_v1_EngineFigures__Output>
      EngineInfo: MessageTypeDefinition<_orchion_v1_EngineInfo, _orchion_v1_EngineInfo__Output>
      ErrorCount: MessageTypeDefinition<_orchion_v1_ErrorCount, _orchion_v1_ErrorCount__Output>
      Finding: MessageTypeDefinition<_orchion_v1_Finding, _orchion_v1_Finding__Output>
      GetJobStatusRequest: MessageTypeDefinition<_orchion_v1_GetJobStatusRequest, _orchion_v1_GetJobStatusRequest__Output>
      GetJobStatusResponse: MessageTypeDefinition<_orchion_v1_GetJobStatusResponse, _orchion_v1_GetJobStatusResponse__Output>
      GpuInfo: MessageTypeDefinition<_orchion_v1_GpuInfo, _orchion_v1_GpuInfo__Output>
      GpuProcess: MessageTypeDefinition<_orchion_v1_GpuProcess, _orchion_v1_GpuProcess__Output>
      HeartbeatRequest: MessageTypeDefinition<_orchion_v1_HeartbeatRequest, _orchion_v1_HeartbeatRequest__Output>
      HeartbeatResponse: MessageTypeDefinition<_orchion_v1_HeartbeatResponse, _orchion_v1_HeartbeatResponse__Output>
      JobStatus: EnumTypeDefinition
      JobType: EnumTypeDefinition
      ListNodesRequest: MessageTypeDefinition<_orchion_v1_ListNodesRequest, _orchion_v1_ListNodesRequest__Output>
      ListNodesResponse: MessageTypeDefinition<_orchion_v1_ListNodesResponse, _orchion_v1_ListNodesResponse__Output>
      LogEntry: MessageTypeDefinition<_orchion_v1_LogEntry, _orchion_v1_LogEntry__Output>
      LogLevel: EnumTypeDefinition
      /**
       * Served by the orchestrator: what the cluster logs, as it happens.
       */
      LogStreamer: SubtypeConstructor<typeof grpc.Client, _orchion_v1_LogStreamerClient> & { service: _orchion_v1_LogStreamerDefinition }
      MemoryInfo: MessageTypeDefinition<_orchion_v1_MemoryInfo, _orchion_v1_MemoryInfo__Output>
      MigInstance: MessageTypeDefinition<_orchion_v1_MigInstance, _orchion_v1_MigInstance__Output>
      NetworkInfo: MessageTypeDefinition<_orchion_v1_NetworkInfo, _orchion_v1_NetworkInfo__Output>
      Node: MessageTypeDefinition<_orchion_v1_Node, _orchion_v1_Node__Output>
      /**
       * Served by the agent at `Node.agent_address`: inference by this node.
       */
      NodeAgent: SubtypeConstructor<typeof grpc.Client, _orchion_v1_NodeAgentClient> & { service: _orchion_v1_NodeAgentDefinition }
      /**
       * Served by the orchestrator: who is in the cluster, and the jobs it runs.
       */
      Orchestrator: SubtypeConstructor<typeof grpc.Client, _orchion_v1_OrchestratorClient> & { service: _orchion_v1_OrchestratorDefinition }
      /**
       * Served by the orchestrator: inference by whichever node has the model.
       */
      OrchionLLM: SubtypeConstructor<typeof grpc.Client, _orchion_v1_OrchionLLMClient> & { service: _orchion_v1_OrchionLLMDefinition }
      OsInfo: MessageTypeDefinition<_orchion_v1_OsInfo, _orchion_v1_OsInfo__Output>
      RegisterNodeRequest: MessageTypeDefinition<_orchion_v1_RegisterNodeRequest, _orchion_v1_RegisterNodeRequest__Output>
      RegisterNodeResponse: MessageTypeDefinition<_orchion_v1_RegisterNodeResponse, _orchion_v1_RegisterNodeResponse__Output>
      StreamLogsRequest: MessageTypeDefinition<_orchion_v1_StreamLogsRequest, _orchion_v1_StreamLogsRequest__Output>
      StreamLogsResponse: MessageTypeDefinition<_orchion_v1_StreamLogsResponse, _orchion_v1_StreamLogsResponse__Output>
      SubmitJobRequest: MessageTypeDefinition<_orchion_v1_SubmitJobRequest, _orchion_v1_SubmitJobRequest__Output>
      SubmitJobResponse: MessageTypeDefinition<_orchion_v1_SubmitJobResponse, _orchion_v1_SubmitJobResponse__Output>
      TokenUsage: MessageTypeDefinition<_orchion_v1_TokenUsage, _orchion_v1_TokenUsage__Output>
      UpdateNodeRequest: MessageTypeDefinition<_orchion_v1_UpdateNodeRequest, _orchion_v1_UpdateNodeRequest__Output>
      UpdateNodeResponse: MessageTypeDefinition<_orchion_v1_UpdateNodeResponse, _orchion_v1_UpdateNodeResponse__Output>
    }
  }
}

