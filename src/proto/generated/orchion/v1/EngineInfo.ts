// Original file: proto/orchion/v1/orchestrator.proto

import type { EngineFigures as _orchion_v1_EngineFigures, EngineFigures__Output as _orchion_v1_EngineFigures__Output } from '../../orchion/v1/EngineFigures.js';
import type { Long } from '@grpc/proto-loader';

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
  /**
   * of the image or the model that comes
   */
  'done_bytes'?: (number | string | Long);
  'total_bytes'?: (number | string | Long);
  /**
   * of the requests that the agent relayed to it
   */
  'figures'?: (_orchion_v1_EngineFigures | null);
  /**
   * the last lines before it failed; empty while all is well
   */
  'recent_log'?: (string)[];
  '_progress'?: "progress";
  '_image'?: "image";
  '_done_bytes'?: "done_bytes";
  '_total_bytes'?: "total_bytes";
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
  /**
   * of the image or the model that comes
   */
  'done_bytes'?: (string);
  'total_bytes'?: (string);
  /**
   * of the requests that the agent relayed to it
   */
  'figures': (_orchion_v1_EngineFigures__Output | null);
  /**
   * the last lines before it failed; empty while all is well
   */
  'recent_log': (string)[];
  '_progress'?: "progress";
  '_image'?: "image";
  '_done_bytes'?: "done_bytes";
  '_total_bytes'?: "total_bytes";
}
