/** A container's start: until the engine serves its model, stalls, or turns out to be out of reach. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import type { ContainerStats } from "../../docker/api/Container.js"
import * as Diagnosis from "../Diagnosis.js"
import { EngineEvent } from "../EngineStatus.js"
import * as Reachability from "../Reachability.js"
import { type ContainerRun, endlessly, RunFailed, sign } from "./EngineRun.js"

/** Fewer are noise: health checks are network traffic too. */
const notableBytes = 1024 * 1024
/** How long an engine that logged that it is up may take to become reachable. */
const upGrace = Duration.seconds(5)

/** The bytes that have moved in and out of a container, over all that it does. */
const movedBytes = (stats: ContainerStats): number =>
  (stats.networkReceivedBytes ?? 0) + (stats.blockReadBytes ?? 0) + (stats.blockWrittenBytes ?? 0)

/** Fails after too long without progress: no log line, no report, no bytes. */
const stall = (run: ContainerRun): Effect.Effect<never, RunFailed> => {
  const { log, signs, supervision: { docker, driver, times } } = run
  const interval = Duration.min(times.lookInterval, times.silence)
  const silenceOf = Effect.zipWith(Clock.currentTimeMillis, Ref.get(signs), (now, { lastSign }) => now - lastSign)
  const look = (bytes: number | undefined): Effect.Effect<number | undefined, RunFailed> =>
    Effect.gen(function*() {
      yield* Effect.sleep(interval)
      if ((yield* silenceOf) < Duration.toMillis(interval)) return bytes
      const moved = Option.map(yield* Effect.option(docker.stats(run.containerId)), movedBytes)
      const isMoving = bytes !== undefined && Option.exists(moved, (now) => now - bytes >= notableBytes)
      if (isMoving) yield* sign(run)
      if ((yield* silenceOf) < Duration.toMillis(times.silence)) return Option.getOrElse(moved, () => bytes)
      return yield* new RunFailed({ diagnosis: Diagnosis.stalled(driver.diagnosis, times.silence, log.lines()) })
    })
  return endlessly<number | undefined, RunFailed>(undefined, look)
}

/** Fails when the engine logs that it accepts connections, but refuses the agent's. */
const unreachable = ({ plan, signs, supervision: { driver } }: ContainerRun): Effect.Effect<never, RunFailed> =>
  Effect.gen(function*() {
    yield* Effect.sleep("1 second")
    const { upSince } = yield* Ref.get(signs)
    const now = yield* Clock.currentTimeMillis
    if (upSince === undefined || now - upSince < Duration.toMillis(upGrace)) return
    if (!(yield* Reachability.isRefused(plan.baseUrl))) return
    const agentInContainer = yield* Reachability.isInContainer
    return yield* new RunFailed({
      diagnosis: Diagnosis.unreachable(driver.diagnosis, plan.baseUrl, agentInContainer)
    })
  }).pipe(Effect.forever)

/** Ends with the model names that the engine serves. */
export const phase = (run: ContainerRun): Effect.Effect<ReadonlyArray<string>, RunFailed> => {
  const { board, driver } = run.supervision
  const ready = run.probe.ready((detail, bytes) =>
    Effect.zipRight(
      sign(run),
      board.change(driver.name, {
        event: EngineEvent.LoadProgress({ detail, ...(bytes === undefined ? {} : { bytes }) })
      })
    )
  ).pipe(Effect.mapError(({ diagnosis }) => new RunFailed({ diagnosis })))
  return Effect.raceFirst(ready, Effect.raceFirst(stall(run), unreachable(run)))
}
