// Original file: proto/orchion/v1/orchestrator.proto


export interface UpdateNodeResponse {
}

export interface UpdateNodeResponse__Output {
}
