// Original file: proto/orchion/v1/orchestrator.proto


export interface HeartbeatRequest {
  'node_id'?: (string);
  /**
   * as in `Node`
   */
  'instance_id'?: (string);
  '_instance_id'?: "instance_id";
}

export interface HeartbeatRequest__Output {
  'node_id': (string);
  /**
   * as in `Node`
   */
  'instance_id'?: (string);
  '_instance_id'?: "instance_id";
}
