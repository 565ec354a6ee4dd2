// Original file: proto/orchion/v1/orchestrator.proto

import type { Embedding as _orchion_v1_Embedding, Embedding__Output as _orchion_v1_Embedding__Output } from '../../orchion/v1/Embedding.js';

export interface EmbeddingResponse {
  'model'?: (string);
  'data'?: (_orchion_v1_Embedding)[];
  /**
   * "list"
   */
  'object'?: (string);
  'usage_prompt_tokens'?: (number);
}

export interface EmbeddingResponse__Output {
  'model': (string);
  'data': (_orchion_v1_Embedding__Output)[];
  /**
   * "list"
   */
  'object': (string);
  'usage_prompt_tokens': (number);
}
