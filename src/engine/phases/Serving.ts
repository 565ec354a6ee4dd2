/** A serving engine: watches its health until it fails. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Diagnosis from "../Diagnosis.js"
import type { EngineLoad } from "../EngineDriver.js"
import { EngineEvent } from "../EngineStatus.js"
import { endlessly, type EngineRun, RunFailed } from "./EngineRun.js"
import * as RunFindings from "./RunFindings.js"

/** Consecutive failed checks before a restart. */
const failuresBeforeRestart = 3
/** An engine that fails a check is alive if a request made progress this recently. */
const busyMillis = 30_000
/** Without a GPU, reading a prompt takes this many times longer. */
const cpuPatience = 10

interface Options {
  /** A more specific reason for a failed check, where there is one. */
  readonly explain?: Effect.Effect<string | undefined>
}

/** Failed checks in a row, and when the first of them was. */
interface Failures {
  readonly count: number
  readonly since: number
}

const serving = ({ signs, startedAt, supervision: { board, driver } }: EngineRun, models: ReadonlyArray<string>) =>
  Effect.flatMap(Ref.get(signs), ({ readySince }) =>
    board.change(driver.name, {
      event: EngineEvent.Serving({ since: readySince ?? startedAt, models }),
      recentLog: []
    }))

/** A check succeeded: the models that it lists are the ones that are served. */
const onHealthy = (run: EngineRun, models: ReadonlyArray<string>): Effect.Effect<void, RunFailed> =>
  Effect.gen(function*() {
    const { plan, probe, supervision: { board, driver } } = run
    if (probe.serves(models)) {
      const { status } = board.get(driver.name)
      if (status._tag !== "Ready" || status.models.join("\n") !== models.join("\n")) yield* serving(run, models)
      return
    }
    // It serves its other models meanwhile, so it is not restarted for this.
    yield* Effect.logWarning(`${driver.title} no longer serves ${plan.model}; loading it again`)
    const again = yield* probe.ready((detail, bytes) =>
      board.change(driver.name, {
        event: EngineEvent.LoadProgress({ detail, ...(bytes === undefined ? {} : { bytes }) })
      })
    ).pipe(Effect.mapError(({ diagnosis }) => new RunFailed({ diagnosis })))
    yield* serving(run, again)
  })

const onUnhealthy = (run: EngineRun, reason: string, { count, since }: Failures): Effect.Effect<void, RunFailed> =>
  Effect.gen(function*() {
    const { board, driver } = run.supervision
    if (count === 1) yield* Effect.logWarning(`${driver.title} failed a health check: ${reason}`)
    yield* board.change(driver.name, {
      event: EngineEvent.CheckFailed({
        at: since,
        failedChecks: count,
        detail: `${count} of ${failuresBeforeRestart} health checks failed: ${reason}.`
      })
    })
    if (count < failuresBeforeRestart) return
    return yield* new RunFailed({ diagnosis: Diagnosis.unhealthy(driver.diagnosis, count, reason) })
  })

/** Fails after {@link failuresBeforeRestart} failed checks in a row. */
const checks = (run: EngineRun, { explain = Effect.succeed(undefined) }: Options): Effect.Effect<never, RunFailed> => {
  const { probe, supervision: { board, driver, times } } = run
  const none: Failures = { count: 0, since: 0 }
  return endlessly(none, (failures) =>
    Effect.sleep(times.checkInterval).pipe(
      Effect.zipRight(probe.check),
      Effect.matchEffect({
        onSuccess: (models) =>
          Effect.gen(function*() {
            if (failures.count > 0) {
              yield* Effect.logInfo(`${driver.title} is healthy again, after ${failures.count} failed checks`)
            }
            yield* onHealthy(run, models)
            return none
          }),
        onFailure: (error) =>
          Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            const { activity } = board.get(driver.name)
            // Busy engines answer late; one that produces tokens is alive.
            if (activity.inFlight > 0 && now - activity.lastProgressAt < busyMillis) return failures
            const more = { count: failures.count + 1, since: failures.count === 0 ? now : failures.since }
            yield* onUnhealthy(run, (yield* explain) ?? error.reason, more)
            return more
          })
      })
    ))
}

/** Runs the more expensive checks, and fails when the engine has requests in flight and produces nothing. */
const looks = (run: EngineRun): Effect.Effect<never, RunFailed> => {
  const { plan, probe, signs, supervision: { board, driver, times } } = run
  const onCpu = plan._tag === "Container" && plan.gpus === undefined
  const patience = Duration.toMillis(times.hungAfter) * (onCpu ? cpuPatience : 1)
  const look = ({ load: before, movedAt }: { readonly load: EngineLoad | undefined; readonly movedAt: number }) =>
    Effect.gen(function*() {
      const seen = yield* probe.look ?? Effect.succeed(undefined)
      // The last observation holds until a loaded model shows otherwise.
      if (seen !== undefined) yield* Ref.update(signs, (known) => ({ ...known, seen }))
      yield* RunFindings.update(run)
      const load = yield* probe.load ?? Effect.succeed(undefined)
      const now = yield* Clock.currentTimeMillis
      const isStill = load !== undefined && load.running > 0 && load.tokens === before?.tokens
        && load.cacheUsage === before.cacheUsage
      const since = isStill ? movedAt : now
      if (isStill && now - Math.max(since, board.get(driver.name).activity.lastProgressAt) >= patience) {
        return yield* new RunFailed({
          diagnosis: Diagnosis.hung(driver.diagnosis, load.running, Duration.millis(patience))
        })
      }
      yield* Effect.sleep(times.lookInterval)
      return { load, movedAt: since }
    })
  return Effect.flatMap(Clock.currentTimeMillis, (movedAt) => endlessly({ load: undefined, movedAt }, look))
}

/** Serves these models until it fails. */
export const phase = (
  run: EngineRun,
  models: ReadonlyArray<string>,
  options: Options = {}
): Effect.Effect<never, RunFailed> =>
  Effect.gen(function*() {
    const readySince = yield* Clock.currentTimeMillis
    yield* Ref.update(run.signs, (known) => ({ ...known, readySince }))
    // Errors from before it was ready are not why it ends.
    run.log.mark()
    yield* RunFindings.update(run)
    yield* serving(run, models)
    return yield* Effect.raceFirst(checks(run, options), looks(run))
  })
