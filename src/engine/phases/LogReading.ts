/** During a run: reads, keeps and interprets the engine's log. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import type { LogOptions } from "../../docker/ContainerLogs.js"
import * as EngineLog from "../EngineLog.js"
import { EngineEvent } from "../EngineStatus.js"
import { type ContainerRun, sign } from "./EngineRun.js"
import * as RunFindings from "./RunFindings.js"

/** The wait between attempts to read a log. */
const retryAfter = Duration.seconds(2)
/** Lines of an adopted engine's log, most of which are about the agent's health checks. */
const adoptedTail = 5_000

const onLine = (run: ContainerRun) => (line: { readonly text: string }): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { log, signs, supervision: { board, driver } } = run
    const { deviceOf, isNoise, isUp, stageOf } = driver.log
    // A line without an end must not keep the agent busy.
    if (isNoise?.(line.text.slice(0, EngineLog.longestLine)) === true) return
    const text = log.push(line.text)
    yield* sign(run)
    if (isUp?.(text) === true) {
      const now = yield* Clock.currentTimeMillis
      yield* Ref.update(signs, (known) => ({ ...known, upSince: known.upSince ?? now }))
    }
    const stage = stageOf?.(text)
    if (stage !== undefined) {
      yield* board.change(driver.name, { event: EngineEvent.StageReached({ detail: stage }) })
    }
    const device = deviceOf?.(text)
    if (device === undefined) return
    yield* Ref.update(signs, (known) => ({ ...known, device }))
    yield* RunFindings.update(run)
  })

/**
 * Ends with the log. Retries on failures: without its lines a start would look silent, and an end would have no cause.
 */
export const phase = (run: ContainerRun): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { docker, driver } = run.supervision
    const hasWarned = yield* Ref.make(false)
    const read = (from: LogOptions): Effect.Effect<void> =>
      Stream.runForEach(docker.logs(run.containerId, { ...from, follow: true }), onLine(run)).pipe(
        Effect.catchTag("ContainerNotFound", () => Effect.void),
        Effect.catchAll((error) =>
          Effect.gen(function*() {
            if (!(yield* Ref.getAndSet(hasWarned, true))) {
              yield* Effect.logWarning(`Cannot read ${driver.title}'s log: ${error.message}`)
            }
            const since = yield* Clock.currentTimeMillis
            yield* Effect.sleep(retryAfter)
            return yield* read({ since })
          })
        )
      )
    yield* read(run.adopted ? { tail: adoptedTail } : {})
  })
