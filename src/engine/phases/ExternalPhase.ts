/** An external engine: waits until it answers, then watches it. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Schedule from "effect/Schedule"
import * as Diagnosis from "../Diagnosis.js"
import * as EngineFindings from "../EngineFindings.js"
import type { ExternalPlan } from "../EnginePlan.js"
import { EngineEvent } from "../EngineStatus.js"
import * as EngineRun from "./EngineRun.js"
import * as Serving from "./Serving.js"

/** Consecutive failed checks before a start is given up. */
const lostAfter = 3

/** Ends when it answers, and logs why it cannot be used until then. */
const connect = ({ plan, probe, supervision: { board, driver, times } }: EngineRun.EngineRun<ExternalPlan>) =>
  Effect.gen(function*() {
    const logged = yield* Ref.make<string | undefined>(undefined)
    yield* board.change(driver.name, { event: EngineEvent.Waiting({ detail: `Connecting to ${plan.baseUrl}` }) })
    const onFailure = (reason: string) =>
      Effect.gen(function*() {
        const diagnosis = Diagnosis.lasting(
          "unreachable",
          `${driver.title} at ${plan.baseUrl} cannot be used: ${reason}.`,
          plan.remedy
        )
        const nextTryAt = (yield* Clock.currentTimeMillis) + Duration.toMillis(times.checkInterval)
        yield* board.change(driver.name, {
          event: EngineEvent.RetryScheduled({ attempt: 0, nextTryAt, diagnosis }),
          findings: [...plan.findings, EngineFindings.failed(driver.title, diagnosis)]
        })
        if ((yield* Ref.getAndSet(logged, reason)) !== reason) {
          yield* Effect.logWarning(`${Diagnosis.text(diagnosis)} Retrying until it answers`)
        }
      })
    yield* probe.check.pipe(
      Effect.tapError(({ reason }) => onFailure(reason)),
      Effect.retry(Schedule.spaced(times.checkInterval)),
      Effect.orDie
    )
    yield* board.change(driver.name, { findings: plan.findings })
  })

/** Fails when it stops answering before it is ready. */
const lostContact = ({ probe, supervision: { driver, times } }: EngineRun.EngineRun<ExternalPlan>) =>
  EngineRun.endlessly<number, EngineRun.RunFailed>(
    0,
    (failures) =>
      Effect.matchEffect(Effect.delay(probe.check, times.checkInterval), {
        onSuccess: () => Effect.succeed(0),
        onFailure: ({ reason }) =>
          failures + 1 < lostAfter
            ? Effect.succeed(failures + 1)
            : new EngineRun.RunFailed({ diagnosis: Diagnosis.unhealthy(driver.diagnosis, failures + 1, reason) })
      })
  )

/** Fails when it no longer answers, or its model is unavailable. */
export const phase = (
  supervision: EngineRun.Supervision,
  plan: ExternalPlan
): Effect.Effect<never, EngineRun.RunFailed> =>
  Effect.gen(function*() {
    const { board, driver } = supervision
    const run = yield* EngineRun.make(supervision, plan)
    yield* connect(run)
    const models = yield* run.probe.ready((detail, bytes) =>
      board.change(driver.name, {
        event: EngineEvent.LoadProgress({ detail, ...(bytes === undefined ? {} : { bytes }) })
      })
    ).pipe(
      Effect.mapError(({ diagnosis }) => new EngineRun.RunFailed({ diagnosis })),
      Effect.raceFirst(lostContact(run))
    )
    yield* Effect.logInfo(
      `${driver.title} at ${plan.baseUrl} is ready: it lists ${
        models.length === 1 ? `the model ${models[0]}` : `${models.length} models`
      }`
    )
    return yield* Serving.phase(run, models)
  })
