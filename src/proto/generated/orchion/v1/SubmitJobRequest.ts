// Original file: proto/orchion/v1/orchestrator.proto

import type { JobType as _orchion_v1_JobType, JobType__Output as _orchion_v1_JobType__Output } from '../../orchion/v1/JobType.js';

export interface SubmitJobRequest {
  'job_id'?: (string);
  'job_type'?: (_orchion_v1_JobType);
  /**
   * a serialized ChatCompletionRequest or EmbeddingRequest
   */
  'payload'?: (Buffer | Uint8Array | string);
}

export interface SubmitJobRequest__Output {
  'job_id': (string);
  'job_type': (_orchion_v1_JobType__Output);
  /**
   * a serialized ChatCompletionRequest or EmbeddingRequest
   */
  'payload': (Buffer);
}
