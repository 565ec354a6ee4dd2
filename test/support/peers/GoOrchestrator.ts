/**
 * Orchion's own Go orchestrator, as far as an agent sees it: keeps its first connection to a node whatever address later
 * registrations give, dials `hostname:50052` when there is none, never cancels a chat whose client has left, and pastes
 * statuses between double quotes into JSON.
 */
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { serviceDefinition } from "../../../src/proto/Definitions.js"
import type { RegisterNodeRequest__Output } from "../../../src/proto/generated/orchion/v1/RegisterNodeRequest.js"

interface Chunk {
  readonly object: string
  readonly choices: ReadonlyArray<{ readonly message: { readonly content: string }; readonly finish_reason: string }>
}

/** What its HTTP API's client gets: the body, as the gateway writes it. */
export type Body = string

export interface GoOrchestrator {
  readonly port: number
  /** Where it dials a node, by its id. */
  readonly dialled: ReadonlyMap<string, string>
  /** Asks a node for a whole answer. */
  readonly chat: (nodeId: string, request: object) => Effect.Effect<Body>
  /** Asks for a stream whose client leaves at once: it is not cancelled, and not read either. */
  readonly abandon: (nodeId: string, request: object) => Effect.Effect<void>
}

type ChatClient = grpc.Client & {
  readonly ChatCompletion: (request: object) => grpc.ClientReadableStream<Chunk>
}

/** Stops with the scope. */
export const make: Effect.Effect<GoOrchestrator, never, Scope.Scope> = Effect.gen(function*() {
  const dialled = new Map<string, string>()
  const clients = new Map<string, ChatClient>()
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => new grpc.Server()),
    (server) =>
      Effect.sync(() => {
        for (const client of clients.values()) client.close()
        server.forceShutdown()
      })
  )
  const NodeAgentClient = grpc.makeGenericClientConstructor(serviceDefinition("orchion.v1.NodeAgent"), "NodeAgent")
  const clientOf = (id: string): ChatClient => {
    const client = clients.get(id)
    if (client === undefined) throw new Error(`no node ${id}`)
    return client
  }
  server.addService(serviceDefinition("orchion.v1.Orchestrator"), {
    RegisterNode: (
      { request: { node } }: { readonly request: RegisterNodeRequest__Output },
      callback: grpc.sendUnaryData<object>
    ) => {
      if (node === null || node.id === "") {
        return callback({ code: grpc.status.INVALID_ARGUMENT, details: "node id is required" })
      }
      if (!clients.has(node.id)) {
        const address = node.agent_address === "" ? `${node.hostname}:50052` : node.agent_address
        dialled.set(node.id, address)
        const client = new NodeAgentClient(address, grpc.credentials.createInsecure(), {
          "grpc.use_local_subchannel_pool": 1
        })
        clients.set(node.id, client as unknown as ChatClient)
      }
      callback(null, {})
    },
    Heartbeat: (
      { request }: { readonly request: { readonly node_id: string } },
      callback: grpc.sendUnaryData<object>
    ) =>
      clients.has(request.node_id)
        ? callback(null, {})
        : callback({ code: grpc.status.NOT_FOUND, details: "node not found" }),
    UpdateNode: (_: unknown, callback: grpc.sendUnaryData<object>) => callback(null, {}),
    ListNodes: (_: unknown, callback: grpc.sendUnaryData<object>) => callback(null, { nodes: [] }),
    SubmitJob: (_: unknown, callback: grpc.sendUnaryData<object>) =>
      callback({ code: grpc.status.UNIMPLEMENTED, details: "" }),
    GetJobStatus: (_: unknown, callback: grpc.sendUnaryData<object>) =>
      callback({ code: grpc.status.UNIMPLEMENTED, details: "" })
  })
  const port = yield* Effect.async<number>((resume) =>
    server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (_, port) => resume(Effect.succeed(port)))
  )
  return {
    port,
    dialled,
    chat: (nodeId, request) =>
      Effect.async<Body>((resume) => {
        let text = ""
        const call = clientOf(nodeId).ChatCompletion(request)
        call.on("data", ({ choices }) => {
          text += choices[0]?.message.content ?? ""
        })
        call.on("error", (error) => resume(Effect.succeed(`{"error":"${(error as grpc.ServiceError).details}"}`)))
        call.on("end", () => resume(Effect.succeed(JSON.stringify({ content: text }))))
      }),
    abandon: (nodeId, request) =>
      Effect.sync(() => {
        const call = clientOf(nodeId).ChatCompletion(request)
        call.on("error", () => {})
        call.once("data", () => call.pause())
      })
  }
})
