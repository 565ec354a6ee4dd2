/** An engine in a container, from its plan to its end. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import type * as Container from "../../docker/api/Container.js"
import type * as DockerError from "../../docker/api/DockerError.js"
import * as GoDuration from "../../text/GoDuration.js"
import * as Duration from "effect/Duration"
import * as Clock from "effect/Clock"
import * as Adoption from "../Adoption.js"
import * as Diagnosis from "../Diagnosis.js"
import type { ContainerPlan, EnginePlan, EngineRefused } from "../EnginePlan.js"
import { EngineEvent } from "../EngineStatus.js"
import * as ContainerEnd from "./ContainerEnd.js"
import * as EngineRun from "./EngineRun.js"
import * as GpuWatch from "./GpuWatch.js"
import * as ImagePulling from "./ImagePulling.js"
import * as LogReading from "./LogReading.js"
import * as MemoryWait from "./MemoryWait.js"
import * as Serving from "./Serving.js"
import * as Starting from "./Starting.js"

/** What is known after a run: how long the engine served, and its last lines. */
export interface Trace {
  readonly healthyFor: Duration.Duration
  /** Oldest first. */
  readonly lines: ReadonlyArray<string>
}

export const noTrace: Trace = { healthyFor: Duration.zero, lines: [] }

const pausedReason = ({ containerId, supervision: { docker } }: EngineRun.ContainerRun) =>
  Effect.map(Effect.option(docker.inspect(containerId)), (info) =>
    Option.isSome(info) && info.value.state === "paused"
      ? `its container is paused (docker unpause ${info.value.name})`
      : undefined)

const startAndServe = (run: EngineRun.ContainerRun): Effect.Effect<never, EngineRun.RunFailed> =>
  Effect.gen(function*() {
    const { adopted, plan, startedAt, supervision: { driver } } = run
    const models = yield* Starting.phase(run)
    const seconds = Math.max(1, Math.round(((yield* Clock.currentTimeMillis) - startedAt) / 1000))
    yield* Effect.logInfo(
      adopted
        ? `${driver.title} still serves ${plan.model}; adopted its container`
        : `${driver.title} is ready: it serves ${plan.model} at ${plan.baseUrl}, ${
          GoDuration.format(Duration.seconds(seconds))
        } after its start`
    )
    return yield* Serving.phase(run, models, { explain: pausedReason(run) })
  })

/** Runs with the container: whatever ends first ends the run. */
const untilItEnds = (run: EngineRun.ContainerRun): Effect.Effect<never, EngineRun.RunFailed> =>
  Effect.gen(function*() {
    const logRead = yield* Deferred.make<void>()
    const reading = LogReading.phase(run).pipe(
      Effect.zipRight(Deferred.succeed(logRead, undefined)),
      Effect.zipRight(Effect.never)
    )
    return yield* startAndServe(run).pipe(
      Effect.raceFirst(ContainerEnd.phase(run, logRead)),
      Effect.raceFirst(reading)
    )
  })

const traceOf = ({ log, signs }: EngineRun.EngineRun): Effect.Effect<Trace> =>
  Effect.gen(function*() {
    const { readySince } = yield* Ref.get(signs)
    const now = yield* Clock.currentTimeMillis
    return {
      healthyFor: Duration.millis(readySince === undefined ? 0 : now - readySince),
      lines: log.lines()
    }
  })

/** The container, created or adopted, for as long as the scope is open. */
const container = (
  { docker }: EngineRun.Supervision,
  plan: ContainerPlan,
  adopted: Container.ContainerSummary | undefined
): Effect.Effect<
  Container.ContainerInfo,
  DockerError.RunError | DockerError.ContainerNotFound,
  Scope.Scope
> => adopted === undefined ? docker.runScoped(plan.spec) : docker.adoptScoped(adopted.id)

/**
 * Runs a scope that is closed at the end, but for an interruption of an engine that is kept: an interruption is the
 * agent's end, everything else is the container's.
 */
const withScope = <A, E>(
  keep: boolean,
  use: (scope: Scope.CloseableScope) => Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.acquireUseRelease(
    Scope.make(),
    use,
    (scope, exit) => keep && Exit.isInterrupted(exit) ? Effect.void : Scope.close(scope, Exit.void)
  )

const isUnresponsive = ({ cause }: Diagnosis.Diagnosis): boolean => cause === "unhealthy" || cause === "stalled"

/** A container that does not answer gets no grace period. */
const discard = ({ containerId, supervision: { docker } }: EngineRun.ContainerRun): Effect.Effect<void> =>
  Effect.ignore(docker.remove(containerId, { force: true }))

export interface Options {
  /** Reads the machine again. */
  readonly replan: Effect.Effect<EnginePlan, EngineRefused>
  /** A GPU offer with which the engine failed to start. */
  readonly declined: string | undefined
  /** Called at the end of the run. */
  readonly trace: Ref.Ref<Trace>
}

/** Fails with the reason for its end. The board shows that it is ending before its container is stopped. */
export const phase = (
  supervision: EngineRun.Supervision,
  plan: ContainerPlan,
  { declined, replan, trace }: Options
): Effect.Effect<
  never,
  EngineRun.RunFailed | GpuWatch.GpuOffer | DockerError.RunError | DockerError.PullError | DockerError.ContainerNotFound
> =>
  Effect.gen(function*() {
    const { board, docker, driver, keep, nodeId } = supervision
    const adopted = yield* Adoption.adoptable(docker, { nodeId, engine: driver.name }, plan.spec)
    if (adopted === undefined) {
      yield* MemoryWait.phase(supervision, plan, replan)
      yield* ImagePulling.phase(supervision, plan.spec.image)
      yield* board.change(driver.name, { event: EngineEvent.Waiting({ detail: "Creating the container" }) })
    }
    return yield* withScope(keep, (scope) =>
      Effect.gen(function*() {
        const { id } = yield* Scope.extend(container(supervision, plan, adopted), scope)
        const run: EngineRun.ContainerRun = {
          ...(yield* EngineRun.make(supervision, plan)),
          containerId: id,
          adopted: adopted !== undefined
        }
        yield* board.change(driver.name, {
          event: EngineEvent.Started({
            detail: adopted === undefined ? "Started; not ready yet" : "Checking whether it still serves"
          })
        })
        return yield* untilItEnds(run).pipe(
          Effect.raceFirst(GpuWatch.phase(supervision, plan, declined)),
          Effect.tapErrorCause(() => Effect.flatMap(traceOf(run), (left) => Ref.set(trace, left))),
          // The container may take its time to stop, and takes no more requests meanwhile.
          Effect.tapError((error) =>
            Effect.zipRight(
              board.change(driver.name, {
                event: EngineEvent.Ending({
                  detail: error._tag === "GpuOffer"
                    ? "Stopping it, to restart it with the GPU"
                    : Diagnosis.text(error.diagnosis)
                })
              }),
              error._tag === "RunFailed" && isUnresponsive(error.diagnosis) ? discard(run) : Effect.void
            )
          )
        )
      }))
  })
