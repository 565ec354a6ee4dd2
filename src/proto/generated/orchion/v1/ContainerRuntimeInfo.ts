// Original file: proto/orchion/v1/orchestrator.proto


export interface ContainerRuntimeInfo {
  /**
   * docker, podman
   */
  'kind'?: (string);
  'version'?: (string);
  /**
   * can hand GPUs to containers
   */
  'gpu_ready'?: (boolean);
  '_version'?: "version";
  '_gpu_ready'?: "gpu_ready";
}

export interface ContainerRuntimeInfo__Output {
  /**
   * docker, podman
   */
  'kind': (string);
  'version'?: (string);
  /**
   * can hand GPUs to containers
   */
  'gpu_ready'?: (boolean);
  '_version'?: "version";
  '_gpu_ready'?: "gpu_ready";
}
