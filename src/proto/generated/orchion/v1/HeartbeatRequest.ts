// Original file: proto/orchion/v1/orchestrator.proto


export interface HeartbeatRequest {
  'node_id'?: (string);
}

export interface HeartbeatRequest__Output {
  'node_id': (string);
}
