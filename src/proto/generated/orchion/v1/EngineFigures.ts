// Original file: proto/orchion/v1/orchestrator.proto

import type { ErrorCount as _orchion_v1_ErrorCount, ErrorCount__Output as _orchion_v1_ErrorCount__Output } from '../../orchion/v1/ErrorCount.js';

/**
 * Counted since the agent started. Counts are exact up to 2^53.
 */
export interface EngineFigures {
  'requests'?: (number | string);
  /**
   * requests that did not end well, those that were cancelled not among them
   */
  'errors'?: (number | string);
  'in_flight'?: (number);
  'prompt_tokens'?: (number | string);
  'completion_tokens'?: (number | string);
  /**
   * made now, over all requests
   */
  'tokens_per_second'?: (number | string);
  /**
   * median of the last requests
   */
  'first_token_ms'?: (number | string);
  /**
   * median of the last requests
   */
  'duration_ms'?: (number | string);
  'errors_by_kind'?: (_orchion_v1_ErrorCount)[];
  '_first_token_ms'?: "first_token_ms";
  '_duration_ms'?: "duration_ms";
}

/**
 * Counted since the agent started. Counts are exact up to 2^53.
 */
export interface EngineFigures__Output {
  'requests': (number);
  /**
   * requests that did not end well, those that were cancelled not among them
   */
  'errors': (number);
  'in_flight': (number);
  'prompt_tokens': (number);
  'completion_tokens': (number);
  /**
   * made now, over all requests
   */
  'tokens_per_second': (number);
  /**
   * median of the last requests
   */
  'first_token_ms'?: (number);
  /**
   * median of the last requests
   */
  'duration_ms'?: (number);
  'errors_by_kind': (_orchion_v1_ErrorCount__Output)[];
  '_first_token_ms'?: "first_token_ms";
  '_duration_ms'?: "duration_ms";
}
