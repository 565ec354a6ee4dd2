/** The agent's status, combined from the services that own its parts. */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Engines } from "../engine/Engine.js"
import { InferenceRouter } from "../inference/InferenceRouter.js"
import { AgentStatus } from "./AgentStatus.js"
import { Connectivity } from "./Connectivity.js"
import * as EngineStats from "./EngineStats.js"

export const layer: Layer.Layer<AgentStatus, never, Connectivity | Engines | InferenceRouter> = Layer.effect(
  AgentStatus,
  Effect.gen(function*() {
    const connectivity = yield* Connectivity
    const engines = yield* Engines
    const router = yield* InferenceRouter
    const get = Effect.map(connectivity.state, (state) => ({
      ...state,
      engines: EngineStats.added(engines.reports(), router)
    }))
    return {
      get,
      changes: Stream.merge(connectivity.changes, engines.changes).pipe(
        Stream.buffer({ capacity: 1, strategy: "sliding" }),
        Stream.mapEffect(() => get)
      )
    }
  })
)
