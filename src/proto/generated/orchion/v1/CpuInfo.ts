// Original file: proto/orchion/v1/orchestrator.proto


/**
 * An absent optional field is unknown; it is never to be read as zero.
 */
export interface CpuInfo {
  'model'?: (string);
  'vendor'?: (string);
  /**
   * Go's names: amd64, arm64, arm
   */
  'architecture'?: (string);
  'sockets'?: (number);
  'physical_cores'?: (number);
  'logical_cores'?: (number);
  'base_mhz'?: (number);
  'max_mhz'?: (number);
  /**
   * what the agent's cgroup may use
   */
  'limit_cores'?: (number | string);
  /**
   * avx2, avx512f, amx, neon, sve
   */
  'features'?: (string)[];
  '_sockets'?: "sockets";
  '_physical_cores'?: "physical_cores";
  '_base_mhz'?: "base_mhz";
  '_max_mhz'?: "max_mhz";
  '_limit_cores'?: "limit_cores";
}

/**
 * An absent optional field is unknown; it is never to be read as zero.
 */
export interface CpuInfo__Output {
  'model': (string);
  'vendor': (string);
  /**
   * Go's names: amd64, arm64, arm
   */
  'architecture': (string);
  'sockets'?: (number);
  'physical_cores'?: (number);
  'logical_cores': (number);
  'base_mhz'?: (number);
  'max_mhz'?: (number);
  /**
   * what the agent's cgroup may use
   */
  'limit_cores'?: (number);
  /**
   * avx2, avx512f, amx, neon, sve
   */
  'features': (string)[];
  '_sockets'?: "sockets";
  '_physical_cores'?: "physical_cores";
  '_base_mhz'?: "base_mhz";
  '_max_mhz'?: "max_mhz";
  '_limit_cores'?: "limit_cores";
}
