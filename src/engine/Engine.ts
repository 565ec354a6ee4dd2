/**
 * The port to the inference engines of this node: what runs here, where it is reached, and which models it serves.
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import type { EngineReport, EngineState } from "../node/Node.js"
import type { Diagnosis } from "./Diagnosis.js"

/** Identifies an engine on its node and upstream: `vllm`, `ollama`. Lower-case letters, digits and dashes, at most 31. */
export type EngineName = string

/**
 * How busy an engine is with this node's requests. Written by the senders of requests, read by the health checks: an
 * engine that fails a check while it still produces tokens is busy, not hung.
 */
export interface EngineActivity {
  inFlight: number
  /** When an answer last made progress: milliseconds since 1970; 0 for never. */
  lastProgressAt: number
}

/** An engine as the senders of requests see it. */
export interface RunningEngine {
  readonly name: EngineName
  /** As people write it: `vLLM`. */
  readonly title: string
  readonly state: EngineState
  /**
   * Without a slash at the end: `http://127.0.0.1:8000`. Every engine speaks OpenAI's API below `/v1`. Empty until it is
   * known where the engine will be.
   */
  readonly baseUrl: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
  /** The model that it is configured to serve. */
  readonly model: string
  /** The names it answers to while it is ready, all models on its disk included; empty otherwise. */
  readonly models: ReadonlyArray<string>
  /** Progress, or what is wrong: one sentence, may be empty. */
  readonly detail: string
  readonly activity: EngineActivity
  /** How many choices it makes of one chat request; absent: as many as are asked for. */
  readonly maxChoices?: number
  /** Fetches a model that it does not have yet; absent where it cannot. Interruption cancels the download. */
  readonly pull?: (model: string) => Effect.Effect<void, ModelUnavailable>
}

/** The engine is running, but the model that it should serve is unavailable. */
export class ModelUnavailable extends Data.TaggedError("ModelUnavailable")<{
  readonly diagnosis: Diagnosis
}> {
  override get message(): string {
    return this.diagnosis.message
  }
}

/** No engine could be started for a requested model. */
export class EngineNotStarted extends Data.TaggedError("EngineNotStarted")<{
  /** Why, in a sentence without a full stop. */
  readonly reason: string
  /** Retrying later may help. */
  readonly isTransient: boolean
}> {
  override get message(): string {
    return this.reason
  }
}

/** The engines of this node. */
export class Engines extends Context.Tag("@orchion/node-agent/Engines")<
  Engines,
  {
    /** All engines of this node, in any state. A plain read of memory. */
    readonly current: () => ReadonlyArray<RunningEngine>
    /** The same as reported upstream. A plain read of memory. */
    readonly reports: () => ReadonlyArray<EngineReport>
    /** {@link reports} now, then at each change. Conflated: a slow reader sees the latest only. */
    readonly changes: Stream.Stream<ReadonlyArray<EngineReport>>
    /**
     * Starts the engine that a model's name implies, and ends when it serves the model. Absent unless engines are
     * started on demand.
     */
    readonly startFor?: (model: string) => Effect.Effect<void, EngineNotStarted>
  }
>() {}
