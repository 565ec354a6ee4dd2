/** Settings of engines that contradict each other, whatever the machine: found before anything starts. */
import * as fs from "node:fs"
import * as Either from "effect/Either"
import type { EngineSettings } from "./EngineSettings.js"
import type { InvalidSetting } from "../config/Setting.js"
import type { VolumeSource } from "../config/SettingFormat.js"
import type { EngineName } from "./Engine.js"
import * as GpuSelection from "./GpuSelection.js"
import * as Vllm from "./vllm/Vllm.js"

/** The engines that the settings ask for. */
export const enabled = (settings: EngineSettings): ReadonlyArray<EngineName> => [
  ...(settings.enableVllm ? ["vllm" as const] : []),
  ...(settings.enableOllama ? ["ollama" as const] : [])
]

/** How many devices a choice of GPUs names; `undefined` for `all`. */
const countOf = (gpus: string): number | undefined =>
  gpus === "all" ? undefined : gpus === "none" ? 0 : gpus.split(",").length

const directoryProblem = (source: VolumeSource): string | undefined => {
  if (source._tag === "Named") return undefined
  try {
    return fs.statSync(source.path).isDirectory() ? undefined : "it is not a directory"
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    return code === "ENOENT" || code === "ENOTDIR" ? "there is no such directory" : `it cannot be looked at (${code})`
  }
}

/** Answers with what is wrong; `undefined` when nothing is. Settings of an engine that is off are not looked at. */
const problemOf = (settings: EngineSettings, agentPorts: Ports): InvalidSetting | undefined => {
  const { refuse } = settings
  const both = settings.enableVllm && settings.enableOllama
  if (both && settings.vllmPort === settings.ollamaPort) {
    return refuse("ollamaPort", "vLLM is published on it as well (--vllm-port)", "another port than vLLM's")
  }
  const ports = [
    ...(settings.enableVllm ? [["vllmPort", settings.vllmPort] as const] : []),
    ...(settings.enableOllama ? [["ollamaPort", settings.ollamaPort] as const] : [])
  ]
  for (const [setting, taken] of Object.entries(agentPorts)) {
    const own = ports.find(([, port]) => port === taken)
    if (own !== undefined) return refuse(own[0], `the agent itself listens there (${setting})`, "another port")
  }
  const selections = [
    ...(settings.enableVllm ? [["vllmGpus", settings.vllmGpus] as const] : []),
    ...(settings.enableOllama ? [["ollamaGpus", settings.ollamaGpus] as const] : [])
  ]
  for (const [key, text] of selections) {
    const twice = GpuSelection.namedTwice(text)
    if (twice !== undefined) return refuse(key, `GPU ${twice} is named twice`, "each GPU once")
  }
  const volumes = [
    ...(settings.enableVllm ? [["vllmVolume", settings.vllmVolume] as const] : []),
    ...(settings.enableOllama ? [["ollamaVolume", settings.ollamaVolume] as const] : [])
  ]
  for (const [key, source] of volumes) {
    const problem = directoryProblem(source)
    if (problem !== undefined) return refuse(key, problem, "a directory that exists, or the name of a volume")
  }
  if (!settings.enableVllm) return undefined
  const bad = Vllm.badArgument(settings.vllmArgs)
  if (bad !== undefined) return refuse("vllmArgs", bad.problem, bad.expected, { value: bad.name })
  const count = countOf(settings.vllmGpus)
  if (count !== undefined && count > 0 && settings.vllmTensorParallel > count) {
    return refuse(
      "vllmTensorParallel",
      `--vllm-gpus names ${count === 1 ? "1 GPU" : `${count} GPUs`} only`,
      `a number from 1 to ${count}, or more GPUs`
    )
  }
  if (count === 0 && settings.vllmTensorParallel > 1) {
    return refuse("vllmTensorParallel", "--vllm-gpus none gives it no GPU to share the model between", "1")
  }
  return undefined
}

/** Ports of the agent itself, by the settings that give them. */
type Ports = Readonly<Record<string, number>>

export const check = (settings: EngineSettings, agentPorts: Ports): Either.Either<void, InvalidSetting> => {
  const problem = problemOf(settings, agentPorts)
  return problem === undefined ? Either.void : Either.left(problem)
}
