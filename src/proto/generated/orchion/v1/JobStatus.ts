// Original file: proto/orchion/v1/orchestrator.proto

export const JobStatus = {
  JOB_STATUS_UNSPECIFIED: 'JOB_STATUS_UNSPECIFIED',
  JOB_STATUS_PENDING: 'JOB_STATUS_PENDING',
  JOB_STATUS_ASSIGNED: 'JOB_STATUS_ASSIGNED',
  JOB_STATUS_RUNNING: 'JOB_STATUS_RUNNING',
  JOB_STATUS_COMPLETED: 'JOB_STATUS_COMPLETED',
  JOB_STATUS_FAILED: 'JOB_STATUS_FAILED',
} as const;

export type JobStatus =
  | 'JOB_STATUS_UNSPECIFIED'
  | 0
  | 'JOB_STATUS_PENDING'
  | 1
  | 'JOB_STATUS_ASSIGNED'
  | 2
  | 'JOB_STATUS_RUNNING'
  | 3
  | 'JOB_STATUS_COMPLETED'
  | 4
  | 'JOB_STATUS_FAILED'
  | 5

export type JobStatus__Output = typeof JobStatus[keyof typeof JobStatus]
