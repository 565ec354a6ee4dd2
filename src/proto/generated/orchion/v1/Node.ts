// Original file: proto/orchion/v1/orchestrator.proto

import type { Capabilities as _orchion_v1_Capabilities, Capabilities__Output as _orchion_v1_Capabilities__Output } from '../../orchion/v1/Capabilities.js';
import type { Long } from '@grpc/proto-loader';

export interface Node {
  'id'?: (string);
  'hostname'?: (string);
  'capabilities'?: (_orchion_v1_Capabilities | null);
  /**
   * seconds
   */
  'last_seen_unix'?: (number | string | Long);
  /**
   * host:port of its NodeAgent service
   */
  'agent_address'?: (string);
  /**
   * has missed its heartbeats
   */
  'stale'?: (boolean);
  /**
   * seconds
   */
  'registered_unix'?: (number | string | Long);
  /**
   * its agent said goodbye: expected to be silent
   */
  'stopped'?: (boolean);
  /**
   * of the agent's process: another one with the same id is another agent
   */
  'instance_id'?: (string);
  '_stopped'?: "stopped";
  '_instance_id'?: "instance_id";
}

export interface Node__Output {
  'id': (string);
  'hostname': (string);
  'capabilities': (_orchion_v1_Capabilities__Output | null);
  /**
   * seconds
   */
  'last_seen_unix': (string);
  /**
   * host:port of its NodeAgent service
   */
  'agent_address': (string);
  /**
   * has missed its heartbeats
   */
  'stale': (boolean);
  /**
   * seconds
   */
  'registered_unix': (string);
  /**
   * its agent said goodbye: expected to be silent
   */
  'stopped'?: (boolean);
  /**
   * of the agent's process: another one with the same id is another agent
   */
  'instance_id'?: (string);
  '_stopped'?: "stopped";
  '_instance_id'?: "instance_id";
}
