/**
 * The port to the inference engines of this node: what runs here now, where it is reached, and what it answers to.
 *
 * What reads it asks nobody: {@link Engines.current} is a plain value, kept true by who looks after the engines.
 */
import * as Context from "effect/Context"
import type * as Redacted from "effect/Redacted"
import type * as Stream from "effect/Stream"
import type { EngineReport, EngineState } from "../node/Node.js"

export type EngineName = "vllm" | "ollama"

/** How people write the names. */
export const titles: Readonly<Record<EngineName, string>> = { vllm: "vLLM", ollama: "Ollama" }

/** The same for a name that may be of an engine that is not known here. */
export const titleOf = (name: string): string => new Map<string, string>(Object.entries(titles)).get(name) ?? name

/**
 * How busy an engine is with our requests. Written by those who send it requests, read by those who judge its health:
 * an engine that answers no health check while it still makes tokens is busy, not dead.
 */
export interface EngineActivity {
  inFlight: number
  /** When a request's answer last moved: milliseconds since 1970; 0 when none ever did. */
  lastProgressAt: number
}

/** An engine as those see it who send it requests. */
export interface RunningEngine {
  readonly name: EngineName
  readonly state: EngineState
  /**
   * Without a slash at the end: `http://127.0.0.1:8000`. Both engines speak OpenAI's API below `/v1`. Empty before it is
   * known where the engine will be.
   */
  readonly baseUrl: string
  /** The key that its API wants; absent when it wants none. */
  readonly apiKey?: Redacted.Redacted<string>
  /** The model that it was told to serve. */
  readonly model: string
  /** The names it answers to while it is ready, all models on its disk included; empty before. */
  readonly models: ReadonlyArray<string>
  /** What it is doing, how far it is, or what is wrong, in a sentence; may be empty. */
  readonly detail: string
  readonly activity: EngineActivity
}

/** The engines of this node. */
export class Engines extends Context.Tag("@orchion/node-agent/Engines")<
  Engines,
  {
    /** Those that the settings ask for, in whatever state they are. Costs nothing. */
    readonly current: () => ReadonlyArray<RunningEngine>
    /** The same as they are reported upstream. Costs nothing. */
    readonly reports: () => ReadonlyArray<EngineReport>
    /** {@link reports} now, then at each change. A slow reader sees the newest. */
    readonly changes: Stream.Stream<ReadonlyArray<EngineReport>>
  }
>() {}
