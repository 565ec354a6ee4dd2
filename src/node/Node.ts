/** A node as it is reported to the orchestrator. */
import type { NodeCapabilities } from "./NodeCapabilities.js"

/** The states of an inference engine, in the wire's words. */
export type EngineState =
  | "pulling"
  | "starting"
  | "loading"
  | "ready"
  | "unhealthy"
  | "restarting"
  | "failed"
  | "stopped"

/** The stats of the requests that the agent relayed to an engine, since the agent started. */
export interface EngineFigures {
  readonly requests: number
  /** Failed requests, without the cancelled ones. */
  readonly errors: number
  /** The same by kind; kinds without failures are left out. */
  readonly errorsByKind: ReadonlyArray<{ readonly kind: string; readonly count: number }>
  readonly inFlight: number
  readonly promptTokens: number
  readonly completionTokens: number
  /** Made now, over all requests. */
  readonly tokensPerSecond: number
  /** Median of the last requests. */
  readonly firstTokenMs?: number
  /** Median of the last requests. */
  readonly durationMs?: number
}

/** An inference engine as it is reported upstream. */
export interface EngineReport {
  readonly name: string
  readonly state: EngineState
  /** The names it answers to. */
  readonly models: ReadonlyArray<string>
  /** Progress, or what is wrong, in a sentence; may be empty. */
  readonly detail: string
  /** 0 to 1 of the current state, where known. */
  readonly progress?: number
  /** Of the image or the model that comes, in the state that is under way. */
  readonly doneBytes?: number
  readonly totalBytes?: number
  /** Since the agent started. */
  readonly restarts: number
  readonly image?: string
  /** The last lines that it wrote before it failed; absent while all is well. */
  readonly recentLog?: ReadonlyArray<string>
  /** Absent where no requests are relayed to it. */
  readonly figures?: EngineFigures
}

/** What an agent reports about its node, in addition to its identity. */
export interface NodeReport {
  readonly capabilities: NodeCapabilities
  readonly agentVersion: string
  readonly labels: Readonly<Record<string, string>>
  readonly engines: ReadonlyArray<EngineReport>
  /** The agent is stopping, and this is its last report. */
  readonly leaving?: boolean
}

export interface NodeRegistration {
  readonly id: string
  readonly hostname: string
  /** `host:port` of the node's `NodeAgent` service. */
  readonly agentAddress: string
  /** Identifies the process: it distinguishes two agents with the same node id. */
  readonly instanceId?: string
  readonly report: NodeReport
}

/** The descriptions that every agent sends, written for people. */
export interface CapabilityStrings {
  readonly cpu: string
  readonly memory: string
  readonly os: string
  readonly gpuType: string
  readonly gpuVramTotal: string
  readonly gpuVramAvailable: string
  readonly gpuVramUsed: string
  readonly gpuTemperature: string
  readonly gpuPowerUsage: string
}

/** A node as an orchestrator lists it. */
export interface RegisteredNode {
  readonly id: string
  readonly hostname: string
  readonly agentAddress: string
  /** Seconds since 1970. */
  readonly lastSeenUnix: number
  /** It has missed its heartbeats. False where the orchestrator does not say. */
  readonly stale: boolean
  /** Its agent said goodbye. */
  readonly stopped: boolean
  /** Of the agent's process; absent for agents that do not tell. */
  readonly instanceId?: string
  readonly strings: CapabilityStrings
  /** The exact figures; absent for agents that send only the descriptions. */
  readonly report?: NodeReport
}
