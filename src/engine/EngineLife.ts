/** One life of an engine: from its container's being there to its end. */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Finding } from "../node/NodeCapabilities.js"
import * as GoDuration from "../text/GoDuration.js"
import type { ContainerExit, ContainerStats } from "../docker/api/Container.js"
import type { LogOptions } from "../docker/ContainerLogs.js"
import type { Docker } from "../docker/Docker.js"
import * as Diagnosis from "./Diagnosis.js"
import { titles } from "./Engine.js"
import type { EngineBoard } from "./EngineBoard.js"
import * as EngineFindings from "./EngineFindings.js"
import * as EngineLog from "./EngineLog.js"
import type { EnginePlan } from "./EnginePlan.js"
import type { EngineProbe, OnProgress } from "./EngineProbe.js"
import { EngineStatus } from "./EngineStatus.js"
import type { EngineTimes } from "./EngineTimes.js"
import type { Load } from "./vllm/Vllm.js"

/** How a life ended. */
export interface Ended {
  readonly diagnosis: Diagnosis.Diagnosis
  /** Milliseconds that it was healthy for. */
  readonly healthyFor: number
  /** Its last lines, oldest first; empty when it never ran. */
  readonly lines: ReadonlyArray<string>
}

export interface Dependencies {
  readonly docker: Context.Tag.Service<Docker>
  readonly board: EngineBoard
  readonly times: EngineTimes
}

/** Whose life it is. */
export interface Body {
  readonly plan: EnginePlan
  readonly probe: EngineProbe
  /** Of the container. */
  readonly id: string
  /** It ran before this agent did. */
  readonly adopted: boolean
}

/** So many checks in a row fail before an engine is restarted. */
const failuresBeforeRestart = 3
/** A request that moved this recently shows that an engine lives which answers no check. */
const busyMillis = 30_000
/** What is still to come of a log when its container has ended. */
const logGrace = Duration.seconds(2)
/** Between two tries to read a log. */
const logRetry = Duration.seconds(2)
/** Of an adopted engine's log, most of which is about our own questions. */
const adoptedTail = 5_000
/** Without a GPU, reading a prompt takes so many times longer. */
const cpuPatience = 10
/** Less is noise: health checks are network traffic too. */
const notableBytes = 1024 * 1024

/** The bytes that have moved in and out of a container, over all that it does. */
const movedBytes = (stats: ContainerStats): number =>
  (stats.networkReceivedBytes ?? 0) + (stats.blockReadBytes ?? 0) + (stats.blockWrittenBytes ?? 0)

const sameFindings = (a: ReadonlyArray<Finding>, b: ReadonlyArray<Finding>): boolean =>
  a.length === b.length && a.every((finding, index) => finding.message === b[index]?.message)

const inSeconds = (millis: number): string =>
  GoDuration.format(Duration.seconds(Math.max(1, Math.round(millis / 1000))))

/** What the container came to; through everything that may keep Docker from saying so. */
const endOf = (docker: Context.Tag.Service<Docker>, id: string): Effect.Effect<ContainerExit | undefined> =>
  docker.wait(id).pipe(
    Effect.catchTag("ContainerNotFound", () => Effect.succeed(undefined)),
    Effect.catchAll(() => Effect.zipRight(Effect.sleep("1 second"), endOf(docker, id)))
  )

const tellFindings = (news: ReadonlyArray<Finding>) =>
  Effect.forEach(
    news,
    ({ message, remedy, severity }) =>
      severity === "info" ? Effect.logInfo(message) : Effect.logWarning(`${message} ${remedy}`),
    { discard: true }
  )

/** Lives it. The container is not removed at the end: it is the caller's. */
export const live = (
  { board, docker, times }: Dependencies,
  { adopted, id, plan, probe }: Body
): Effect.Effect<Ended, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { name } = plan
    const title = titles[name]
    const log = EngineLog.make(Object.values(plan.spec.secrets))
    const startedAt = yield* Clock.currentTimeMillis
    /** When it last showed that it is getting on. */
    let lastSign = startedAt
    let readySince: number | undefined = undefined
    /** What it says that it computes on. */
    let device: string | undefined
    let looked: ReadonlyArray<Finding> = []

    const updateFindings = Effect.suspend(() => {
      const blind = plan.gpus !== undefined && device === "cpu"
      const findings = [...plan.findings, ...(blind ? [EngineFindings.gpuNotSeen(name)] : looked)]
      const before = board.get(name).findings
      if (sameFindings(findings, before)) return Effect.void
      return Effect.zipRight(
        tellFindings(findings.filter(({ message }) => !before.some((known) => known.message === message))),
        board.change(name, { findings })
      )
    })

    const sign = Effect.map(Clock.currentTimeMillis, (now) => {
      lastSign = now
    })
    const loading: OnProgress = (detail, bytes) =>
      board.change(name, { status: EngineStatus.Loading({ detail, ...(bytes === undefined ? {} : { bytes }) }) })
    const progress: OnProgress = (detail, bytes) =>
      Effect.zipRight(
        sign,
        readySince === undefined
          ? loading(detail, bytes)
          : Effect.void
      )

    /** Reads on through what may go wrong: without its lines a start would look silent, and an end without a cause. */
    const readLog = (from: LogOptions): Effect.Effect<void> =>
      Effect.catchAll(readLogOnce(from), (error) =>
        error._tag === "ContainerNotFound" ? Effect.void : Effect.gen(function*() {
          if (!toldLogLost) {
            yield* Effect.logWarning(`${title}'s log cannot be read now: ${error.message}`)
          }
          toldLogLost = true
          const since = yield* Clock.currentTimeMillis
          yield* Effect.sleep(logRetry)
          return yield* readLog({ since })
        }))
    let toldLogLost = false
    const readLogOnce = (from: LogOptions) =>
      Stream.runForEach(docker.logs(id, { ...from, follow: true }), (line) => {
        // Who could write a line without an end must not keep the agent busy with it.
        if (probe.isNoise(line.text.slice(0, EngineLog.longestLine))) {
          return Effect.void
        }
        const text = log.push(line.text)
        const found = probe.deviceOf(text)
        if (found !== undefined) {
          device = found
        }
        const stage = probe.stageOf(text)
        return Effect.zipRight(
          stage === undefined ? sign : progress(stage),
          found === undefined ? Effect.void : updateFindings
        )
      })

    /** Silence during a start is broken by log lines, by progress, and by bytes that move. */
    const stalled = Effect.gen(function*() {
      let bytes: number | undefined
      const look = Duration.min(times.lookInterval, times.silence)
      while (true) {
        yield* Effect.sleep(look)
        if ((yield* Clock.currentTimeMillis) - lastSign < Duration.toMillis(look)) {
          continue
        }
        const stats = yield* Effect.option(docker.stats(id))
        if (Option.isSome(stats)) {
          const moved = movedBytes(stats.value)
          if (bytes !== undefined && moved - bytes >= notableBytes) {
            yield* sign
          }
          bytes = moved
        }
        if ((yield* Clock.currentTimeMillis) - lastSign < Duration.toMillis(times.silence)) {
          continue
        }
        return Diagnosis.stalled(name, times.silence, log.lines())
      }
    })

    const checks = Effect.gen(function*() {
      let failures = 0
      let firstFailure = 0
      while (true) {
        yield* Effect.sleep(times.checkInterval)
        const checked = yield* Effect.either(probe.check)
        const now = yield* Clock.currentTimeMillis
        if (Either.isRight(checked)) {
          if (failures > 0) {
            yield* Effect.logInfo(`${title} answers again, after ${failures} failed checks`)
          }
          failures = 0
          if (!probe.serves(checked.right)) {
            // It serves its other models meanwhile: it is not restarted for this.
            yield* Effect.logWarning(`${title} does not have ${plan.model} any more: it is made ready again`)
            const again = yield* Effect.either(probe.ready(loading))
            if (Either.isLeft(again)) {
              return again.left.diagnosis
            }
            yield* ready(again.right)
            continue
          }
          const { status } = board.get(name)
          if (status._tag !== "Ready" || status.models.join("\n") !== checked.right.join("\n")) {
            yield* ready(checked.right)
          }
          continue
        }
        const { activity } = board.get(name)
        if (activity.inFlight > 0 && now - activity.lastProgressAt < busyMillis) {
          continue
        }
        failures++
        const info = yield* Effect.option(docker.inspect(id))
        const reason = Option.isSome(info) && info.value.state === "paused"
          ? `somebody paused its container (docker unpause ${info.value.name})`
          : checked.left.reason
        if (failures === 1) {
          firstFailure = now
          yield* Effect.logWarning(`${title} does not answer its health check: ${reason}`)
        }
        yield* board.change(name, {
          status: EngineStatus.Unhealthy({
            since: firstFailure,
            failedChecks: failures,
            detail: `${failures} of ${failuresBeforeRestart} health checks failed: ${reason}.`
          })
        })
        if (failures >= failuresBeforeRestart) {
          return Diagnosis.unhealthy(name, failures, reason)
        }
      }
    })

    const looks = Effect.gen(function*() {
      let before: Load | undefined
      let movedAt = yield* Clock.currentTimeMillis
      const patience = Duration.toMillis(times.hungAfter) * (plan.gpus === undefined ? cpuPatience : 1)
      while (true) {
        // What was seen holds until something is loaded that shows otherwise.
        looked = (yield* probe.look) ?? looked
        yield* updateFindings
        const load = yield* probe.load
        const now = yield* Clock.currentTimeMillis
        if (
          load === undefined || load.running === 0 || load.tokens !== before?.tokens
          || load.cacheUsage !== before.cacheUsage
        ) {
          movedAt = now
        }
        before = load
        const idleSince = Math.max(movedAt, board.get(name).activity.lastProgressAt)
        if (load !== undefined && now - idleSince >= patience) {
          return Diagnosis.hung(name, load.running, Duration.millis(patience))
        }
        yield* Effect.sleep(times.lookInterval)
      }
    })

    /** What does not answer is given no time to say goodbye. */
    const discard = Effect.ignore(docker.remove(id, { force: true }))

    const ready = (models: ReadonlyArray<string>) =>
      board.change(name, { status: EngineStatus.Ready({ since: readySince ?? startedAt, models }), recentLog: [] })

    const endWith = (diagnosis: Diagnosis.Diagnosis): Effect.Effect<Ended> =>
      Effect.gen(function*() {
        const now = yield* Clock.currentTimeMillis
        // The container may take its time to stop, and takes no more requests meanwhile.
        yield* board.change(name, { status: EngineStatus.Starting({ detail: Diagnosis.text(diagnosis) }) })
        return { diagnosis, healthyFor: readySince === undefined ? 0 : now - readySince, lines: log.lines() }
      })

    yield* board.change(name, {
      status: EngineStatus.Loading({ detail: adopted ? "Looking whether it still serves" : "Started; not ready yet" })
    })
    const reading = yield* Effect.forkScoped(readLog(adopted ? { tail: adoptedTail } : {}))
    const exit = yield* Deferred.make<ContainerExit | undefined>()
    yield* Effect.forkScoped(Effect.flatMap(endOf(docker, id), (ended) =>
      Deferred.succeed(exit, ended)))
    const died = Effect.gen(function*() {
      const ended = yield* Deferred.await(exit)
      // Nobody is to be sent there while it is found out why.
      yield* board.change(name, { status: EngineStatus.Starting({ detail: "Its container ended" }) })
      yield* Effect.timeoutOption(Fiber.await(reading), logGrace)
      return Diagnosis.ofDeath({
        engine: name,
        model: plan.model,
        exit: ended,
        lines: log.linesSinceMark(),
        gpus: plan.gpus?.gpus ?? [],
        ...(plan.spec.memoryBytes === undefined ? {} : { memoryLimitBytes: plan.spec.memoryBytes })
      })
    })

    const started = yield* Effect.raceFirst(
      Effect.either(Effect.mapError(probe.ready(progress), ({ diagnosis }) =>
        diagnosis)),
      Effect.map(Effect.raceFirst(died, stalled), (diagnosis) => Either.left(diagnosis))
    )
    if (Either.isLeft(started)) {
      if (started.left.cause === "stalled") yield* discard
      return yield* endWith(started.left)
    }

    readySince = yield* Clock.currentTimeMillis
    // What went wrong before it was ready is not what it dies of.
    log.mark()
    yield* updateFindings
    yield* ready(started.right)
    yield* Effect.logInfo(
      adopted
        ? `${title} still serves ${plan.model} from before: kept as it is`
        : `${title} is ready: it serves ${plan.model} at ${plan.baseUrl}, ${
          inSeconds(readySince - startedAt)
        } after its start`
    )
    const diagnosis = yield* Effect.raceFirst(died, Effect.raceFirst(checks, looks))
    if (diagnosis.cause === "unhealthy") yield* discard
    return yield* endWith(diagnosis)
  })
