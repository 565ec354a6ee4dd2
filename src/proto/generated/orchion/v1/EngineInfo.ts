// Original file: proto/orchion/v1/orchestrator.proto


/**
 * An inference engine under the agent's care.
 */
export interface EngineInfo {
  /**
   * vllm, ollama
   */
  'name'?: (string);
  /**
   * pulling, starting, loading, ready, unhealthy, restarting, failed, stopped
   */
  'state'?: (string);
  /**
   * the names it answers to
   */
  'models'?: (string)[];
  /**
   * progress, or what is wrong, in a sentence
   */
  'detail'?: (string);
  /**
   * 0 to 1 of the current state, where known
   */
  'progress'?: (number | string);
  /**
   * since the agent started
   */
  'restarts'?: (number);
  'image'?: (string);
  '_progress'?: "progress";
  '_image'?: "image";
}

/**
 * An inference engine under the agent's care.
 */
export interface EngineInfo__Output {
  /**
   * vllm, ollama
   */
  'name': (string);
  /**
   * pulling, starting, loading, ready, unhealthy, restarting, failed, stopped
   */
  'state': (string);
  /**
   * the names it answers to
   */
  'models': (string)[];
  /**
   * progress, or what is wrong, in a sentence
   */
  'detail': (string);
  /**
   * 0 to 1 of the current state, where known
   */
  'progress'?: (number);
  /**
   * since the agent started
   */
  'restarts': (number);
  'image'?: (string);
  '_progress'?: "progress";
  '_image'?: "image";
}
