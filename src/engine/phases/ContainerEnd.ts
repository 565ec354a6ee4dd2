/** The end of a container: noticed through everything that may keep Docker from saying so, and explained. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type { ContainerExit } from "../../docker/api/Container.js"
import * as Diagnosis from "../Diagnosis.js"
import { EngineEvent } from "../EngineStatus.js"
import { type ContainerRun, RunFailed } from "./EngineRun.js"

/** What is still to come of a log when its container has ended. */
const logGrace = "2 seconds"
/** Between two tries to wait for an end. */
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
    // No request is to be sent there while the reason is looked for.
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
