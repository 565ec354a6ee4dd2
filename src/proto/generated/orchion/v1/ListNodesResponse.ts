// Original file: proto/orchion/v1/orchestrator.proto

import type { Node as _orchion_v1_Node, Node__Output as _orchion_v1_Node__Output } from '../../orchion/v1/Node.js';

export interface ListNodesResponse {
  'nodes'?: (_orchion_v1_Node)[];
}

export interface ListNodesResponse__Output {
  'nodes': (_orchion_v1_Node__Output)[];
}
