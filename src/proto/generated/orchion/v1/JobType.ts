// Original file: proto/orchion/v1/orchestrator.proto

export const JobType = {
  JOB_TYPE_UNSPECIFIED: 'JOB_TYPE_UNSPECIFIED',
  JOB_TYPE_CHAT_COMPLETION: 'JOB_TYPE_CHAT_COMPLETION',
  JOB_TYPE_EMBEDDINGS: 'JOB_TYPE_EMBEDDINGS',
} as const;

export type JobType =
  | 'JOB_TYPE_UNSPECIFIED'
  | 0
  | 'JOB_TYPE_CHAT_COMPLETION'
  | 1
  | 'JOB_TYPE_EMBEDDINGS'
  | 2

export type JobType__Output = typeof JobType[keyof typeof JobType]
