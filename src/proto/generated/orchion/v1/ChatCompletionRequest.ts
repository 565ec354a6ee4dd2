// Original file: proto/orchion/v1/orchestrator.proto

import type { ChatMessage as _orchion_v1_ChatMessage, ChatMessage__Output as _orchion_v1_ChatMessage__Output } from '../../orchion/v1/ChatMessage.js';

export interface ChatCompletionRequest {
  'model'?: (string);
  'messages'?: (_orchion_v1_ChatMessage)[];
  'temperature'?: (number | string);
  'stream'?: (boolean);
  'max_tokens'?: (number);
}

export interface ChatCompletionRequest__Output {
  'model': (string);
  'messages': (_orchion_v1_ChatMessage__Output)[];
  'temperature': (number);
  'stream': (boolean);
  'max_tokens': (number);
}
