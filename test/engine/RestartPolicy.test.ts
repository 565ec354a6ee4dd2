import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import { decide, type History, none, type RestartPolicy, RunEnd } from "../../src/engine/RestartPolicy.js"

const policy: RestartPolicy = {
  firstBackoff: Duration.seconds(1),
  longestBackoff: Duration.minutes(5),
  longestRefusal: Duration.seconds(30),
  healthyAgain: Duration.minutes(10)
}

const failed = (healthyFor: Duration.DurationInput = 0) => RunEnd.Failed({ healthyFor: Duration.decode(healthyFor) })
const refused = RunEnd.Refused()
const superseded = RunEnd.Superseded()

/** The waits in seconds, and what is left of the history. */
const after = (...ends: ReadonlyArray<RunEnd>): readonly [waits: ReadonlyArray<number>, history: History] => {
  let history = none
  const waits = ends.map((end) => {
    const decision = decide(policy, history, end)
    history = decision.history
    return Duration.toSeconds(decision.wait)
  })
  return [waits, history]
}

describe("an engine that ended", () => {
  it.each<readonly [string, ReadonlyArray<RunEnd>, ReadonlyArray<number>, Partial<History>]>([
    ["is restarted after 1 s", [failed()], [1], { attempt: 1, restarts: 1 }],
    ["waits twice as long each time", [failed(), failed(), failed()], [1, 2, 4], { attempt: 3, restarts: 3 }],
    ["waits at most 5 min", Array.from({ length: 10 }, () => failed()), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300], {}],
    ["goes on counting after a short healthy time", [failed(), failed("9 minutes")], [1, 2], { attempt: 2 }],
    ["starts over after a long one", [failed(), failed(), failed("10 minutes")], [1, 2, 1], {
      attempt: 1,
      restarts: 3
    }],
    ["is asked again soon when it was refused", [refused, refused], [1, 2], { attempt: 2, restarts: 0 }],
    ["is asked at least every 30 s", Array.from({ length: 7 }, () => refused), [1, 2, 4, 8, 16, 30, 30], {}],
    ["starts over when it fails after refusals", [refused, refused, failed()], [1, 2, 1], { attempt: 1, restarts: 1 }],
    ["starts over when it is refused after failures", [failed(), failed(), refused], [1, 2, 1], { attempt: 1 }],
    ["is not counted when it was superseded", [failed(), superseded, failed()], [1, 1, 2], { attempt: 2, restarts: 2 }],
    ["remembers refusals past what superseded them", [refused, superseded, refused], [1, 1, 2], { attempt: 2 }]
  ])("%s", (_, ends, waits, history) => {
    const [waited, left] = after(...ends)
    assert.deepStrictEqual(waited, waits)
    assert.deepInclude(left, history)
  })
})
