/** What an engine's settings mean on this machine: a container, or the address of an already running engine. */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import type * as Redacted from "effect/Redacted"
import type { Finding } from "../node/NodeCapabilities.js"
import type { EngineSettings } from "./EngineSettings.js"
import * as HostPort from "../net/HostPort.js"
import type { VolumeSource } from "../config/SettingFormat.js"
import * as ContainerSpec from "../docker/ContainerSpec.js"
import type * as DockerError from "../docker/api/DockerError.js"
import type { EngineName } from "./Engine.js"
import * as EngineContainer from "./EngineContainer.js"
import type { GpuSelection } from "./GpuSelection.js"
import type { MachineFacts } from "./Machine.js"

interface Plan {
  readonly name: EngineName
  /** Where its API is reached from this machine, without a slash at the end. */
  readonly baseUrl: string
  readonly model: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
  /** Findings about this plan. */
  readonly findings: ReadonlyArray<Finding>
}

/** A container that the agent creates, watches and removes. */
export interface ContainerPlan extends Plan {
  readonly _tag: "Container"
  readonly spec: ContainerSpec.ContainerSpec
  /** Absent when it runs on the CPU. */
  readonly gpus: GpuSelection | undefined
}

/** An engine that the agent does not start: it is watched and served like the others. */
export interface ExternalPlan extends Plan {
  readonly _tag: "External"
  /** What to do when it cannot be reached: one sentence. */
  readonly remedy: string
}

export type EnginePlan = ContainerPlan | ExternalPlan

/** The settings do not fit this machine. Nothing has been started. */
export class EngineRefused extends Data.TaggedError("EngineRefused")<{
  /** The engine, as people write it. */
  readonly title: string
  /** What is wrong: one sentence, with the setting and its value. */
  readonly problem: string
  /** What to do: one sentence. */
  readonly remedy: string
}> {
  override get message(): string {
    return `${this.title} cannot run here: ${this.problem} ${this.remedy}`
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

/** Variables whose values are never secrets. */
const harmlessNames =
  /^(?:no_proxy|NO_PROXY|(?:VLLM|OLLAMA|HF)_(?:.*_)?(?:BACKEND|LEVEL|METHOD|TYPE|LIBRARY|ORIGINS|ENDPOINT|MODE|DEVICES?))$/

/** Switches, numbers, sizes and durations, and what is too short to be a secret. */
const harmlessValues = /^(?:true|false|yes|no|on|off|none|auto|-?\d{1,12}(?:\.\d{1,6})?[a-zA-Z]{0,3}|.{0,5})$/i

/**
 * Whether a variable's value is kept out of labels and logs: everything is that is not plainly harmless, since names
 * prove nothing and a URL may contain a password.
 */
const isSecret = (name: string, value: string): boolean =>
  !harmlessValues.test(value) && (!harmlessNames.test(name) || /:\/\/[^/]*@/.test(value))

/** Variables of the agent's environment that are handed to an engine: those that `wanted` names, and the proxies. */
export const passedOn = (
  env: MachineFacts["env"],
  wanted: (name: string) => boolean
): { readonly env: Record<string, string>; readonly secrets: Record<string, string> } => {
  const plain: Record<string, string> = {}
  const secrets: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined || value === "") continue
    if (!wanted(name) && !/^(?:https?|no|all)_proxy$/i.test(name)) continue
    if (isSecret(name, value)) secrets[name] = value
    else plain[name] = value
  }
  return { env: plain, secrets }
}

/**
 * Linux capabilities that an engine's root user needs to write into directories of other users; all others are dropped.
 * Engines load models that anyone may have published.
 */
const keptCapabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"]

/** Limit on processes and threads: vLLM starts hundreds per GPU, and a fork bomb many more. */
const pidsLimit = 16_384

/** What every engine's container is confined to; `more` are capabilities that this one needs. */
export const confinement = (more: ReadonlyArray<string> = []) => ({
  capDrop: ["ALL"],
  capAdd: [...keptCapabilities, ...more],
  pidsLimit
})

/** The spec, or a refusal for an invalid one. */
export const specOf = (
  of: EngineContainer.EngineIdentity & { readonly title: string },
  input: Omit<ContainerSpec.ContainerSpecInput, "name" | "labels">
): Either.Either<ContainerSpec.ContainerSpec, EngineRefused> =>
  Either.mapLeft(
    ContainerSpec.make({ ...input, name: EngineContainer.name(of), labels: EngineContainer.selector(of) }),
    (error: DockerError.SpecInvalid) =>
      new EngineRefused({
        title: of.title,
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

/** A container plan from the engine's own parts; or a refusal for an invalid spec. */
export const containerPlan = (
  of: EngineContainer.EngineIdentity & { readonly title: string },
  { gpus, spec, ...rest }: Pick<ContainerPlan, "apiKey" | "baseUrl" | "model"> & {
    readonly spec: Omit<ContainerSpec.ContainerSpecInput, "name" | "labels">
    readonly gpus?: GpuSelection | undefined
    readonly findings?: ReadonlyArray<Finding>
  }
): Either.Either<ContainerPlan, EngineRefused> =>
  Either.map(specOf(of, spec), (spec): ContainerPlan => ({
    _tag: "Container",
    name: of.engine,
    spec,
    gpus,
    findings: [],
    ...rest
  }))
