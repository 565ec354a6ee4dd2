/**
 * Runs the engines of a node: image, container, readiness, health, and restarts with backoff, without giving up.
 */
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Docker } from "../docker/Docker.js"
import * as DockerError from "../docker/api/DockerError.js"
import * as Backoff from "../effect/Backoff.js"
import * as Daemon from "../effect/Daemon.js"
import type { Finding } from "../node/NodeCapabilities.js"
import * as Adoption from "./Adoption.js"
import { type EngineName, EngineNotStarted, type Engines } from "./Engine.js"
import * as EngineBoard from "./EngineBoard.js"
import * as EngineContainer from "./EngineContainer.js"
import type { EngineDriver } from "./EngineDriver.js"
import { EngineEvent } from "./EngineStatus.js"
import { supervise } from "./EngineSupervision.js"
import * as EngineTimes from "./EngineTimes.js"
import { Machine } from "./Machine.js"
import * as DockerWait from "./phases/DockerWait.js"
import type * as EngineRun from "./phases/EngineRun.js"

export interface EngineSupervisor {
  readonly engines: Context.Tag.Service<Engines>
  /** The current findings about the engines. */
  readonly findings: () => ReadonlyArray<Finding>
  /** Ends when the leftover containers of engines that are no longer configured have been removed. */
  readonly swept: Effect.Effect<void>
  /**
   * Stops all engines and removes their containers, unless they are kept; ends within `budget`, or {@link
   * shutdownBudget}. Returns the names of the containers that could not be removed, which the next start removes. Runs
   * once, however often it is called.
   */
  readonly shutdown: Effect.Effect<ReadonlyArray<string>>
}

export interface SupervisorOptions {
  readonly drivers: ReadonlyArray<EngineDriver>
  readonly nodeId: string
  /** Leave containers running at shutdown; the next start adopts them. */
  readonly keepEngines?: boolean
  readonly times?: Partial<EngineTimes.EngineTimes>
  /** The driver for a model that no engine serves; engines are not started on demand without it. */
  readonly driverFor?: (model: string) => Effect.Effect<EngineDriver, EngineNotStarted>
  /** Whether this run or an earlier one may have containers, so that Docker is needed. Default true. */
  readonly hasContainers?: boolean
  /** How long a shutdown may take. */
  readonly budget?: Duration.Duration
}

/** How long a shutdown may take: the grace period of the stop signal, and Docker's own work. */
export const shutdownBudget = Duration.seconds(75)

/** How long Docker may take to list the containers that are left. */
const listDeadline = Duration.seconds(3)

interface Parts {
  readonly docker: Context.Tag.Service<Docker>
  readonly nodeId: string
  readonly board: EngineBoard.EngineBoard
}

/** Removes containers of engines that are not configured; retries while Docker is unreachable. */
const sweep = ({ board, docker, nodeId }: Parts): Effect.Effect<void> =>
  Effect.gen(function*() {
    const logged = yield* Ref.make<string | undefined>(undefined)
    yield* Backoff.untilItSucceeds(
      Effect.suspend(() => Adoption.sweep(docker, nodeId, board.engines.current().map(({ name }) => name))),
      {
        ...DockerWait.backoff,
        onFailure: (error) =>
          Effect.gen(function*() {
            // Where an engine is configured, its own supervision logs that Docker is unreachable.
            if (DockerError.isUnavailable(error) && board.engines.current().length > 0) return
            if ((yield* Ref.getAndSet(logged, error.message)) === error.message) return
            yield* Effect.logWarning(`Cannot remove containers left by an earlier run; retrying. ${error.message}`)
          })
      }
    )
  })

/** The existing containers of this node; `expected` where Docker does not answer. */
const containersLeft = ({ docker, nodeId }: Parts, expected: ReadonlyArray<string>) =>
  docker.list(EngineContainer.selector({ nodeId })).pipe(
    Effect.map((containers) => containers.map(({ name }) => name)),
    Effect.interruptible,
    Effect.timeout(listDeadline),
    Effect.orElseSucceed(() => expected)
  )

/** Waits until the engine of that name serves or has failed. */
const untilDecided = (board: EngineBoard.EngineBoard, { name, title }: EngineDriver) =>
  board.engines.changes.pipe(
    Stream.filterMap((reports) =>
      Option.filter(
        Option.fromNullable(reports.find((report) => report.name === name)),
        ({ state }) => state === "ready" || state === "failed" || state === "stopped"
      )
    ),
    Stream.runHead,
    Effect.flatMap(Option.match({
      onNone: () => new EngineNotStarted({ reason: `${title} is stopping`, isTransient: true }),
      onSome: ({ detail, state }) =>
        state === "ready"
          ? Effect.void
          : new EngineNotStarted({
            reason: detail === "" ? `${title} is stopped` : detail.replace(/\.$/, ""),
            isTransient: state === "stopped"
          })
    }))
  )

/** Closes the scope of all engines within the budget, and answers with the containers that are left. */
const stopAll = (
  parts: Parts,
  { budget, keep, scope }: {
    readonly scope: Scope.CloseableScope
    readonly keep: boolean
    readonly budget: Duration.Duration
  }
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function*() {
    const { board } = parts
    const names = board.engines.current().map(({ name }) => name)
    const containers = names.flatMap((name) => {
      const { plan } = board.get(name)
      return plan?._tag === "Container" ? [plan.spec.name] : []
    })
    const closing = yield* Effect.forkDaemon(Scope.close(scope, Exit.void))
    const closed = yield* Fiber.await(closing).pipe(Effect.interruptible, Effect.timeoutOption(budget))
    if (keep) return []
    const left = containers.length === 0 && Option.isSome(closed) ? [] : yield* containersLeft(parts, containers)
    if (left.length > 0) {
      yield* Effect.logError(`Could not remove ${left.join(", ")}; the next start of the agent will`)
    }
    yield* Effect.forEach(names, (name) => board.change(name, { event: EngineEvent.Shutdown() }), { discard: true })
    return left
  })

interface OnDemand extends Parts {
  readonly driverFor: NonNullable<SupervisorOptions["driverFor"]>
  /** Those of the settings and the program, which stay whatever becomes of them. */
  readonly drivers: ReadonlyArray<EngineDriver>
  readonly start: (driver: EngineDriver) => Effect.Effect<void>
  readonly stop: (name: EngineName) => Effect.Effect<void>
}

/** Starts the engine that a model's name asks for, unless it runs. */
const startFor = ({ board, driverFor, drivers, start, stop }: OnDemand) =>
  Effect.fn("EngineSupervisor.startFor")(function*(model: string) {
    const driver = yield* driverFor(model)
    const running = board.engines.current().find(({ name }) => name === driver.name)
    // It can fetch the model itself.
    if (running?.state === "ready" && running.pull !== undefined) return
    if (running !== undefined && running.model !== model) {
      return yield* new EngineNotStarted({
        reason: `${driver.title} runs here already, for ${running.model === "" ? "other models" : running.model}`,
        isTransient: false
      })
    }
    if (running === undefined) {
      yield* Effect.logInfo(`Starting ${driver.title} for ${model}, requested on demand`)
      yield* board.add(driver)
      yield* start(driver)
    }
    // An unavailable model must not block the engine for other models.
    yield* Effect.tapError(
      untilDecided(board, driver),
      ({ isTransient }) =>
        isTransient || drivers.some(({ name }) => name === driver.name) ? Effect.void : stop(driver.name)
    )
  })

/** Supervises the engines of these drivers, of which there may be none; they are stopped with the scope. */
export const make = (
  options: SupervisorOptions
): Effect.Effect<EngineSupervisor, never, Daemon.Daemons | Docker | Machine | Scope.Scope> =>
  Effect.gen(function*() {
    const { driverFor, drivers, keepEngines: keep = false, nodeId } = options
    const docker = yield* Docker
    const daemons = yield* Daemon.Daemons
    const board = yield* EngineBoard.make(drivers)
    const parts: Parts = { docker, nodeId, board }
    const shared: Omit<EngineRun.Supervision, "driver"> = {
      ...parts,
      machine: yield* Machine,
      times: { ...EngineTimes.defaults, ...options.times },
      keep
    }
    // A scope of its own, so that a container that cannot be removed does not block the agent's stop.
    const scope = yield* Scope.make(ExecutionStrategy.parallel)
    const owner = yield* Effect.scope
    const fibers = yield* Scope.extend(FiberMap.make<EngineName>(), scope)
    /** The watch is the daemon: it is over at once, however long an engine takes to stop. */
    const start = (driver: EngineDriver) =>
      Effect.gen(function*() {
        const fiber = yield* Effect.forkIn(supervise({ ...shared, driver }), scope)
        yield* FiberMap.set(fibers, driver.name, fiber)
        yield* Scope.extend(
          daemons.start(
            `${driver.title} supervision`,
            Effect.flatMap(Fiber.await(fiber), (exit) => Exit.isInterrupted(exit) ? Effect.void : exit)
          ),
          owner
        )
      })
    const stop = (name: EngineName) => Effect.zipRight(FiberMap.remove(fibers, name), board.remove(name))
    const sweeping = yield* Scope.extend(
      daemons.start("container sweep", options.hasContainers === false ? Effect.void : sweep(parts)),
      scope
    )
    yield* Effect.forEach(drivers, start, { discard: true })

    const shutdown = yield* Effect.cached(
      stopAll(parts, { scope, keep, budget: options.budget ?? shutdownBudget })
    )
    yield* Effect.addFinalizer(() => shutdown)

    return {
      engines: {
        ...board.engines,
        ...(driverFor === undefined ? {} : { startFor: startFor({ ...parts, driverFor, drivers, start, stop }) })
      },
      findings: board.findings,
      swept: Effect.asVoid(Fiber.join(sweeping)),
      shutdown
    }
  })
