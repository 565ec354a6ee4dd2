/** Ollama: all that the supervisor needs to run it. */
import * as Either from "effect/Either"
import type { InvalidSetting } from "../../config/Setting.js"
import type { EngineDriver } from "../EngineDriver.js"
import type { EngineSettings } from "../EngineSettings.js"
import * as SettingsCheck from "../SettingsCheck.js"
import { diagnosis } from "./OllamaDiagnosis.js"
import * as OllamaLog from "./OllamaLog.js"
import { plan } from "./OllamaPlan.js"
import * as OllamaProbe from "./OllamaProbe.js"
import * as OllamaPull from "./OllamaPull.js"
import { name, pullsOnDemand, title } from "./OllamaSettings.js"

/** The driver, or the setting that contradicts another, whatever the machine. */
export const make = (settings: EngineSettings): Either.Either<EngineDriver, InvalidSetting> => {
  const problem = SettingsCheck.gpusProblem(settings, "ollamaGpus")
    ?? SettingsCheck.volumeProblem(settings, "ollamaVolume")
  if (problem !== undefined) return Either.left(problem)
  return Either.right({
    name,
    title,
    model: settings.ollamaModel,
    // It answers with one, however many are asked for.
    maxChoices: 1,
    wantsGpu: settings.ollamaGpus !== "none",
    publishes: {
      port: settings.ollamaPort,
      refuse: (problem, expected) => settings.refuse("ollamaPort", problem, expected)
    },
    plan: (machine) => plan(settings, machine),
    probe: (plan, checkDeadline) =>
      OllamaProbe.make({ ...plan, hasGpu: plan._tag === "Container" && plan.gpus !== undefined }, checkDeadline),
    log: OllamaLog.reader,
    diagnosis,
    ...(pullsOnDemand(settings) ? { pull: OllamaPull.once } : {})
  })
}
