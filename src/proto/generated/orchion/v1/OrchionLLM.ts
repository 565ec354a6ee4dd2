// Original file: proto/orchion/v1/orchestrator.proto

import type * as grpc from '@grpc/grpc-js'
import type { MethodDefinition } from '@grpc/proto-loader'
import type { ChatCompletionRequest as _orchion_v1_ChatCompletionRequest, ChatCompletionRequest__Output as _orchion_v1_ChatCompletionRequest__Output } from '../../orchion/v1/ChatCompletionRequest.js';
import type { ChatCompletionResponse as _orchion_v1_ChatCompletionResponse, ChatCompletionResponse__Output as _orchion_v1_ChatCompletionResponse__Output } from '../../orchion/v1/ChatCompletionResponse.js';
import type { EmbeddingRequest as _orchion_v1_EmbeddingRequest, EmbeddingRequest__Output as _orchion_v1_EmbeddingRequest__Output } from '../../orchion/v1/EmbeddingRequest.js';
import type { EmbeddingResponse as _orchion_v1_EmbeddingResponse, EmbeddingResponse__Output as _orchion_v1_EmbeddingResponse__Output } from '../../orchion/v1/EmbeddingResponse.js';

/**
 * Served by the orchestrator: inference by whichever node has the model.
 */
export interface OrchionLLMClient extends grpc.Client {
  /**
   * A stream of chunks, or a single message when `stream` is false.
   */
  ChatCompletion(argument: _orchion_v1_ChatCompletionRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_ChatCompletionResponse__Output>;
  ChatCompletion(argument: _orchion_v1_ChatCompletionRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_ChatCompletionResponse__Output>;
  /**
   * A stream of chunks, or a single message when `stream` is false.
   */
  chatCompletion(argument: _orchion_v1_ChatCompletionRequest, metadata: grpc.Metadata, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_ChatCompletionResponse__Output>;
  chatCompletion(argument: _orchion_v1_ChatCompletionRequest, options?: grpc.CallOptions): grpc.ClientReadableStream<_orchion_v1_ChatCompletionResponse__Output>;
  
  Embeddings(argument: _orchion_v1_EmbeddingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  Embeddings(argument: _orchion_v1_EmbeddingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  Embeddings(argument: _orchion_v1_EmbeddingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  Embeddings(argument: _orchion_v1_EmbeddingRequest, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  embeddings(argument: _orchion_v1_EmbeddingRequest, metadata: grpc.Metadata, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  embeddings(argument: _orchion_v1_EmbeddingRequest, metadata: grpc.Metadata, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  embeddings(argument: _orchion_v1_EmbeddingRequest, options: grpc.CallOptions, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  embeddings(argument: _orchion_v1_EmbeddingRequest, callback: grpc.requestCallback<_orchion_v1_EmbeddingResponse__Output>): grpc.ClientUnaryCall;
  
}

/**
 * Served by the orchestrator: inference by whichever node has the model.
 */
export interface OrchionLLMHandlers extends grpc.UntypedServiceImplementation {
  /**
   * A stream of chunks, or a single message when `stream` is false.
   */
  ChatCompletion: grpc.handleServerStreamingCall<_orchion_v1_ChatCompletionRequest__Output, _orchion_v1_ChatCompletionResponse>;
  
  Embeddings: grpc.handleUnaryCall<_orchion_v1_EmbeddingRequest__Output, _orchion_v1_EmbeddingResponse>;
  
}

export interface OrchionLLMDefinition extends grpc.ServiceDefinition {
  ChatCompletion: MethodDefinition<_orchion_v1_ChatCompletionRequest, _orchion_v1_ChatCompletionResponse, _orchion_v1_ChatCompletionRequest__Output, _orchion_v1_ChatCompletionResponse__Output>
  Embeddings: MethodDefinition<_orchion_v1_EmbeddingRequest, _orchion_v1_EmbeddingResponse, _orchion_v1_EmbeddingRequest__Output, _orchion_v1_EmbeddingResponse__Output>
}
