/** The probe of an external Ollama, which may have any models, or none. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as EngineHttp from "../../chat/EngineHttp.js"
import * as Asking from "../Asking.js"
import type { EngineAddress, EngineProbe } from "../EngineDriver.js"
import * as OllamaApi from "../ollama/OllamaApi.js"

export const make = (address: EngineAddress, checkDeadline: Duration.Duration): EngineProbe => {
  const get = Asking.getter(address, checkDeadline)
  const check = Effect.flatMap(Effect.zipRight(get("/api/version"), get("/api/tags")), (body) => {
    const names = OllamaApi.modelsOf(body)
    return names === undefined
      ? new EngineHttp.EngineUnreachable({ reason: "/api/tags answers with no list: is it an Ollama?" })
      : Effect.succeed(names)
  })
  return { ready: () => Asking.untilItAnswers(check), check, serves: () => true }
}
