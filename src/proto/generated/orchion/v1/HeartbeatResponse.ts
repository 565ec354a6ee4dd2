// Original file: proto/orchion/v1/orchestrator.proto


export interface HeartbeatResponse {
}

export interface HeartbeatResponse__Output {
}
