/** Errors of requests that no node answered, for the person who sent them. */
import { isServedBy } from "../../chat/ModelName.js"
import * as GrpcError from "../../grpc/GrpcError.js"
import * as Bytes from "../../text/Bytes.js"
import { oneLine } from "../../text/Printable.js"
import type { NodeJson } from "../registry/NodeJson.js"
import { enginesOf, nameOf } from "./NodeModels.js"

const { Status } = GrpcError

/** What grpc-js says when there is no connection, or no gRPC server at its other end. */
const unreachable =
  /^(?:No connection established|Connection dropped|connect |read E|write E|Name resolution failed|Received HTTP status|Received RST_STREAM|Protocol error|Received GOAWAY|Session closed|getaddrinfo)/

const byTransport = new Set<GrpcError.Status>([
  Status.UNAVAILABLE,
  Status.INTERNAL,
  Status.UNKNOWN,
  Status.PERMISSION_DENIED,
  Status.UNAUTHENTICATED,
  Status.UNIMPLEMENTED
])

/** How grpc-js says that an answer is larger than the reader takes, and how large they are. */
const tooLarge = /^Received message larger than max \((\d+) vs (\d+)\)/

/**
 * A node's error as it is passed on. An error of grpc-js names the node, but not what answered at its address:
 * registering nodes must not be a way to scan the orchestrator's network. `maxReceiveBytes` is what this orchestrator
 * takes of one message.
 */
export const describe = (node: NodeJson, error: GrpcError.GrpcError, maxReceiveBytes: number): GrpcError.GrpcError => {
  const { code, details } = error
  const lost = () =>
    GrpcError.fail(
      Status.UNAVAILABLE,
      `node ${nameOf(node)} cannot be reached at ${oneLine(node.agent_address, 200)}, where it says it answers`
    )
  if (byTransport.has(code) && unreachable.test(details)) return lost()
  const [, size, limit] = tooLarge.exec(details) ?? []
  if (code === Status.RESOURCE_EXHAUSTED && Number(limit) === maxReceiveBytes) {
    // The first bytes of a text, read as a length: not a gRPC server.
    return Number(size) > 0x20_00_00_00 ? lost() : GrpcError.fail(
      Status.INTERNAL,
      `node ${nameOf(node)} sent a message of ${Bytes.format(Number(size))}, more than the ${
        Bytes.format(maxReceiveBytes)
      } that are taken`
    )
  }
  return GrpcError.fail(code, details === "" ? `node ${nameOf(node)} failed without a reason` : oneLine(details, 1000))
}

/** No node was asked: the model is not ready anywhere, or no node has it. */
export const noNode = (nodes: ReadonlyArray<NodeJson>, model: string): GrpcError.GrpcError => {
  const name = `"${oneLine(model, 200)}"`
  const live = nodes.filter(({ stale }) => !stale)
  for (const node of live) {
    const engine = enginesOf(node).find((engine) => isServedBy(engine, model))
    if (engine === undefined) continue
    if (engine.state === "ready") {
      return GrpcError.fail(
        Status.UNAVAILABLE,
        `model ${name} cannot be used now: ${node.address_problem ?? `node ${nameOf(node)} cannot be reached`}`
      )
    }
    const detail = engine.detail === "" ? "" : `: ${oneLine(engine.detail, 500).replace(/\.$/, "")}`
    return GrpcError.fail(
      Status.UNAVAILABLE,
      `model ${name} cannot be used now: ${oneLine(engine.name, 50)} on ${nameOf(node)} is ${
        oneLine(engine.state, 50)
      }${detail}`
    )
  }
  const served = [
    ...new Set(live.flatMap(enginesOf).filter(({ state }) => state === "ready").flatMap(({ models }) => models))
  ]
  const shown = served.slice(0, 20).map((name) => oneLine(name, 100)).join(", ")
  const list = served.length === 0
    ? "no node serves a model now"
    : `served are ${shown}${served.length > 20 ? ` and ${served.length - 20} more` : ""}`
  return GrpcError.fail(Status.NOT_FOUND, `model ${name} is not served by any node: ${list}`)
}
