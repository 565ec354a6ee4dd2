/** How a request to an orchestrator can fail: one error per thing that a caller would do about it. */
import * as Data from "effect/Data"

/** No answer: it is down, unreachable, overloaded or too slow. A retry may succeed. */
export class OrchestratorUnreachable extends Data.TaggedError("OrchestratorUnreachable")<{
  /** `host:port`. */
  readonly address: string
  /** In a few words: `connection refused`. */
  readonly reason: string
  /** The peer did not answer in time, as opposed to refusing: the connection may be dead. */
  readonly timedOut: boolean
  readonly cause?: unknown
}> {
  override get message(): string {
    return `the orchestrator at ${this.address} cannot be reached: ${this.reason}`
  }
}

/** The orchestrator does not know this node (it restarted, or dropped it): register again. */
export class UnknownNode extends Data.TaggedError("UnknownNode")<{
  readonly nodeId: string
}> {
  override get message(): string {
    return `the orchestrator does not know node ${this.nodeId}`
  }
}

/** The orchestrator rejected the request. Repeating the same request will not succeed. */
export class OrchestratorRejected extends Data.TaggedError("OrchestratorRejected")<{
  readonly address: string
  /** What was asked, for people: `register this node`. */
  readonly operation: string
  /** gRPC's name of the status: `INVALID_ARGUMENT`. */
  readonly code: string
  /** As the orchestrator put it. */
  readonly reason: string
}> {
  override get message(): string {
    return `the orchestrator at ${this.address} refused to ${this.operation}: ${this.reason} (${this.code})`
  }
}

/** The orchestrator does not have this feature. */
export class OrchestratorUnimplemented extends Data.TaggedError("OrchestratorUnimplemented")<{
  readonly address: string
  readonly operation: string
}> {
  override get message(): string {
    return `the orchestrator at ${this.address} does not implement this: it cannot ${this.operation}`
  }
}

/** How any request can fail. */
export type OrchestratorError = OrchestratorUnreachable | OrchestratorRejected | OrchestratorUnimplemented
