// Original file: proto/orchion/v1/orchestrator.proto


/**
 * How many requests ended with one kind of error.
 */
export interface ErrorCount {
  /**
   * stable, for programs: "busy", "unreachable"
   */
  'kind'?: (string);
  'count'?: (number | string);
}

/**
 * How many requests ended with one kind of error.
 */
export interface ErrorCount__Output {
  /**
   * stable, for programs: "busy", "unreachable"
   */
  'kind': (string);
  'count': (number);
}
