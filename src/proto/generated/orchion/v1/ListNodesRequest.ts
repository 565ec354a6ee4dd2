// Original file: proto/orchion/v1/orchestrator.proto


export interface ListNodesRequest {
}

export interface ListNodesRequest__Output {
}
