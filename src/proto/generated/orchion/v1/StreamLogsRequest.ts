// Original file: proto/orchion/v1/orchestrator.proto


export interface StreamLogsRequest {
}

export interface StreamLogsRequest__Output {
}
