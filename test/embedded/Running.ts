/** An embedded orchestrator on free ports of this machine, and what talks to it. */
import * as http from "node:http"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import * as EmbeddedOrchestrator from "../../src/embedded/EmbeddedOrchestrator.js"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import type { Capabilities } from "../../src/proto/generated/orchion/v1/Capabilities.js"
import type { Node } from "../../src/proto/generated/orchion/v1/Node.js"
import { OrchestratorService } from "../../src/proto/OrchionV1.js"

export interface Answer {
  readonly status: number
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

export interface Running extends Context {
  readonly client: GrpcClient.GrpcClient
  readonly register: (node: Node) => Effect.Effect<void>
  readonly heartbeat: (id: string) => Effect.Effect<void>
  readonly update: (id: string, capabilities: Capabilities) => Effect.Effect<void>
  readonly get: (path: string, options?: http.RequestOptions) => Effect.Effect<Answer>
}

type Context = EmbeddedOrchestrator.EmbeddedOrchestrator["Type"]

/** A whole answer, over a connection of its own. */
export const get = (port: number, path: string, options: http.RequestOptions = {}): Effect.Effect<Answer> =>
  Effect.async((resume) => {
    const request = http.request({ host: "127.0.0.1", port, path, agent: false, ...options }, (response) => {
      response.setEncoding("utf8")
      let body = ""
      response.on("data", (part: string) => body += part)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode ?? 0, headers: response.headers, body }))
      )
      response.on("error", (error) => resume(Effect.die(error)))
    })
    request.on("error", (error) => resume(Effect.die(error)))
    request.end()
    return Effect.sync(() => request.destroy())
  })

const unary = { deadline: "10 seconds" } as const

export const start = (
  options: EmbeddedOrchestrator.EmbeddedOrchestratorOptions = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function*() {
    const orchestrator = yield* EmbeddedOrchestrator.make({ port: 0, httpPort: 0, ...options }).pipe(
      Effect.orDie,
      Logger.withMinimumLogLevel(LogLevel.Error)
    )
    const client = yield* GrpcClient.make({ address: `127.0.0.1:${orchestrator.port}` })
    return {
      ...orchestrator,
      client,
      register: (node) => Effect.orDie(client.unary(OrchestratorService, "RegisterNode", { node }, unary)),
      heartbeat: (id) => Effect.orDie(client.unary(OrchestratorService, "Heartbeat", { node_id: id }, unary)),
      update: (id, capabilities) =>
        Effect.orDie(client.unary(OrchestratorService, "UpdateNode", { node_id: id, capabilities }, unary)),
      get: (path, more) => get(orchestrator.httpPort, path, more)
    }
  })
