// Original file: proto/orchion/v1/orchestrator.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { StreamLogsRequest as _orchion_v1_StreamLogsRequest, StreamLogsRequest__Output as _orchion_v1_StreamLogsRequest__Output } from '../../orchion/v1/StreamLogsRequest.js';
import type { StreamLogsResponse as _orchion_v1_StreamLogsResponse, StreamLogsResponse__Output as _orchion_v1_StreamLogsResponse__Output } from '../../orchion/v1/StreamLogsResponse.js';

/**
 * Served by the orchestrator: what the cluster logs, as it happens.
 */
export interface LogStreamerClient extends grpc.Client {
  StreamLogs(argument: _orchion_v1_StreamLogsRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_StreamLogsResponse__Output>;
  StreamLogs(argument: _orchion_v1_StreamLogsRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_StreamLogsResponse__Output>;
  streamLogs(argument: _orchion_v1_StreamLogsRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_StreamLogsResponse__Output>;
  streamLogs(argument: _orchion_v1_StreamLogsRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_StreamLogsResponse__Output>;
  
}

/**
 * Served by the orchestrator: what the cluster logs, as it happens.
 */
export interface LogStreamerHandlers extends grpc.UntypedServiceImplementation {
  StreamLogs: grpc.handleServerStreamingCall<_orchion_v1_StreamLogsRequest__Output, _orchion_v1_StreamLogsResponse>;
  
}

export interface LogStreamerDefinition extends grpc.ServiceDefinition {
  StreamLogs: MethodDefinition<_orchion_v1_StreamLogsRequest, _orchion_v1_StreamLogsResponse, _orchion_v1_StreamLogsRequest__Output, _orchion_v1_StreamLogsResponse__Output>
}
