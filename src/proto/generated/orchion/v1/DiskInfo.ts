// Original file: proto/orchion/v1/orchestrator.proto

import type { Long } from '@grpc/proto-loader';

export interface DiskInfo {
  /**
   * "state", "docker"
   */
  'purpose'?: (string);
  'path'?: (string);
  'total_bytes'?: (number | string | Long);
  /**
   * free to an unprivileged user
   */
  'free_bytes'?: (number | string | Long);
}

export interface DiskInfo__Output {
  /**
   * "state", "docker"
   */
  'purpose': (string);
  'path': (string);
  'total_bytes': (string);
  /**
   * free to an unprivileged user
   */
  'free_bytes': (string);
}
