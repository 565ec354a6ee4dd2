/** What an engine's settings come to on a machine: a container, and how it is to be dealt with. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import type * as Redacted from "effect/Redacted"
import type { Finding } from "../node/NodeCapabilities.js"
import type { EngineSettings } from "./EngineSettings.js"
import * as HostPort from "../net/HostPort.js"
import type { VolumeSource } from "../config/SettingFormat.js"
import * as ContainerSpec from "../docker/ContainerSpec.js"
import type * as DockerError from "../docker/api/DockerError.js"
import { type EngineName, titles } from "./Engine.js"
import * as EngineContainer from "./EngineContainer.js"
import type { GpuSelection } from "./GpuSelection.js"
import type { MachineFacts } from "./Machine.js"

export interface EnginePlan {
  readonly name: EngineName
  readonly spec: ContainerSpec.ContainerSpec
  /** Where its API is reached from this machine, without a slash at the end. */
  readonly baseUrl: string
  readonly model: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
  /** Absent when it runs on the CPU. */
  readonly gpus: GpuSelection | undefined
  /** What a person should know about this plan. */
  readonly findings: ReadonlyArray<Finding>
}

/** The settings ask for what this machine cannot do. Nothing has been started. */
export class EngineRefused extends Data.TaggedError("EngineRefused")<{
  readonly engine: EngineName
  /** What is wrong, in a sentence, with the setting and its value. */
  readonly problem: string
  /** What would change it, in a sentence. */
  readonly remedy: string
}> {
  override get message(): string {
    return `${titles[this.engine]} cannot run here: ${this.problem} ${this.remedy}`
  }
}

/** From the stop signal to the kill. The agent drains requests before it stops an engine, so it is rarely used up. */
export const stopTimeoutSeconds = 45

/** The address at which this machine reaches what is published on another. */
const reachable = (bindAddress: string): string =>
  bindAddress === "0.0.0.0" ? "127.0.0.1" : bindAddress === "::" ? "::1" : bindAddress

/** Docker binds to addresses, not to names. */
export const bindIp = (settings: EngineSettings): string =>
  settings.engineBindAddress === "localhost" ? "127.0.0.1" : settings.engineBindAddress

export const baseUrl = (settings: EngineSettings, port: number): string =>
  `http://${HostPort.format({ host: reachable(bindIp(settings)), port })}`

export const mountOf = (source: VolumeSource, target: string): typeof ContainerSpec.Mount.Encoded =>
  source._tag === "Named"
    ? { _tag: "Volume", name: source.name, target }
    : { _tag: "Bind", source: source.path, target }

const isSecret = (name: string) => /TOKEN|KEY|SECRET|PASSWORD|PROXY/i.test(name)

/**
 * Variables of the agent's environment that are handed to an engine: those that `wanted` names, and the proxies. What
 * may hold a secret is kept as one.
 */
export const passedOn = (
  env: MachineFacts["env"],
  wanted: (name: string) => boolean
): { readonly env: Record<string, string>; readonly secrets: Record<string, string> } => {
  const plain: Record<string, string> = {}
  const secrets: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === "") continue
    if (!wanted(name) && !/^(?:https?|no|all)_proxy$/i.test(name)) continue
    if (isSecret(name) && !/^no_proxy$/i.test(name)) secrets[name] = value
    else plain[name] = value
  }
  return { env: plain, secrets }
}

/** The spec, or the refusal that its fault comes to. */
export const specOf = (
  of: EngineContainer.EngineIdentity,
  input: Omit<ContainerSpec.ContainerSpecInput, "name" | "labels">
): Either.Either<ContainerSpec.ContainerSpec, EngineRefused> =>
  Either.mapLeft(
    ContainerSpec.make({ ...input, name: EngineContainer.name(of), labels: EngineContainer.selector(of) }),
    (error: DockerError.SpecInvalid) =>
      new EngineRefused({
        engine: of.engine,
        problem: error.message,
        remedy: "Correct the setting that it comes from."
      })
  )

/** What a selection of GPUs adds to a spec that does not run on the CPU. */
export const gpuParts = (
  selection: GpuSelection,
  machine: MachineFacts
): Partial<ContainerSpec.ContainerSpecInput> & { readonly env: Record<string, string> } => {
  const chosen = selection.devices === "all" ? undefined : selection.devices.join(",")
  switch (selection.vendor) {
    case "nvidia":
      return { gpus: { vendor: "nvidia", devices: selection.devices }, env: {} }
    case "amd":
      return {
        devices: [{ host: "/dev/kfd" }, { host: "/dev/dri" }],
        groups: machine.deviceGroups,
        env: chosen === undefined ? {} : { ROCR_VISIBLE_DEVICES: chosen }
      }
    case "intel": {
      // Level Zero knows GPUs by index only.
      const indexes = selection.gpus.map(({ index }, position) => index ?? position).join(",")
      return {
        devices: [{ host: "/dev/dri" }],
        groups: machine.deviceGroups,
        env: chosen === undefined ? {} : { ZE_AFFINITY_MASK: indexes }
      }
    }
  }
}
