/** The phase before a container: waits until Docker answers. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import type * as DockerError from "../../docker/api/DockerError.js"
import * as Backoff from "../../effect/Backoff.js"
import * as Diagnosis from "../Diagnosis.js"
import * as EngineFindings from "../EngineFindings.js"
import { EngineEvent } from "../EngineStatus.js"
import type { Supervision } from "./EngineRun.js"

export const backoff: Backoff.BackoffOptions = { base: "1 second", cap: "30 seconds" }

/** Ends when Docker answers. Waiting does not count as a failure. */
export const phase = ({ board, docker, driver }: Supervision): Effect.Effect<void> =>
  Effect.gen(function*() {
    const logged = yield* Ref.make<string | undefined>(undefined)
    const findings = () => board.get(driver.name).plan?.findings ?? []
    const onFailure = (error: DockerError.DockerError, wait: Duration.Duration) =>
      Effect.gen(function*() {
        const diagnosis = Diagnosis.ofDockerError(driver.diagnosis, error)
        const nextTryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(wait)
        yield* board.change(driver.name, {
          // A missing Docker, or one without permission, needs a person; one that is down may come back.
          event: diagnosis.lasting
            ? EngineEvent.RetryScheduled({ attempt: 0, nextTryAt, diagnosis })
            : EngineEvent.Waiting({ detail: `Waiting for Docker. ${error.message}` }),
          findings: [...findings(), EngineFindings.failed(driver.title, diagnosis)]
        })
        if ((yield* Ref.getAndSet(logged, error._tag)) === error._tag) return
        yield* Effect.logWarning(`${driver.title} is waiting for Docker. ${error.message}`)
      })
    yield* Backoff.untilItSucceeds(docker.ping, { ...backoff, onFailure })
    if ((yield* Ref.get(logged)) === undefined) return
    yield* Effect.logInfo(`Docker is reachable again; starting ${driver.title}`)
    yield* board.change(driver.name, { findings: findings() })
  })
