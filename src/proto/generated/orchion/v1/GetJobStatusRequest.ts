// Original file: proto/orchion/v1/orchestrator.proto


export interface GetJobStatusRequest {
  'job_id'?: (string);
}

export interface GetJobStatusRequest__Output {
  'job_id': (string);
}
