// Original file: proto/orchion/v1/orchestrator.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { GetJobStatusRequest as _orchion_v1_GetJobStatusRequest, GetJobStatusRequest__Output as _orchion_v1_GetJobStatusRequest__Output } from '../../orchion/v1/GetJobStatusRequest.js';
import type { GetJobStatusResponse as _orchion_v1_GetJobStatusResponse, GetJobStatusResponse__Output as _orchion_v1_GetJobStatusResponse__Output } from '../../orchion/v1/GetJobStatusResponse.js';
import type { HeartbeatRequest as _orchion_v1_HeartbeatRequest, HeartbeatRequest__Output as _orchion_v1_HeartbeatRequest__Output } from '../../orchion/v1/HeartbeatRequest.js';
import type { HeartbeatResponse as _orchion_v1_HeartbeatResponse, HeartbeatResponse__Output as _orchion_v1_HeartbeatResponse__Output } from '../../orchion/v1/HeartbeatResponse.js';
import type { ListNodesRequest as _orchion_v1_ListNodesRequest, ListNodesRequest__Output as _orchion_v1_ListNodesRequest__Output } from '../../orchion/v1/ListNodesRequest.js';
import type { ListNodesResponse as _orchion_v1_ListNodesResponse, ListNodesResponse__Output as _orchion_v1_ListNodesResponse__Output } from '../../orchion/v1/ListNodesResponse.js';
import type { RegisterNodeRequest as _orchion_v1_RegisterNodeRequest, RegisterNodeRequest__Output as _orchion_v1_RegisterNodeRequest__Output } from '../../orchion/v1/RegisterNodeRequest.js';
import type { RegisterNodeResponse as _orchion_v1_RegisterNodeResponse, RegisterNodeResponse__Output as _orchion_v1_RegisterNodeResponse__Output } from '../../orchion/v1/RegisterNodeResponse.js';
import type { SubmitJobRequest as _orchion_v1_SubmitJobRequest, SubmitJobRequest__Output as _orchion_v1_SubmitJobRequest__Output } from '../../orchion/v1/SubmitJobRequest.js';
import type { SubmitJobResponse as _orchion_v1_SubmitJobResponse, SubmitJobResponse__Output as _orchion_v1_SubmitJobResponse__Output } from '../../orchion/v1/SubmitJobResponse.js';
import type { UpdateNodeRequest as _orchion_v1_UpdateNodeRequest, UpdateNodeRequest__Output as _orchion_v1_UpdateNodeRequest__Output } from '../../orchion/v1/UpdateNodeRequest.js';
import type { UpdateNodeResponse as _orchion_v1_UpdateNodeResponse, UpdateNodeResponse__Output as _orchion_v1_UpdateNodeResponse__Output } from '../../orchion/v1/UpdateNodeResponse.js';

/**
 * Served by the orchestrator: who is in the cluster, and the jobs it runs.
 */
export interface OrchestratorClient extends grpc.Client {
  GetJobStatus(argument: _orchion_v1_GetJobStatusRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  GetJobStatus(argument: _orchion_v1_GetJobStatusRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  GetJobStatus(argument: _orchion_v1_GetJobStatusRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  GetJobStatus(argument: _orchion_v1_GetJobStatusRequest, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  getJobStatus(argument: _orchion_v1_GetJobStatusRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  getJobStatus(argument: _orchion_v1_GetJobStatusRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  getJobStatus(argument: _orchion_v1_GetJobStatusRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  getJobStatus(argument: _orchion_v1_GetJobStatusRequest, callback: grpc.requestCallback<_orchion_v1_GetJobStatusResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Says that a node is alive. NOT_FOUND for an unknown id: register again.
   */
  Heartbeat(argument: _orchion_v1_HeartbeatRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  Heartbeat(argument: _orchion_v1_HeartbeatRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  Heartbeat(argument: _orchion_v1_HeartbeatRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  Heartbeat(argument: _orchion_v1_HeartbeatRequest, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Says that a node is alive. NOT_FOUND for an unknown id: register again.
   */
  heartbeat(argument: _orchion_v1_HeartbeatRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  heartbeat(argument: _orchion_v1_HeartbeatRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  heartbeat(argument: _orchion_v1_HeartbeatRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  heartbeat(argument: _orchion_v1_HeartbeatRequest, callback: grpc.requestCallback<_orchion_v1_HeartbeatResponse__Output>): grpc.ClientUnaryCall;
  
  ListNodes(argument: _orchion_v1_ListNodesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  ListNodes(argument: _orchion_v1_ListNodesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  ListNodes(argument: _orchion_v1_ListNodesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  ListNodes(argument: _orchion_v1_ListNodesRequest, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _orchion_v1_ListNodesRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _orchion_v1_ListNodesRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _orchion_v1_ListNodesRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  listNodes(argument: _orchion_v1_ListNodesRequest, callback: grpc.requestCallback<_orchion_v1_ListNodesResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Adds a node, or replaces the one with the same id.
   */
  RegisterNode(argument: _orchion_v1_RegisterNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  RegisterNode(argument: _orchion_v1_RegisterNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  RegisterNode(argument: _orchion_v1_RegisterNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  RegisterNode(argument: _orchion_v1_RegisterNodeRequest, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Adds a node, or replaces the one with the same id.
   */
  registerNode(argument: _orchion_v1_RegisterNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  registerNode(argument: _orchion_v1_RegisterNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  registerNode(argument: _orchion_v1_RegisterNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  registerNode(argument: _orchion_v1_RegisterNodeRequest, callback: grpc.requestCallback<_orchion_v1_RegisterNodeResponse__Output>): grpc.ClientUnaryCall;
  
  SubmitJob(argument: _orchion_v1_SubmitJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  SubmitJob(argument: _orchion_v1_SubmitJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  SubmitJob(argument: _orchion_v1_SubmitJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  SubmitJob(argument: _orchion_v1_SubmitJobRequest, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _orchion_v1_SubmitJobRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _orchion_v1_SubmitJobRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _orchion_v1_SubmitJobRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  submitJob(argument: _orchion_v1_SubmitJobRequest, callback: grpc.requestCallback<_orchion_v1_SubmitJobResponse__Output>): grpc.ClientUnaryCall;
  
  /**
   * Replaces what is known of a node's hardware. NOT_FOUND for an unknown id.
   */
  UpdateNode(argument: _orchion_v1_UpdateNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  UpdateNode(argument: _orchion_v1_UpdateNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  UpdateNode(argument: _orchion_v1_UpdateNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  UpdateNode(argument: _orchion_v1_UpdateNodeRequest, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  /**
   * Replaces what is known of a node's hardware. NOT_FOUND for an unknown id.
   */
  updateNode(argument: _orchion_v1_UpdateNodeRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  updateNode(argument: _orchion_v1_UpdateNodeRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  updateNode(argument: _orchion_v1_UpdateNodeRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  updateNode(argument: _orchion_v1_UpdateNodeRequest, callback: grpc.requestCallback<_orchion_v1_UpdateNodeResponse__Output>): grpc.ClientUnaryCall;
  
}

/**
 * Served by the orchestrator: who is in the cluster, and the jobs it runs.
 */
export interface OrchestratorHandlers extends grpc.UntypedServiceImplementation {
  GetJobStatus: grpc.handleUnaryCall<_orchion_v1_GetJobStatusRequest__Output, _orchion_v1_GetJobStatusResponse>;
  
  /**
   * Says that a node is alive. NOT_FOUND for an unknown id: register again.
   */
  Heartbeat: grpc.handleUnaryCall<_orchion_v1_HeartbeatRequest__Output, _orchion_v1_HeartbeatResponse>;
  
  ListNodes: grpc.handleUnaryCall<_orchion_v1_ListNodesRequest__Output, _orchion_v1_ListNodesResponse>;
  
  /**
   * Adds a node, or replaces the one with the same id.
   */
  RegisterNode: grpc.handleUnaryCall<_orchion_v1_RegisterNodeRequest__Output, _orchion_v1_RegisterNodeResponse>;
  
  SubmitJob: grpc.handleUnaryCall<_orchion_v1_SubmitJobRequest__Output, _orchion_v1_SubmitJobResponse>;
  
  /**
   * Replaces what is known of a node's hardware. NOT_FOUND for an unknown id.
   */
  UpdateNode: grpc.handleUnaryCall<_orchion_v1_UpdateNodeRequest__Output, _orchion_v1_UpdateNodeResponse>;
  
}

export interface OrchestratorDefinition extends grpc.ServiceDefinition {
  GetJobStatus: MethodDefinition<_orchion_v1_GetJobStatusRequest, _orchion_v1_GetJobStatusResponse, _orchion_v1_GetJobStatusRequest__Output, _orchion_v1_GetJobStatusResponse__Output>
  Heartbeat: MethodDefinition<_orchion_v1_HeartbeatRequest, _orchion_v1_HeartbeatResponse, _orchion_v1_HeartbeatRequest__Output, _orchion_v1_HeartbeatResponse__Output>
  ListNodes: MethodDefinition<_orchion_v1_ListNodesRequest, _orchion_v1_ListNodesResponse, _orchion_v1_ListNodesRequest__Output, _orchion_v1_ListNodesResponse__Output>
  RegisterNode: MethodDefinition<_orchion_v1_RegisterNodeRequest, _orchion_v1_RegisterNodeResponse, _orchion_v1_RegisterNodeRequest__Output, _orchion_v1_RegisterNodeResponse__Output>
  SubmitJob: MethodDefinition<_orchion_v1_SubmitJobRequest, _orchion_v1_SubmitJobResponse, _orchion_v1_SubmitJobRequest__Output, _orchion_v1_SubmitJobResponse__Output>
  UpdateNode: MethodDefinition<_orchion_v1_UpdateNodeRequest, _orchion_v1_UpdateNodeResponse, _orchion_v1_UpdateNodeRequest__Output, _orchion_v1_UpdateNodeResponse__Output>
}
