// Original file: proto/orchion/v1/orchestrator.proto

import type { MigInstance as _orchion_v1_MigInstance, MigInstance__Output as _orchion_v1_MigInstance__Output } from '../../orchion/v1/MigInstance.js';
import type { GpuProcess as _orchion_v1_GpuProcess, GpuProcess__Output as _orchion_v1_GpuProcess__Output } from '../../orchion/v1/GpuProcess.js';
import type { Long } from '@grpc/proto-loader';

export interface GpuInfo {
  /**
   * nvidia, amd, intel, apple
   */
  'vendor'?: (string);
  'model'?: (string);
  'uuid'?: (string);
  /**
   * in the order of the vendor's tool
   */
  'index'?: (number);
  'pci_address'?: (string);
  'memory_total_bytes'?: (number | string | Long);
  'memory_used_bytes'?: (number | string | Long);
  'memory_free_bytes'?: (number | string | Long);
  /**
   * shares the system's memory
   */
  'unified_memory'?: (boolean);
  'utilization_percent'?: (number | string);
  'temperature_celsius'?: (number | string);
  'power_draw_watts'?: (number | string);
  'power_limit_watts'?: (number | string);
  'driver_version'?: (string);
  /**
   * "9.0", or AMD's "gfx942"
   */
  'compute_capability'?: (string);
  'mig_instances'?: (_orchion_v1_MigInstance)[];
  /**
   * those that are not the agent's
   */
  'foreign_processes'?: (_orchion_v1_GpuProcess)[];
  'healthy'?: (boolean);
  /**
   * when not healthy: what is wrong
   */
  'health_problem'?: (string);
  '_uuid'?: "uuid";
  '_index'?: "index";
  '_pci_address'?: "pci_address";
  '_memory_total_bytes'?: "memory_total_bytes";
  '_memory_used_bytes'?: "memory_used_bytes";
  '_memory_free_bytes'?: "memory_free_bytes";
  '_utilization_percent'?: "utilization_percent";
  '_temperature_celsius'?: "temperature_celsius";
  '_power_draw_watts'?: "power_draw_watts";
  '_power_limit_watts'?: "power_limit_watts";
  '_driver_version'?: "driver_version";
  '_compute_capability'?: "compute_capability";
  '_health_problem'?: "health_problem";
}

export interface GpuInfo__Output {
  /**
   * nvidia, amd, intel, apple
   */
  'vendor': (string);
  'model': (string);
  'uuid'?: (string);
  /**
   * in the order of the vendor's tool
   */
  'index'?: (number);
  'pci_address'?: (string);
  'memory_total_bytes'?: (string);
  'memory_used_bytes'?: (string);
  'memory_free_bytes'?: (string);
  /**
   * shares the system's memory
   */
  'unified_memory': (boolean);
  'utilization_percent'?: (number);
  'temperature_celsius'?: (number);
  'power_draw_watts'?: (number);
  'power_limit_watts'?: (number);
  'driver_version'?: (string);
  /**
   * "9.0", or AMD's "gfx942"
   */
  'compute_capability'?: (string);
  'mig_instances': (_orchion_v1_MigInstance__Output)[];
  /**
   * those that are not the agent's
   */
  'foreign_processes': (_orchion_v1_GpuProcess__Output)[];
  'healthy': (boolean);
  /**
   * when not healthy: what is wrong
   */
  'health_problem'?: (string);
  '_uuid'?: "uuid";
  '_index'?: "index";
  '_pci_address'?: "pci_address";
  '_memory_total_bytes'?: "memory_total_bytes";
  '_memory_used_bytes'?: "memory_used_bytes";
  '_memory_free_bytes'?: "memory_free_bytes";
  '_utilization_percent'?: "utilization_percent";
  '_temperature_celsius'?: "temperature_celsius";
  '_power_draw_watts'?: "power_draw_watts";
  '_power_limit_watts'?: "power_limit_watts";
  '_driver_version'?: "driver_version";
  '_compute_capability'?: "compute_capability";
  '_health_problem'?: "health_problem";
}
