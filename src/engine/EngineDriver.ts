/**
 * The interface of an inference engine's driver: everything that differs between engines.
 *
 * A driver describes one engine of one node; the supervisor does the rest: Docker, health, restarts, reports. The drivers
 * of this package are listed in `drivers.ts`; a program adds its own with {@link EngineDrivers}. `docs/adding-an-engine.md`
 * walks through one.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as EngineHttp from "../chat/EngineHttp.js"
import type { InvalidSetting } from "../config/Setting.js"
import type { Finding } from "../node/NodeCapabilities.js"
import type { Diagnosis, EngineDiagnosis } from "./Diagnosis.js"
import type { EngineName, ModelUnavailable } from "./Engine.js"
import type { EnginePlan, EngineRefused } from "./EnginePlan.js"
import type { Bytes } from "./EngineStatus.js"
import type { MachineFacts } from "./Machine.js"

/** Reports the progress of a start in one sentence; each call counts as a sign of life. */
export type OnProgress = (detail: string, bytes?: Bytes) => Effect.Effect<void>

/** What an engine is working on. One that has requests and produces no tokens is hung, whatever its health check says. */
export interface EngineLoad {
  /** Requests in flight. */
  readonly running: number
  /** Prompt and generated tokens since its start. */
  readonly tokens: number
  /** The part of the memory for contexts in use, 0 to 1: it grows while a long prompt is read, before any token counts. */
  readonly cacheUsage: number
}

/** Queries to a running engine. Every answer is bounded in bytes and time. */
export interface EngineProbe {
  /** Ends when the engine serves its model, with the names that it answers to. Waits as long as that takes. */
  readonly ready: (onProgress: OnProgress) => Effect.Effect<ReadonlyArray<string>, ModelUnavailable>
  /** One health check, with the names that it answers to now. */
  readonly check: Effect.Effect<ReadonlyArray<string>, EngineHttp.EngineUnreachable>
  /** Whether the model that it is set up to serve is one of these names. */
  readonly serves: (models: ReadonlyArray<string>) => boolean
  /** Whether it uses the GPU that it was given; `undefined` while no model is loaded. */
  readonly look?: Effect.Effect<ReadonlyArray<Finding> | undefined>
  /** `undefined` when it does not answer; absent where the engine has no such metrics. */
  readonly load?: Effect.Effect<EngineLoad | undefined>
}

/** What an engine's log lines mean. Each function is called for every line and must be linear in its length. */
export interface EngineLogReader {
  /** The progress of the start, in a few words; `undefined` for other lines. */
  readonly stageOf?: (line: string) => string | undefined
  /** The kind of device that it computes on: `cuda`, `rocm`, `cpu`. */
  readonly deviceOf?: (line: string) => string | undefined
  /** The line says that the engine accepts connections now. */
  readonly isUp?: (line: string) => boolean
  /** The line is about the agent's own health checks. */
  readonly isNoise?: (line: string) => boolean
}

/** The port of this machine on which an engine is published, and the error for one that is taken. */
export interface PublishedPort {
  readonly port: number
  readonly refuse: (problem: string, expected: string) => InvalidSetting
}

/** Where an engine is reached. */
export interface EngineAddress {
  /** Without a slash at the end. */
  readonly baseUrl: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
}

export interface EngineDriver {
  readonly name: EngineName
  /** As people write it: `vLLM`. */
  readonly title: string
  /** The model that it is set up to serve, as reported before it is ready. */
  readonly model: string
  /** How many choices it makes of one chat request; absent: as many as are asked for. */
  readonly maxChoices?: number
  /** Whether it is restarted when a GPU becomes available. */
  readonly wantsGpu: boolean
  /** Absent for engines without a port on this machine. */
  readonly publishes?: PublishedPort
  /** The container, or the address of an already running engine; or why neither is possible on this machine. */
  readonly plan: (machine: MachineFacts) => Effect.Effect<EnginePlan, EngineRefused>
  /** `checkDeadline` bounds each query. */
  readonly probe: (plan: EnginePlan, checkDeadline: Duration.Duration) => EngineProbe
  readonly log: EngineLogReader
  readonly diagnosis: EngineDiagnosis
  /** Why the container would find too little free GPU memory; looked at just before it is created. */
  readonly memoryShortage?: (plan: EnginePlan) => Diagnosis | undefined
  /** Fetches a model that the engine does not have yet, when a request asks for it. */
  readonly pull?: (address: EngineAddress, model: string) => Effect.Effect<void, ModelUnavailable>
}

/** Drivers that the program adds to those of the settings: `Layer.succeed(EngineDrivers, [driver])`. */
export class EngineDrivers extends Context.Reference<EngineDrivers>()("@orchion/node-agent/EngineDrivers", {
  defaultValue: (): ReadonlyArray<EngineDriver> => []
}) {}
