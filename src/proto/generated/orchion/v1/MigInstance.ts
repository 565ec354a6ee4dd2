// Original file: proto/orchion/v1/orchestrator.proto

import type { Long } from '@grpc/proto-loader';

export interface MigInstance {
  'uuid'?: (string);
  /**
   * "1g.10gb"
   */
  'profile'?: (string);
  'memory_total_bytes'?: (number | string | Long);
  '_memory_total_bytes'?: "memory_total_bytes";
}

export interface MigInstance__Output {
  'uuid': (string);
  /**
   * "1g.10gb"
   */
  'profile': (string);
  'memory_total_bytes'?: (string);
  '_memory_total_bytes'?: "memory_total_bytes";
}
