// Original file: proto/orchion/v1/orchestrator.proto

import type { Capabilities as _orchion_v1_Capabilities, Capabilities__Output as _orchion_v1_Capabilities__Output } from '../../orchion/v1/Capabilities.js';

export interface UpdateNodeRequest {
  'node_id'?: (string);
  'capabilities'?: (_orchion_v1_Capabilities | null);
  /**
   * the agent stops: its last report
   */
  'leaving'?: (boolean);
}

export interface UpdateNodeRequest__Output {
  'node_id': (string);
  'capabilities': (_orchion_v1_Capabilities__Output | null);
  /**
   * the agent stops: its last report
   */
  'leaving': (boolean);
}
