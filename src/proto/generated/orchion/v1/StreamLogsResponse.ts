// Original file: proto/orchion/v1/orchestrator.proto

import type { LogEntry as _orchion_v1_LogEntry, LogEntry__Output as _orchion_v1_LogEntry__Output } from '../../orchion/v1/LogEntry.js';

export interface StreamLogsResponse {
  'entry'?: (_orchion_v1_LogEntry | null);
}

export interface StreamLogsResponse__Output {
  'entry': (_orchion_v1_LogEntry__Output | null);
}
