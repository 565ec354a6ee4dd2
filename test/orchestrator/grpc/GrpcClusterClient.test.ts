import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as GrpcClusterClient from "../../../src/orchestrator/grpc/GrpcClusterClient.js"
import * as Peers from "../../support/Peers.js"

const client = (port: number) => GrpcClusterClient.make({ address: { host: "127.0.0.1", port } })

const chat = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true }

const drain = <A, E>(stream: Stream.Stream<A, E>) => Effect.map(Stream.runCollect(stream), Chunk.toReadonlyArray)

interface Told {
  readonly _tag: string
  readonly message: string
}

describe("a cluster over gRPC", () => {
  it.scopedLive("reports what is not implemented", () =>
    Effect.gen(function*() {
      const cluster = yield* client(yield* Peers.orchestrator())
      const asked: Readonly<Record<string, Effect.Effect<unknown, Told>>> = {
        "list its nodes": cluster.listNodes,
        "accept job 1": cluster.submitJob({ id: "1", type: "chat", request: chat }),
        "report the status of job 1": cluster.getJobStatus("1"),
        "complete the chat": drain(cluster.chatCompletion(chat)),
        "compute the embeddings": cluster.embeddings({ model: "m", input: ["a"] }),
        "stream its logs": drain(cluster.logs)
      }
      for (const [operation, effect] of Object.entries(asked)) {
        const error = yield* Effect.flip(effect)
        assert.strictEqual(error._tag, "OrchestratorUnimplemented")
        assert.strictEqual(
          error.message,
          `the orchestrator at ${cluster.address} does not implement this: it cannot ${operation}`
        )
      }
    }))

  it.scopedLive("accepts jobs and reports their status", () =>
    Effect.gen(function*() {
      const taken: Array<unknown> = []
      const cluster = yield* client(
        yield* Peers.orchestrator({
          SubmitJob: ({ job_id, job_type, payload }) =>
            Effect.sync(() => {
              taken.push([job_id, job_type, payload.length > 0])
              return { job_id, status: "JOB_STATUS_PENDING" as const }
            }),
          GetJobStatus: ({ job_id }) =>
            Effect.succeed({
              job_id,
              status: "JOB_STATUS_FAILED" as const,
              assigned_node: "gpu-7",
              error_message: "out of memory",
              result: Buffer.from([1, 2])
            })
        })
      )
      assert.strictEqual(yield* cluster.submitJob({ id: "1", type: "chat", request: chat }), "pending")
      yield* cluster.submitJob({ id: "2", type: "embeddings", request: { model: "m", input: ["a"] } })
      assert.deepStrictEqual(taken, [["1", "JOB_TYPE_CHAT_COMPLETION", true], ["2", "JOB_TYPE_EMBEDDINGS", true]])
      const status = yield* cluster.getJobStatus("1")
      assert.deepStrictEqual({ ...status, result: [...status.result] }, {
        id: "1",
        state: "failed",
        assignedNode: "gpu-7",
        errorMessage: "out of memory",
        result: [1, 2]
      })
    }))

  it.scopedLive("streams chats, embeddings in the order of the input, and logs", () =>
    Effect.gen(function*() {
      const chunk = (content: string, finish_reason = "") => ({
        id: "c",
        model: "m",
        created: 1_790_000_000,
        object: "chat.completion.chunk",
        choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }]
      })
      const cluster = yield* client(
        yield* Peers.orchestrator({}, {
          ChatCompletion: () => Stream.make(chunk("Hel"), chunk("lo", "stop")),
          Embeddings: ({ input, model }) =>
            Effect.succeed({
              model,
              object: "list",
              usage_prompt_tokens: 9,
              data: input.map((_, index) => ({ embedding: [index, 0.5], index })).reverse()
            })
        }, {
          StreamLogs: () =>
            Stream.make({}, {
              entry: {
                id: "1",
                timestamp: 1_790_000_000_123,
                level: "LOG_LEVEL_WARN" as const,
                source: "node-agent:tester",
                message: "hot",
                fields: { gpu: "0" }
              }
            })
        })
      )
      const chunks = yield* drain(cluster.chatCompletion(chat))
      assert.deepStrictEqual(chunks.map(({ choices }) => choices[0]?.message.content), ["Hel", "lo"])
      assert.deepInclude(chunks[1], { createdUnix: 1_790_000_000, object: "chat.completion.chunk" })
      assert.strictEqual(chunks[1]?.choices[0]?.finishReason, "stop")
      assert.deepStrictEqual(yield* cluster.embeddings({ model: "m", input: ["a", "b"] }), {
        model: "m",
        embeddings: [[0, 0.5], [1, 0.5]],
        promptTokens: 9
      })
      const [entry, ...others] = yield* drain(cluster.logs)
      assert.deepStrictEqual(others, [])
      assert.deepStrictEqual({ ...entry, fields: { ...entry?.fields } }, {
        id: "1",
        timestampMillis: 1_790_000_000_123,
        level: "warn",
        source: "node-agent:tester",
        message: "hot",
        fields: { gpu: "0" }
      })
    }))
})
