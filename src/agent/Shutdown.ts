/** Stopping an agent: one time budget for everything, and a report of what is left when it runs out. */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Ref from "effect/Ref"
import * as Scope from "effect/Scope"
import { Engines } from "../engine/Engine.js"
import * as GoDuration from "../text/GoDuration.js"

/** The agent stopped and left something on the machine. */
export class StopIncomplete extends Data.TaggedError("StopIncomplete")<{
  /** What is left, and why: a sentence without a full stop. */
  readonly problem: string
}> {
  override get message(): string {
    return `stopped, but ${this.problem}; the next start removes what is left`
  }
}

/** Below the service unit's 120 s (`TimeoutStopSec`), which includes the time that the process needs to exit. */
const unitBudget = Duration.seconds(110)

/** The minimum for the engines, however long the drain timeout is. */
const enginesBudget = Duration.seconds(30)

/** Reserved for the last report and for what closes after the engines. */
const reserve = Duration.seconds(5)

/**
 * How long a stop may take. A drain timeout that leaves the engines no time within the unit's limit needs a unit with a
 * longer one.
 */
export const budgetOf = (drainTimeout: Duration.Duration): Duration.Duration =>
  Duration.max(unitBudget, Duration.sum(drainTimeout, enginesBudget))

/** The deadline of the stop. */
export class StopBudget extends Context.Tag("@orchion/node-agent/StopBudget")<
  StopBudget,
  {
    /** Starts the clock, unless it runs already. */
    readonly begin: Effect.Effect<void>
    /** What is left of the budget, less the reserve; all of it before the stop begins. */
    readonly rest: Effect.Effect<Duration.Duration>
  }
>() {
  static readonly layer = (drainTimeout: Duration.Duration): Layer.Layer<StopBudget> =>
    Layer.effect(
      StopBudget,
      Effect.map(Ref.make<number | undefined>(undefined), (deadline) => {
        const budget = Duration.toMillis(budgetOf(drainTimeout))
        return {
          begin: Effect.flatMap(
            Clock.currentTimeMillis,
            (now) => Ref.update(deadline, (known) => known ?? now + budget)
          ),
          rest: Effect.gen(function*() {
            const now = yield* Clock.currentTimeMillis
            const end = (yield* Ref.get(deadline)) ?? now + budget
            return Duration.millis(Math.max(0, end - now - Duration.toMillis(reserve)))
          })
        }
      })
    )
}

/** A layer whose release is cut off by the budget; what is not released by then continues until the process exits. */
export const boundedRelease = <A, E, R>(layer: Layer.Layer<A, E, R>): Layer.Layer<A, E, R | StopBudget> =>
  Layer.scopedContext(Effect.gen(function*() {
    const budget = yield* StopBudget
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer((exit: Exit.Exit<unknown, unknown>) =>
      Effect.gen(function*() {
        const rest = yield* budget.rest
        const closing = yield* Effect.forkDaemon(Scope.close(scope, exit))
        yield* Fiber.await(closing).pipe(Effect.interruptible, Effect.timeoutOption(rest))
      })
    )
    return yield* Layer.buildWithScope(layer, scope)
  }))

const joined = (names: ReadonlyArray<string>) => names.join(" and ")

/**
 * Stops the engines, and fails with the containers that are left. Logs what it waits for.
 *
 * `stop` stops all engines and removes their containers, unless they are kept, and returns the names of the containers
 * that it could not remove.
 */
export const stopEngines = Effect.fn("Shutdown.stopEngines")(function*(options: {
  readonly keepEngines: boolean
  readonly stop: Effect.Effect<ReadonlyArray<string>>
}) {
  const budget = yield* StopBudget
  const engines = yield* Engines
  const titles = joined(engines.current().map(({ title }) => title))
  const rest = yield* budget.rest
  if (titles !== "") {
    yield* Effect.logInfo(
      options.keepEngines
        ? `Leaving ${titles} running (--keep-engines)`
        : `Stopping ${titles}, within ${GoDuration.format(rest)}`
    )
  }
  const left = yield* options.stop.pipe(Effect.interruptible, Effect.timeoutOption(rest))
  if (Option.isNone(left)) {
    return yield* new StopIncomplete({
      problem: `the containers of ${titles} may be left: Docker did not remove them within ${GoDuration.format(rest)}`
    })
  }
  if (left.value.length > 0) {
    return yield* new StopIncomplete({
      problem: `the container${left.value.length === 1 ? "" : "s"} ${joined(left.value)} could not be removed`
    })
  }
})
