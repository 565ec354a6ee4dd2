/** Talks to an orchestrator as a client: `list-nodes localhost:50051` prints the nodes of its cluster. */
import { ClusterClient, GrpcClusterClient } from "@orchion/node-agent"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

const [host = "localhost", port = "50051"] = (process.argv[2] ?? "localhost:50051").split(":")

const program = Effect.gen(function*() {
  const cluster = yield* ClusterClient
  const nodes = yield* cluster.listNodes
  for (const node of nodes) {
    yield* Console.log(
      `${node.hostname} (${node.id}): ${node.strings.cpu}, ${node.strings.memory}, ${node.strings.gpuType}`
    )
  }
  yield* Console.log(`${nodes.length} nodes at ${cluster.address}`)
}).pipe(
  Effect.catchAll((error) => Console.error(error.message))
)

Effect.runFork(program.pipe(Effect.provide(GrpcClusterClient.layer({ address: { host, port: Number(port) } }))))
