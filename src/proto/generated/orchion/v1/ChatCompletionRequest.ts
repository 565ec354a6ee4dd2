// Original file: proto/orchion/v1/orchestrator.proto

import type { ChatMessage as _orchion_v1_ChatMessage, ChatMessage__Output as _orchion_v1_ChatMessage__Output } from '../../orchion/v1/ChatMessage.js';

export interface ChatCompletionRequest {
  'model'?: (string);
  'messages'?: (_orchion_v1_ChatMessage)[];
  /**
   * 0 leaves it to the engine, unless `greedy` is set
   */
  'temperature'?: (number | string);
  'stream'?: (boolean);
  /**
   * 0 leaves it to the engine
   */
  'max_tokens'?: (number);
  /**
   * a temperature of 0 is meant
   */
  'greedy'?: (boolean);
  /**
   * further options of OpenAI's API as a JSON object: top_p, stop, seed, ...
   */
  'options_json'?: (string);
}

export interface ChatCompletionRequest__Output {
  'model': (string);
  'messages': (_orchion_v1_ChatMessage__Output)[];
  /**
   * 0 leaves it to the engine, unless `greedy` is set
   */
  'temperature': (number);
  'stream': (boolean);
  /**
   * 0 leaves it to the engine
   */
  'max_tokens': (number);
  /**
   * a temperature of 0 is meant
   */
  'greedy': (boolean);
  /**
   * further options of OpenAI's API as a JSON object: top_p, stop, seed, ...
   */
  'options_json': (string);
}
