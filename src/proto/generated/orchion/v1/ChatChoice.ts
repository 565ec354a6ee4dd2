// Original file: proto/orchion/v1/orchestrator.proto

import type { ChatMessage as _orchion_v1_ChatMessage, ChatMessage__Output as _orchion_v1_ChatMessage__Output } from '../../orchion/v1/ChatMessage.js';

export interface ChatChoice {
  'index'?: (number);
  'message'?: (_orchion_v1_ChatMessage | null);
  'finish_reason'?: (string);
  /**
   * what the model thought before it answered, where the engine tells it apart
   */
  'reasoning'?: (string);
}

export interface ChatChoice__Output {
  'index': (number);
  'message': (_orchion_v1_ChatMessage__Output | null);
  'finish_reason': (string);
  /**
   * what the model thought before it answered, where the engine tells it apart
   */
  'reasoning': (string);
}
