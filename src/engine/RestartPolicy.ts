/**
 * When an engine is restarted, and when counting starts over. Pure: from a history and the end of a run to a decision.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Backoff from "../effect/Backoff.js"

export interface RestartPolicy {
  readonly firstBackoff: Duration.Duration
  readonly longestBackoff: Duration.Duration
  /** The longest wait after a refusal: a driver may load late. */
  readonly longestRefusal: Duration.Duration
  /** After a run that was healthy for this long, the next failure counts as the first. */
  readonly healthyAgain: Duration.Duration
}

/** How one run of an engine ended. */
export type RunEnd = Data.TaggedEnum<{
  /** The settings and the machine do not fit: nothing was started. */
  Refused: {}
  Failed: { readonly healthyFor: Duration.Duration }
  /** Docker became unreachable, a GPU became available, or an external engine stopped answering: not counted. */
  Superseded: {}
}>
export const RunEnd = Data.taggedEnum<RunEnd>()

export interface History {
  /** Failures or refusals in a row. */
  readonly attempt: number
  /** Failures since the agent started. */
  readonly restarts: number
  readonly lastEnd: RunEnd["_tag"] | undefined
}

export const none: History = { attempt: 0, restarts: 0, lastEnd: undefined }

export interface Decision {
  readonly history: History
  /** Before jitter. */
  readonly wait: Duration.Duration
}

export const decide = (policy: RestartPolicy, history: History, end: RunEnd): Decision =>
  RunEnd.$match(end, {
    Superseded: () => ({ history, wait: policy.firstBackoff }),
    Refused: () =>
      next(
        policy,
        history,
        "Refused",
        history.lastEnd !== "Refused",
        Duration.min(policy.longestRefusal, policy.longestBackoff)
      ),
    Failed: ({ healthyFor }) =>
      next(
        policy,
        { ...history, restarts: history.restarts + 1 },
        "Failed",
        history.lastEnd === "Refused" || Duration.greaterThanOrEqualTo(healthyFor, policy.healthyAgain),
        policy.longestBackoff
      )
  })

const next = (
  { firstBackoff }: RestartPolicy,
  history: History,
  lastEnd: "Refused" | "Failed",
  startsOver: boolean,
  longest: Duration.Duration
): Decision => {
  const attempt = startsOver ? 1 : history.attempt + 1
  return {
    history: { ...history, attempt, lastEnd },
    wait: Backoff.wait({ base: firstBackoff, cap: longest }, attempt)
  }
}
