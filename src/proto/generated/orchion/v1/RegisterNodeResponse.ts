// Original file: proto/orchion/v1/orchestrator.proto


export interface RegisterNodeResponse {
}

export interface RegisterNodeResponse__Output {
}
