/** The phase before a container: waits until the GPU has enough free memory. */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { EnginePlan, EngineRefused } from "../EnginePlan.js"
import { RunFailed, type Supervision } from "./EngineRun.js"

/** How often to check again: a container that was just removed frees its memory after a moment. */
const looks = 4
const interval = "1 second"

/** Fails with a shortage that lasts. `replan` reads the machine again. */
export const phase = (
  { driver }: Supervision,
  plan: EnginePlan,
  replan: Effect.Effect<EnginePlan, EngineRefused>
): Effect.Effect<void, RunFailed> => {
  const check = (plan: EnginePlan): Effect.Effect<void, RunFailed> => {
    const shortage = driver.memoryShortage?.(plan)
    return shortage === undefined ? Effect.void : new RunFailed({ diagnosis: shortage })
  }
  return Effect.catchAll(
    check(plan),
    () =>
      Effect.flatMap(replan, check).pipe(
        // A refusal is found by the next phase or the next run.
        Effect.catchTag("EngineRefused", () => Effect.void),
        Effect.delay(interval),
        Effect.retry(Schedule.recurs(looks - 1))
      )
  )
}
