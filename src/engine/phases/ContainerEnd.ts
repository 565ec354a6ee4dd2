/** The end of a container: detected even when Docker fails to report it, and explained. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { ContainerExit } from "../../docker/api/Container.js"
import * as Diagnosis from "../Diagnosis.js"
import { EngineEvent } from "../EngineStatus.js"
import { type ContainerRun, RunFailed } from "./EngineRun.js"

/** How long to wait for the rest of the log after its container ended. */
const logGrace = "2 seconds"
/** The wait between attempts to wait for the end. */
const retryAfter = "1 second"

const exitOf = ({ containerId, supervision: { docker } }: ContainerRun): Effect.Effect<ContainerExit | undefined> => {
  const wait: Effect.Effect<ContainerExit | undefined> = docker.wait(containerId).pipe(
    Effect.catchTag("ContainerNotFound", () => Effect.succeed(undefined)),
    Effect.catchAll(() => Effect.delay(Effect.suspend(() => wait), retryAfter))
  )
  return wait
}

/** Fails with the reason when the container has ended; `logRead` is done when its log was read to the end. */
export const phase = (run: ContainerRun, logRead: Deferred.Deferred<void>): Effect.Effect<never, RunFailed> =>
  Effect.gen(function*() {
    const { log, plan, supervision: { board, driver } } = run
    const exit = yield* exitOf(run)
    // No more requests while the reason is determined.
    yield* board.change(driver.name, { event: EngineEvent.Ending({ detail: "Its container ended" }) })
    yield* Effect.timeoutOption(Deferred.await(logRead), logGrace)
    return yield* new RunFailed({
      diagnosis: Diagnosis.ofEnd(driver.diagnosis, {
        model: plan.model,
        exit,
        lines: log.linesSinceMark(),
        gpus: plan.gpus?.gpus ?? [],
        ...(plan.spec.memoryBytes === undefined ? {} : { memoryLimitBytes: plan.spec.memoryBytes })
      })
    })
  })
