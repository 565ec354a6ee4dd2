/** Engines in memory, and a `NodeAgent` service in front of them that listens on a free port. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as AgentConfig from "../../src/agent/AgentConfig.js"
import { titleOf } from "../../src/engine/drivers.js"
import { type EngineName, Engines, type RunningEngine } from "../../src/engine/Engine.js"
import * as OllamaPull from "../../src/engine/ollama/OllamaPull.js"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import type { GrpcError } from "../../src/grpc/GrpcError.js"
import { InferenceRouter } from "../../src/inference/InferenceRouter.js"
import * as GrpcNodeAgentServer from "../../src/inference/GrpcNodeAgentServer.js"
import * as LocalInferenceRouter from "../../src/inference/LocalInferenceRouter.js"
import * as RequestGate from "../../src/inference/RequestGate.js"
import { NodeAgentServer } from "../../src/inference/NodeAgentServer.js"
import type { ChatCompletionRequest } from "../../src/proto/generated/orchion/v1/ChatCompletionRequest.js"
import type { ChatCompletionResponse__Output } from "../../src/proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingResponse__Output } from "../../src/proto/generated/orchion/v1/EmbeddingResponse.js"
import { NodeAgentService } from "../../src/proto/OrchionV1.js"

export const engine = (name: EngineName, baseUrl: string, more: Partial<RunningEngine> = {}): RunningEngine => ({
  name,
  title: titleOf(name),
  state: "ready",
  baseUrl,
  model: "test/model",
  models: ["test/model"],
  detail: "",
  activity: { inFlight: 0, lastProgressAt: 0 },
  ...(name === "ollama" ? { maxChoices: 1 } : {}),
  ...more
})

/** An engine of Ollama's that pulls models that are requested. */
export const pulling = (baseUrl: string): Partial<RunningEngine> => ({
  pull: (model) => OllamaPull.once({ baseUrl }, model)
})

export interface Node {
  readonly port: number
  readonly client: GrpcClient.GrpcClient
  readonly router: InferenceRouter["Type"]
  readonly drain: Effect.Effect<void>
  /** What the node has, from now on. */
  engines: ReadonlyArray<RunningEngine>
  /** All messages of an answer. */
  readonly chat: (
    request: ChatCompletionRequest
  ) => Effect.Effect<ReadonlyArray<ChatCompletionResponse__Output>, GrpcError>
  readonly embeddings: (
    model: string,
    input: ReadonlyArray<string>
  ) => Effect.Effect<EmbeddingResponse__Output, GrpcError>
}

export const request = (content: string, more: ChatCompletionRequest = {}): ChatCompletionRequest => ({
  model: "test/model",
  messages: [{ role: "user", content }],
  stream: true,
  ...more
})

/** The text of an answer's messages. */
export const textOf = (messages: ReadonlyArray<ChatCompletionResponse__Output>): string =>
  messages.map(({ choices }) => choices[0]?.message?.content ?? "").join("")

/** Why the answer ended, as its last message says. */
export const finishOf = (messages: ReadonlyArray<ChatCompletionResponse__Output>): string | undefined =>
  messages.at(-1)?.choices[0]?.finish_reason

/** A node that stops with the scope. */
export const node = (
  engines: ReadonlyArray<RunningEngine>,
  settings: Readonly<Record<string, string>> = {}
): Effect.Effect<Node, never, Scope.Scope> =>
  Effect.gen(function*() {
    let current = engines
    const scope = yield* Effect.scope
    const services = yield* Layer.buildWithScope(
      GrpcNodeAgentServer.layer.pipe(
        Layer.provide(RequestGate.layer),
        Layer.provideMerge(LocalInferenceRouter.layer),
        Layer.provide(Layer.succeed(Engines, { current: () => current, reports: () => [], changes: Stream.never })),
        Layer.provide(AgentConfig.rooms),
        Layer.provide(AgentConfig.layer({ "agent-port": "0", ...settings }))
      ),
      scope
    ).pipe(Effect.orDie, Logger.withMinimumLogLevel(LogLevel.Error))
    const { drain, port } = Context.get(services, NodeAgentServer)
    const client = yield* GrpcClient.make({ address: `127.0.0.1:${port}`, maxReceiveBytes: 64 * 1024 * 1024 })
    return {
      port,
      client,
      router: Context.get(services, InferenceRouter),
      drain,
      get engines() {
        return current
      },
      set engines(now) {
        current = now
      },
      chat: (request) =>
        Effect.suspend(() => {
          const messages: Array<ChatCompletionResponse__Output> = []
          return Effect.as(
            client.receive(NodeAgentService, "ChatCompletion", request, () => (message) => void messages.push(message)),
            messages
          )
        }),
      embeddings: (model, input) =>
        client.unary(NodeAgentService, "Embeddings", { model, input: [...input] }, { deadline: "20 seconds" })
    }
  })
