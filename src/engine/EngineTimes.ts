/** The intervals and limits by which engines are supervised. */
import * as Duration from "effect/Duration"

export interface EngineTimes {
  /** The wait before the first restart. It doubles up to `longestBackoff`. */
  readonly firstBackoff: Duration.Duration
  readonly longestBackoff: Duration.Duration
  /** After a run that was healthy for this long the backoff starts over. */
  readonly healthyAgain: Duration.Duration
  /** A start without a log line or a byte for this long has stalled. */
  readonly silence: Duration.Duration
  /** The interval between health checks. */
  readonly checkInterval: Duration.Duration
  /** The deadline of one health check. A working engine answers in milliseconds, also a busy one. */
  readonly checkDeadline: Duration.Duration
  /** Between two looks at what costs more: GPU use, load, the bytes of a silent start. */
  readonly lookInterval: Duration.Duration
  /** How often an engine that runs on the CPU is checked for a GPU that it could use. */
  readonly gpuInterval: Duration.Duration
  /** An engine with requests in flight that produces no token for this long is hung. */
  readonly hungAfter: Duration.Duration
}

export const defaults: EngineTimes = {
  firstBackoff: Duration.seconds(1),
  longestBackoff: Duration.minutes(5),
  healthyAgain: Duration.minutes(10),
  silence: Duration.minutes(10),
  checkInterval: Duration.seconds(5),
  checkDeadline: Duration.seconds(5),
  lookInterval: Duration.seconds(30),
  gpuInterval: Duration.minutes(1),
  hungAfter: Duration.minutes(2)
}
