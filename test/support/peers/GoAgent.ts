/**
 * Orchion's own Go agent, as far as an orchestrator sees it: sends no version and no engines, registers again without
 * its address, puts errors into its streams without a message, and loops for ever on a stream that is cancelled.
 */
import * as grpc from "@grpc/grpc-js"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { serviceDefinition } from "../../../src/proto/Definitions.js"
import type { Node } from "../../../src/proto/generated/orchion/v1/Node.js"

export interface GoAgent {
  readonly port: number
  readonly registration: Node
  /** What it does with the next chats. */
  answer: "text" | "error" | "endless"
  /** Models that it was asked for, in order. */
  readonly asked: ReadonlyArray<string>
  /** Streams that were cancelled: on each it would burn a core. */
  readonly spinning: () => number
  /** Chats that it answered to their end. */
  readonly ended: () => number
}

const piece = (model: string, content: string, finish_reason = "", object = "chat.completion.chunk") => ({
  id: "chatcmpl-1",
  model,
  created: 1_700_000_000,
  object,
  choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }]
})

/** Stops with the scope. `pieces` of an answer come `everyMillis`. */
export const make = (id: string, pieces = 3, everyMillis = 1): Effect.Effect<GoAgent, never, Scope.Scope> =>
  Effect.gen(function*() {
    const asked: Array<string> = []
    let spinning = 0
    let ended = 0
    const agent: { answer: GoAgent["answer"] } = { answer: "text" }
    const server = yield* Effect.acquireRelease(
      Effect.sync(() => new grpc.Server()),
      (server) => Effect.sync(() => server.forceShutdown())
    )
    server.addService(serviceDefinition("orchion.v1.NodeAgent"), {
      ChatCompletion: (call: grpc.ServerWritableStream<{ readonly model: string }, object>) => {
        const { model } = call.request
        asked.push(model)
        call.on("error", () => {})
        let isOver = false
        // grpc-js tells it of every stream that closes.
        call.on("cancelled", () => {
          if (!isOver) spinning++
        })
        if (agent.answer === "error") {
          isOver = true
          call.write(piece(model, "", "error", "error"))
          call.end()
          return
        }
        let sent = 0
        const timer = setInterval(() => {
          if (call.cancelled) return clearInterval(timer)
          sent += 1
          if (sent < pieces || agent.answer === "endless") return void call.write(piece(model, `${sent} `))
          clearInterval(timer)
          isOver = true
          ended += 1
          call.write(piece(model, "", "stop"))
          call.end()
        }, everyMillis)
      },
      Embeddings: (_: unknown, callback: grpc.sendUnaryData<object>) =>
        callback({ code: grpc.status.UNIMPLEMENTED, details: "not here" })
    })
    const port = yield* Effect.async<number>((resume) =>
      server.bindAsync(
        "127.0.0.1:0",
        grpc.ServerCredentials.createInsecure(),
        (_, port) => resume(Effect.succeed(port))
      )
    )
    return Object.assign(agent, {
      port,
      asked,
      registration: { id, hostname: "localhost", agent_address: `127.0.0.1:${port}`, capabilities: { cpu: "8 cores" } },
      spinning: () => spinning,
      ended: () => ended
    })
  })
