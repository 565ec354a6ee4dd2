// Original file: proto/orchion/v1/orchestrator.proto

import type { Long } from '@grpc/proto-loader';

export interface GpuProcess {
  'pid'?: (number);
  'name'?: (string);
  'memory_used_bytes'?: (number | string | Long);
  '_memory_used_bytes'?: "memory_used_bytes";
}

export interface GpuProcess__Output {
  'pid': (number);
  'name': (string);
  'memory_used_bytes'?: (string);
  '_memory_used_bytes'?: "memory_used_bytes";
}
