// Original file: proto/orchion/v1/orchestrator.proto

import type { Long } from '@grpc/proto-loader';

export interface MemoryInfo {
  /**
   * of the machine
   */
  'total_bytes'?: (number | string | Long);
  /**
   * of the machine, without swapping
   */
  'available_bytes'?: (number | string | Long);
  'swap_total_bytes'?: (number | string | Long);
  'swap_free_bytes'?: (number | string | Long);
  /**
   * what the agent's cgroup may use
   */
  'limit_bytes'?: (number | string | Long);
  /**
   * what that cgroup uses now
   */
  'limit_used_bytes'?: (number | string | Long);
  '_swap_total_bytes'?: "swap_total_bytes";
  '_swap_free_bytes'?: "swap_free_bytes";
  '_limit_bytes'?: "limit_bytes";
  '_limit_used_bytes'?: "limit_used_bytes";
}

export interface MemoryInfo__Output {
  /**
   * of the machine
   */
  'total_bytes': (string);
  /**
   * of the machine, without swapping
   */
  'available_bytes': (string);
  'swap_total_bytes'?: (string);
  'swap_free_bytes'?: (string);
  /**
   * what the agent's cgroup may use
   */
  'limit_bytes'?: (string);
  /**
   * what that cgroup uses now
   */
  'limit_used_bytes'?: (string);
  '_swap_total_bytes'?: "swap_total_bytes";
  '_swap_free_bytes'?: "swap_free_bytes";
  '_limit_bytes'?: "limit_bytes";
  '_limit_used_bytes'?: "limit_used_bytes";
}
