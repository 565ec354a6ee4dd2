// Original file: proto/orchion/v1/orchestrator.proto

import type { ChatChoice as _orchion_v1_ChatChoice, ChatChoice__Output as _orchion_v1_ChatChoice__Output } from '../../orchion/v1/ChatChoice.js';
import type { TokenUsage as _orchion_v1_TokenUsage, TokenUsage__Output as _orchion_v1_TokenUsage__Output } from '../../orchion/v1/TokenUsage.js';
import type { Long } from '@grpc/proto-loader';

export interface ChatCompletionResponse {
  'id'?: (string);
  'model'?: (string);
  'choices'?: (_orchion_v1_ChatChoice)[];
  /**
   * seconds
   */
  'created'?: (number | string | Long);
  /**
   * "chat.completion" or "chat.completion.chunk"
   */
  'object'?: (string);
  /**
   * with the last message, where the engine tells
   */
  'usage'?: (_orchion_v1_TokenUsage | null);
  /**
   * of the engine's stream that this message joins: as many tokens, nearly always
   */
  'pieces'?: (number);
}

export interface ChatCompletionResponse__Output {
  'id': (string);
  'model': (string);
  'choices': (_orchion_v1_ChatChoice__Output)[];
  /**
   * seconds
   */
  'created': (string);
  /**
   * "chat.completion" or "chat.completion.chunk"
   */
  'object': (string);
  /**
   * with the last message, where the engine tells
   */
  'usage': (_orchion_v1_TokenUsage__Output | null);
  /**
   * of the engine's stream that this message joins: as many tokens, nearly always
   */
  'pieces': (number);
}
