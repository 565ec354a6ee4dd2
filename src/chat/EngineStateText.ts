/** Texts for the states of an inference engine. */
import type { EngineState } from "../node/Node.js"

const texts: Readonly<Record<EngineState, string>> = {
  pulling: "is downloading its image",
  starting: "is starting",
  loading: "is loading its model",
  ready: "is ready",
  unhealthy: "fails its health checks",
  restarting: "is restarting",
  failed: "has failed",
  stopped: "is stopped"
}

const known = new Map<string, string>(Object.entries(texts))

/** To follow the engine's name: `is loading its model`. */
export const describe = (state: string): string => known.get(state) ?? `is in the state ${state.slice(0, 40)}`

/** An engine with its state and, where it has one, its detail: `vLLM is loading its model: 45 % of the weights`. */
export const sentence = (engine: string, state: string, detail: string): string =>
  `${engine} ${describe(state)}${detail === "" ? "" : `: ${detail.replace(/\.$/, "")}`}`
