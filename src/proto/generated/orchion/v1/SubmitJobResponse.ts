// Original file: proto/orchion/v1/orchestrator.proto

import type { JobStatus as _orchion_v1_JobStatus, JobStatus__Output as _orchion_v1_JobStatus__Output } from '../../orchion/v1/JobStatus.js';

export interface SubmitJobResponse {
  'job_id'?: (string);
  'status'?: (_orchion_v1_JobStatus);
}

export interface SubmitJobResponse__Output {
  'job_id': (string);
  'status': (_orchion_v1_JobStatus__Output);
}
