/** The probe of a running Ollama. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as EngineHttp from "../../chat/EngineHttp.js"
import { isServedBy } from "../../chat/ModelName.js"
import * as Asking from "../Asking.js"
import { ModelUnavailable } from "../Engine.js"
import type { EngineAddress, EngineProbe } from "../EngineDriver.js"
import * as OllamaApi from "./OllamaApi.js"
import * as OllamaPull from "./OllamaPull.js"

/** Models that an error lists. */
const listedModels = 20

/** `hasGpu`: it was given one, and should use it. */
export const make = (
  address: EngineAddress & { readonly model: string; readonly hasGpu: boolean },
  checkDeadline: Duration.Duration
): EngineProbe => {
  const { hasGpu, model } = address
  const get = Asking.getter(address, checkDeadline)
  const models = Effect.flatMap(get("/api/tags"), (body) => {
    const names = OllamaApi.modelsOf(body)
    return names === undefined
      ? Effect.fail(new EngineHttp.EngineUnreachable({ reason: "/api/tags answers with no list" }))
      : Effect.succeed(names)
  })
  const notListed = (listed: ReadonlyArray<string>) =>
    new ModelUnavailable({
      diagnosis: {
        cause: "model-not-found",
        message: `Ollama pulled ${model} but does not list it (it lists ${
          listed.slice(0, listedModels).join(", ") || "nothing"
        }).`,
        remedy: "Check --ollama-model.",
        lasting: false
      }
    })
  return {
    ready: (onProgress) =>
      Effect.gen(function*() {
        yield* Asking.untilItAnswers(get("/api/version"))
        yield* onProgress("Ollama answers")
        const present = yield* Asking.untilItAnswers(models, "1 second")
        if (!isServedBy({ models: present }, model)) {
          yield* onProgress(`Pulling the model ${model}`)
          yield* OllamaPull.untilComplete(address, model, onProgress)
          yield* onProgress(`Pulled ${model}`)
        }
        const listed = yield* Asking.untilItAnswers(models, "1 second")
        return isServedBy({ models: listed }, model) ? listed : yield* notListed(listed)
      }),
    check: Effect.zipRight(get("/api/version"), models),
    serves: (listed) => isServedBy({ models: listed }, model),
    ...(hasGpu
      ? { look: Effect.orElseSucceed(Effect.map(get("/api/ps"), OllamaApi.partlyOnCpu), () => undefined) }
      : {})
  }
}
