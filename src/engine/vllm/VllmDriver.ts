/** vLLM: all that the supervisor needs to run it. */
import * as Either from "effect/Either"
import type { InvalidSetting } from "../../config/Setting.js"
import type { EngineDriver } from "../EngineDriver.js"
import type { EngineSettings } from "../EngineSettings.js"
import * as SettingsCheck from "../SettingsCheck.js"
import { badArgument } from "./VllmArguments.js"
import { diagnosis } from "./VllmDiagnosis.js"
import * as VllmLog from "./VllmLog.js"
import { memoryShortage, plan, servedName } from "./VllmPlan.js"
import * as VllmProbe from "./VllmProbe.js"
import { name, title } from "./VllmSettings.js"

const tensorParallelProblem = (settings: EngineSettings): InvalidSetting | undefined => {
  const { refuse, vllmGpus, vllmTensorParallel } = settings
  const count = SettingsCheck.countOf(vllmGpus)
  if (count === undefined || vllmTensorParallel <= Math.max(1, count)) return undefined
  return count === 0
    ? refuse("vllmTensorParallel", "--vllm-gpus none gives it no GPU to share the model between", "1")
    : refuse(
      "vllmTensorParallel",
      `--vllm-gpus names ${count === 1 ? "1 GPU" : `${count} GPUs`} only`,
      `a number from 1 to ${count}, or more GPUs`
    )
}

const problemOf = (settings: EngineSettings): InvalidSetting | undefined => {
  const bad = badArgument(settings.vllmArgs)
  return SettingsCheck.gpusProblem(settings, "vllmGpus")
    ?? SettingsCheck.volumeProblem(settings, "vllmVolume")
    ?? (bad === undefined ? undefined : settings.refuse("vllmArgs", bad.problem, bad.expected, { value: bad.name }))
    ?? tensorParallelProblem(settings)
}

/** The driver, or the setting that contradicts another, whatever the machine. */
export const make = (settings: EngineSettings): Either.Either<EngineDriver, InvalidSetting> => {
  const problem = problemOf(settings)
  if (problem !== undefined) return Either.left(problem)
  return Either.right({
    name,
    title,
    model: settings.vllmModel,
    wantsGpu: settings.vllmGpus !== "none",
    publishes: {
      port: settings.vllmPort,
      refuse: (problem, expected) => settings.refuse("vllmPort", problem, expected)
    },
    plan: (machine) => plan(settings, machine),
    probe: (plan, checkDeadline) => VllmProbe.make({ ...plan, model: servedName(settings) }, checkDeadline),
    log: VllmLog.reader,
    diagnosis,
    memoryShortage: (plan) => memoryShortage(settings, plan)
  })
}
