/** The statuses that callers get for failed requests to engines. */
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import type { EngineError, EngineErrorKind } from "../chat/EngineError.js"
import type { RunningEngine } from "../engine/Engine.js"
import * as GrpcError from "../grpc/GrpcError.js"
import * as GoDuration from "../text/GoDuration.js"
import { plain } from "./EngineRoute.js"

const { Status } = GrpcError

/** The reader of an answer stalled for `after`. */
export class ReaderStalled extends Data.TaggedError("ReaderStalled")<{ readonly after: Duration.Duration }> {}

const statuses: Readonly<Record<EngineErrorKind, GrpcError.Status>> = {
  unreachable: Status.UNAVAILABLE,
  overloaded: Status.RESOURCE_EXHAUSTED,
  "invalid-request": Status.INVALID_ARGUMENT,
  "unknown-model": Status.NOT_FOUND,
  unauthorized: Status.INTERNAL,
  failed: Status.INTERNAL,
  incomplete: Status.UNAVAILABLE,
  "invalid-response": Status.INTERNAL,
  "too-large": Status.RESOURCE_EXHAUSTED,
  stalled: Status.UNAVAILABLE,
  internal: Status.INTERNAL
}

const verbs: Readonly<Record<EngineErrorKind, string>> = {
  unreachable: "cannot be reached",
  overloaded: "accepts no more requests now",
  "invalid-request": "refuses the request",
  "unknown-model": "does not have the model",
  unauthorized: "does not accept the agent's key",
  failed: "failed",
  incomplete: "ended its answer early",
  "invalid-response": "sent an invalid response",
  "too-large": "sent too large an answer",
  stalled: "stalled",
  internal: "could not be asked"
}

export const toStatus = (engine: RunningEngine, error: EngineError | ReaderStalled): GrpcError.GrpcError =>
  error._tag === "ReaderStalled"
    ? GrpcError.fail(
      Status.CANCELLED,
      `nothing of the answer was read for ${GoDuration.format(error.after)}, so that the request was cancelled`
    )
    : GrpcError.fail(statuses[error.kind], plain(`${engine.title} ${verbs[error.kind]}: ${error.reason}`))
