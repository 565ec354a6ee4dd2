// Original file: proto/orchion/v1/orchestrator.proto

import type { CpuInfo as _orchion_v1_CpuInfo, CpuInfo__Output as _orchion_v1_CpuInfo__Output } from '../../orchion/v1/CpuInfo.js';
import type { MemoryInfo as _orchion_v1_MemoryInfo, MemoryInfo__Output as _orchion_v1_MemoryInfo__Output } from '../../orchion/v1/MemoryInfo.js';
import type { OsInfo as _orchion_v1_OsInfo, OsInfo__Output as _orchion_v1_OsInfo__Output } from '../../orchion/v1/OsInfo.js';
import type { GpuInfo as _orchion_v1_GpuInfo, GpuInfo__Output as _orchion_v1_GpuInfo__Output } from '../../orchion/v1/GpuInfo.js';
import type { DiskInfo as _orchion_v1_DiskInfo, DiskInfo__Output as _orchion_v1_DiskInfo__Output } from '../../orchion/v1/DiskInfo.js';
import type { NetworkInfo as _orchion_v1_NetworkInfo, NetworkInfo__Output as _orchion_v1_NetworkInfo__Output } from '../../orchion/v1/NetworkInfo.js';
import type { ContainerRuntimeInfo as _orchion_v1_ContainerRuntimeInfo, ContainerRuntimeInfo__Output as _orchion_v1_ContainerRuntimeInfo__Output } from '../../orchion/v1/ContainerRuntimeInfo.js';
import type { Finding as _orchion_v1_Finding, Finding__Output as _orchion_v1_Finding__Output } from '../../orchion/v1/Finding.js';
import type { EngineInfo as _orchion_v1_EngineInfo, EngineInfo__Output as _orchion_v1_EngineInfo__Output } from '../../orchion/v1/EngineInfo.js';

/**
 * What a node's hardware is. The strings up to 10 are written for people and
 * are printed as they stand; exact figures are in the fields from 100 up.
 */
export interface Capabilities {
  /**
   * "8 cores"
   */
  'cpu'?: (string);
  /**
   * "23.54 GB": GiB, two decimals
   */
  'memory'?: (string);
  /**
   * "linux/amd64", in Go's names
   */
  'os'?: (string);
  /**
   * "NVIDIA H200", or "No GPU detected"
   */
  'gpu_type'?: (string);
  /**
   * "140.4 GB", or "N/A"
   */
  'gpu_vram_total'?: (string);
  /**
   * "138.2 GB", or "N/A"
   */
  'gpu_vram_available'?: (string);
  /**
   * superseded by gpu_power_usage
   */
  'power_usage'?: (string);
  /**
   * "2.2 GB", or "N/A"
   */
  'gpu_vram_used'?: (string);
  /**
   * "33°C", or "N/A"
   */
  'gpu_temperature'?: (string);
  /**
   * "75.2 W", or "N/A"
   */
  'gpu_power_usage'?: (string);
  /**
   * semantic version of the agent
   */
  'agent_version'?: (string);
  'labels'?: ({[key: string]: string});
  'cpu_info'?: (_orchion_v1_CpuInfo | null);
  'memory_info'?: (_orchion_v1_MemoryInfo | null);
  'os_info'?: (_orchion_v1_OsInfo | null);
  'gpus'?: (_orchion_v1_GpuInfo)[];
  'disks'?: (_orchion_v1_DiskInfo)[];
  'network'?: (_orchion_v1_NetworkInfo | null);
  'container_runtime'?: (_orchion_v1_ContainerRuntimeInfo | null);
  'findings'?: (_orchion_v1_Finding)[];
  'engines'?: (_orchion_v1_EngineInfo)[];
}

/**
 * What a node's hardware is. The strings up to 10 are written for people and
 * are printed as they stand; exact figures are in the fields from 100 up.
 */
export interface Capabilities__Output {
  /**
   * "8 cores"
   */
  'cpu': (string);
  /**
   * "23.54 GB": GiB, two decimals
   */
  'memory': (string);
  /**
   * "linux/amd64", in Go's names
   */
  'os': (string);
  /**
   * "NVIDIA H200", or "No GPU detected"
   */
  'gpu_type': (string);
  /**
   * "140.4 GB", or "N/A"
   */
  'gpu_vram_total': (string);
  /**
   * "138.2 GB", or "N/A"
   */
  'gpu_vram_available': (string);
  /**
   * superseded by gpu_power_usage
   */
  'power_usage': (string);
  /**
   * "2.2 GB", or "N/A"
   */
  'gpu_vram_used': (string);
  /**
   * "33°C", or "N/A"
   */
  'gpu_temperature': (string);
  /**
   * "75.2 W", or "N/A"
   */
  'gpu_power_usage': (string);
  /**
   * semantic version of the agent
   */
  'agent_version': (string);
  'labels': ({[key: string]: string});
  'cpu_info': (_orchion_v1_CpuInfo__Output | null);
  'memory_info': (_orchion_v1_MemoryInfo__Output | null);
  'os_info': (_orchion_v1_OsInfo__Output | null);
  'gpus': (_orchion_v1_GpuInfo__Output)[];
  'disks': (_orchion_v1_DiskInfo__Output)[];
  'network': (_orchion_v1_NetworkInfo__Output | null);
  'container_runtime': (_orchion_v1_ContainerRuntimeInfo__Output | null);
  'findings': (_orchion_v1_Finding__Output)[];
  'engines': (_orchion_v1_EngineInfo__Output)[];
}
