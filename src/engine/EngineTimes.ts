/** How patiently engines are looked after. */
import * as Duration from "effect/Duration"

export interface EngineTimes {
  /** The first wait before an engine is started again. It doubles up to `longestBackoff`. */
  readonly firstBackoff: Duration.Duration
  readonly longestBackoff: Duration.Duration
  /** Healthy for so long, an engine is taken as mended: the next backoff is the first again. */
  readonly healthyAgain: Duration.Duration
  /** Without a log line or a byte for so long, a start has stalled. */
  readonly silence: Duration.Duration
  /** Between two health checks. */
  readonly checkInterval: Duration.Duration
  /** How long one may take. An engine that works answers in milliseconds, also a busy one. */
  readonly checkDeadline: Duration.Duration
  /** Between two looks at what costs more: the use of the GPU, the load, the bytes of a silent start. */
  readonly lookInterval: Duration.Duration
  /** Between two looks whether there is a GPU now, for an engine that runs without one. */
  readonly gpuInterval: Duration.Duration
  /** An engine that works on requests and makes no token for so long is hung. */
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
