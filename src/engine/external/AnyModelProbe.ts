/** What is asked of engines that may serve whatever their owner likes. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as EngineHttp from "../../chat/EngineHttp.js"
import * as Asking from "../Asking.js"
import type { EngineAddress, EngineProbe } from "../EngineDriver.js"
import * as OllamaApi from "../ollama/OllamaApi.js"
import * as VllmProbe from "../vllm/VllmProbe.js"

const probeOf = (check: EngineProbe["check"], serves: EngineProbe["serves"]): EngineProbe => ({
  ready: () => Asking.untilItAnswers(check),
  check,
  serves
})

/** A vLLM, or what speaks OpenAI's API like one; `model` empty: any model will do. */
export const vllm = (address: EngineAddress, model: string, deadline: Duration.Duration): EngineProbe => {
  if (model !== "") return VllmProbe.make(address, [model], deadline)
  const get = Asking.getter(address, deadline)
  const check = Effect.flatMap(
    Effect.zipRight(get("/health"), Effect.map(get("/v1/models"), VllmProbe.modelsOf)),
    (listed) =>
      listed.length > 0
        ? Effect.succeed(listed)
        : Effect.fail(new EngineHttp.EngineSilent({ reason: "it lists no model" }))
  )
  return { ...VllmProbe.make(address, [], deadline), ...probeOf(check, (listed) => listed.length > 0) }
}

/** An Ollama with whatever models it has, which may be none yet. */
export const ollama = (address: EngineAddress, deadline: Duration.Duration): EngineProbe => {
  const get = Asking.getter(address, deadline)
  const check = Effect.flatMap(get("/api/tags"), (body) => {
    const names = OllamaApi.modelsOf(body)
    return names === undefined
      ? Effect.fail(new EngineHttp.EngineSilent({ reason: "/api/tags answers with no list: is it an Ollama?" }))
      : Effect.succeed(names)
  })
  return probeOf(check, () => true)
}
