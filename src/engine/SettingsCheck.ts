/** Settings of engines that contradict each other, whatever the machine: found before anything starts. */
import * as fs from "node:fs"
import type { InvalidSetting } from "../config/Setting.js"
import type { VolumeSource } from "../config/SettingFormat.js"
import type { EngineDriver } from "./EngineDriver.js"
import type { EngineSettings } from "./EngineSettings.js"
import * as GpuSelection from "./GpuSelection.js"

/** How many devices a choice of GPUs names; `undefined` for `all`. */
export const countOf = (gpus: string): number | undefined =>
  gpus === "all" ? undefined : gpus === "none" ? 0 : gpus.split(",").length

/** The settings of one kind of value. */
type KeysOf<A> = { [Key in keyof EngineSettings]: EngineSettings[Key] extends A ? Key : never }[keyof EngineSettings]

/** A choice that names a GPU twice. */
export const gpusProblem = (
  settings: EngineSettings,
  key: Extract<KeysOf<string>, `${string}Gpus`>
): InvalidSetting | undefined => {
  const twice = GpuSelection.namedTwice(settings[key])
  return twice === undefined ? undefined : settings.refuse(key, `GPU ${twice} is named twice`, "each GPU once")
}

const directoryProblem = (source: VolumeSource): string | undefined => {
  if (source._tag === "Named") return undefined
  try {
    return fs.statSync(source.path).isDirectory() ? undefined : "it is not a directory"
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : String(error)
    return code === "ENOENT" || code === "ENOTDIR" ? "there is no such directory" : `it cannot be inspected (${code})`
  }
}

/** A directory that does not exist. */
export const volumeProblem = (
  settings: EngineSettings,
  key: KeysOf<VolumeSource>
): InvalidSetting | undefined => {
  const problem = directoryProblem(settings[key])
  return problem === undefined
    ? undefined
    : settings.refuse(key, problem, "a directory that exists, or the name of a volume")
}

/** Ports of the agent itself, by the flags that give them. */
export type Ports = Readonly<Record<string, number>>

/** Two listeners on one port of this machine. */
export const portProblem = (drivers: ReadonlyArray<EngineDriver>, agentPorts: Ports): InvalidSetting | undefined => {
  const taken = new Map<number, string>(
    Object.entries(agentPorts).map(([flag, port]) => [port, `the agent itself listens there (${flag})`])
  )
  for (const { publishes, title } of drivers) {
    if (publishes === undefined) continue
    const holder = taken.get(publishes.port)
    if (holder !== undefined) return publishes.refuse(holder, "another port")
    taken.set(publishes.port, `${title} is published on it as well`)
  }
  return undefined
}
