/** Selects the engine for a model, or explains why there is none. */
import * as Either from "effect/Either"
import * as EngineStateText from "../chat/EngineStateText.js"
import * as ModelName from "../chat/ModelName.js"
import type { RunningEngine } from "../engine/Engine.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as Printable from "../text/Printable.js"

const { Status } = GrpcError

/** How many models an error lists. */
const maxListed = 20

export interface Route {
  readonly engine: RunningEngine
  /** The engine's own name for the model. */
  readonly model: string
}

/** Why no engine answers for a model. */
export interface NoRoute {
  readonly error: GrpcError.GrpcError
  /** No engine has the model, as opposed to not being able to use it now. */
  readonly isUnknown: boolean
}

/** Without double quotes and backslashes: gateways in the field paste details between double quotes into JSON. */
export const plain = (text: string): string => text.replaceAll("\"", "'").replaceAll("\\", "/")

/** A caller's text, quoted for an error. */
export const quoted = (text: string): string => `'${plain(Printable.oneLine(text, 200))}'`

const describe = (engine: RunningEngine): string =>
  EngineStateText.sentence(engine.title, engine.state, engine.state === "ready" ? "" : engine.detail)

const unknownModel = (engines: ReadonlyArray<RunningEngine>, model: string): GrpcError.GrpcError => {
  const served = [...new Set(engines.flatMap(({ models }) => models))]
  const others = engines.filter(({ state }) => state !== "ready")
  const more = served.length > maxListed ? ` and ${served.length - maxListed} more` : ""
  const list = served.length === 0
    ? "it serves none now"
    : `it serves ${served.slice(0, maxListed).map((name) => Printable.oneLine(name, 200)).join(", ")}${more}`
  const what = engines.length === 0
    ? "it runs no inference engine (--engines-on-demand starts the one that a model's name asks for)"
    : [list, ...others.map((engine) => `${describe(engine)} (${engine.model})`)].join("; ")
  return GrpcError.fail(Status.NOT_FOUND, `model ${quoted(model)} is not served by this node: ${what}`)
}

const leastBusy = (routes: ReadonlyArray<Route>): Route | undefined => {
  let best = routes[0]
  for (const route of routes) {
    if (best !== undefined && route.engine.activity.inFlight < best.engine.activity.inFlight) best = route
  }
  return best
}

/** Among engines that have the model, one that lists it by exactly this name, then the one with the fewest requests. */
export const route = (engines: ReadonlyArray<RunningEngine>, model: string): Either.Either<Route, NoRoute> => {
  const ready = engines.flatMap((engine) => {
    const name = engine.state === "ready" ? ModelName.find(engine.models, model) : undefined
    return name === undefined ? [] : [{ engine, model: name }]
  })
  const exact = ready.filter((route) => route.model === model)
  const best = leastBusy(exact.length > 0 ? exact : ready)
  if (best !== undefined) return Either.right(best)
  const waiting = engines.find((engine) =>
    engine.state !== "ready" && ModelName.isServedBy({ models: [engine.model, ...engine.models] }, model)
  )
  return Either.left(
    waiting === undefined
      ? { error: unknownModel(engines, model), isUnknown: true }
      : {
        error: GrpcError.fail(
          Status.UNAVAILABLE,
          `model ${quoted(model)} cannot be used now: ${describe(waiting)}`
        ),
        isUnknown: false
      }
  )
}
