// Original file: proto/orchion/v1/orchestrator.proto

import type { JobStatus as _orchion_v1_JobStatus, JobStatus__Output as _orchion_v1_JobStatus__Output } from '../../orchion/v1/JobStatus.js';

export interface GetJobStatusResponse {
  'job_id'?: (string);
  'status'?: (_orchion_v1_JobStatus);
  'assigned_node'?: (string);
  'error_message'?: (string);
  /**
   * the serialized response
   */
  'result'?: (Buffer | Uint8Array | string);
}

export interface GetJobStatusResponse__Output {
  'job_id': (string);
  'status': (_orchion_v1_JobStatus__Output);
  'assigned_node': (string);
  'error_message': (string);
  /**
   * the serialized response
   */
  'result': (Buffer);
}
