/** What a call's status means to the caller of an orchestrator. */
import { type GrpcError, Status } from "../../grpc/GrpcError.js"
import * as GrpcFailure from "../../grpc/GrpcFailure.js"
import {
  type OrchestratorError,
  OrchestratorRejected,
  OrchestratorUnimplemented,
  OrchestratorUnreachable,
  UnknownNode
} from "../OrchestratorError.js"

/** Statuses that a retry does not change. */
const rejections = new Set<Status>([
  Status.INVALID_ARGUMENT,
  Status.NOT_FOUND,
  Status.ALREADY_EXISTS,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.FAILED_PRECONDITION,
  Status.OUT_OF_RANGE
])

/** `operation` completes "refused to …": `register this node`. */
export const toError = (address: string, operation: string) => (error: GrpcError): OrchestratorError => {
  const failure = GrpcFailure.of(error)
  if (failure.kind === "unimplemented") return new OrchestratorUnimplemented({ address, operation })
  if (failure.kind === "too-large" || (failure.kind === "status" && rejections.has(error.code))) {
    return new OrchestratorRejected({ address, operation, code: error.codeName, reason: failure.reason })
  }
  return new OrchestratorUnreachable({
    address,
    reason: failure.kind === "status" && error.details !== ""
      ? `${failure.reason} (${error.codeName})`
      : failure.reason,
    timedOut: error.code === Status.DEADLINE_EXCEEDED,
    cause: error
  })
}

/** As {@link toError}, for requests about a node that the orchestrator should know. */
export const toNodeError = (address: string, operation: string, nodeId: string) => (error: GrpcError) =>
  error.code === Status.NOT_FOUND && GrpcFailure.of(error).kind === "status"
    ? new UnknownNode({ nodeId })
    : toError(address, operation)(error)
