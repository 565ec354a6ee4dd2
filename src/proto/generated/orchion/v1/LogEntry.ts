// Original file: proto/orchion/v1/orchestrator.proto

import type { LogLevel as _orchion_v1_LogLevel, LogLevel__Output as _orchion_v1_LogLevel__Output } from '../../orchion/v1/LogLevel.js';
import type { Long } from '@grpc/proto-loader';

export interface LogEntry {
  'id'?: (string);
  /**
   * milliseconds
   */
  'timestamp'?: (number | string | Long);
  'level'?: (_orchion_v1_LogLevel);
  /**
   * "node-agent:<id>"
   */
  'source'?: (string);
  'message'?: (string);
  'fields'?: ({[key: string]: string});
}

export interface LogEntry__Output {
  'id': (string);
  /**
   * milliseconds
   */
  'timestamp': (string);
  'level': (_orchion_v1_LogLevel__Output);
  /**
   * "node-agent:<id>"
   */
  'source': (string);
  'message': (string);
  'fields': ({[key: string]: string});
}
