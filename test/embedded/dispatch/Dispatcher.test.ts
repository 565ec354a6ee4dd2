import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Jobs from "../../../src/embedded/jobs/Jobs.js"
import * as GrpcError from "../../../src/grpc/GrpcError.js"
import { methodOf } from "../../../src/grpc/GrpcService.js"
import * as GrpcServer from "../../../src/grpc/GrpcServer.js"
import type {
  ChatCompletionRequest,
  ChatCompletionRequest__Output
} from "../../../src/proto/generated/orchion/v1/ChatCompletionRequest.js"
import type {
  ChatCompletionResponse,
  ChatCompletionResponse__Output
} from "../../../src/proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingResponse__Output } from "../../../src/proto/generated/orchion/v1/EmbeddingResponse.js"
import { NodeAgentService, OrchestratorService, OrchionLLMService } from "../../../src/proto/OrchionV1.js"
import * as Cluster from "../../support/Cluster.js"
import * as StandIns from "../../support/engines/StandIns.js"
import * as Inference from "../../support/Inference.js"
import * as Peers from "../../support/Peers.js"

const { engine, finishOf, request, textOf } = Inference
const { Status } = GrpcError

const chat = ({ client }: Cluster.Cluster, asked: ChatCompletionRequest) =>
  Effect.suspend(() => {
    const messages: Array<ChatCompletionResponse__Output> = []
    return Effect.as(
      client.receive(OrchionLLMService, "ChatCompletion", asked, () => (message) => void messages.push(message)),
      messages
    )
  })

const unary = { deadline: "20 seconds" } as const

type Answer = (
  request: ChatCompletionRequest__Output,
  outlet: GrpcServer.Outlet<ChatCompletionResponse>
) => Effect.Effect<void, GrpcError.GrpcError>

/** The port of a node that does this with each chat. */
const answering = (relay: Answer) =>
  Effect.map(
    Effect.orDie(GrpcServer.make({ host: "127.0.0.1", port: 0 }, [
      GrpcServer.serve(NodeAgentService)({
        ChatCompletion: { relay },
        Embeddings: () => Effect.fail(GrpcError.fail(Status.UNIMPLEMENTED, "no embeddings"))
      })
    ])),
    ({ port }) => port
  )

/** A node that knows no model, and how often it was asked. */
const unknowing = Effect.gen(function*() {
  let times = 0
  const port = yield* answering(() => {
    times += 1
    return Effect.fail(GrpcError.fail(Status.NOT_FOUND, "not here"))
  })
  return { port, asked: () => times }
})

/** A job once it is over, or waits for a retry. */
const settled = ({ client }: Cluster.Cluster, job_id: string) =>
  client.unary(OrchestratorService, "GetJobStatus", { job_id }, unary).pipe(
    Effect.repeat({
      until: ({ assigned_node, status }) =>
        status === "JOB_STATUS_COMPLETED" || status === "JOB_STATUS_FAILED"
        || (status === "JOB_STATUS_PENDING" && assigned_node !== "")
    })
  )

const requestsOf = (standIn: StandIns.StandIn) =>
  Effect.map(
    Effect.promise(() => standIn.control.read()),
    ({ counters }) => counters.requests["/v1/chat/completions"] ?? 0
  )

describe("the embedded orchestrator's inference", () => {
  it.scopedLive("relays chats and embeddings to a node, as the node answers", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { tokenMs: 1 } })
      const cluster = yield* Cluster.make([[engine("vllm", vllm.url)]])
      const messages = yield* chat(cluster, request("Hello"))
      assert.strictEqual(textOf(messages), StandIns.answerText("Hello"))
      assert.strictEqual(finishOf(messages), "stop")
      const [whole, ...others] = yield* chat(cluster, request("Hello", { stream: false }))
      assert.strictEqual(whole?.choices[0]?.message?.content, StandIns.answerText("Hello"))
      assert.strictEqual(whole?.object, "chat.completion")
      assert.deepStrictEqual(others, [])
      const { data } = yield* cluster.client.unary(
        OrchionLLMService,
        "Embeddings",
        { model: "test/model", input: ["a", "b"] },
        unary
      )
      assert.deepStrictEqual(data.map(({ embedding }) => embedding), [
        [...StandIns.vector("a")],
        [...StandIns.vector("b")]
      ])
    }))

  it.scopedLive("gives each request to the node that has the fewest", () =>
    Effect.gen(function*() {
      const engines = yield* Effect.replicateEffect(
        StandIns.scoped("vllm", { switches: { tokenMs: 20, tokens: 20 } }),
        2
      )
      const cluster = yield* Cluster.make(engines.map(({ url }) => [engine("vllm", url)]))
      const answers = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, index) => `chat-${index}`),
        (text) => chat(cluster, request(text)),
        { concurrency: "unbounded" }
      )
      answers.forEach((messages, index) =>
        assert.strictEqual(textOf(messages), StandIns.answerText(`chat-${index}`, 20))
      )
      assert.deepStrictEqual(yield* Effect.forEach(engines, requestsOf), [6, 6])
    }))

  it.scopedLive("asks another node when one fails before its first word, and not after it", () =>
    Effect.gen(function*() {
      const [bad, good] = yield* Effect.all([StandIns.scoped("vllm"), StandIns.scoped("vllm")])
      const cluster = yield* Cluster.make([[engine("vllm", bad.url)], [engine("vllm", good.url)]])
      const set = (switches: Partial<StandIns.Switches>) => Effect.promise(() => bad.control.set(switches))
      for (
        const switches of [
          { chatFault: "status", chatFaultStatus: 500 },
          { chatFault: "status", chatFaultStatus: 503 },
          { chatFault: "reset" },
          { chatFault: "error", chatFaultAfter: 0 },
          { chatFault: "no-done", chatFaultAfter: 0 }
        ] as const
      ) {
        yield* set(switches)
        for (let turn = 0; turn < 2; turn++) {
          assert.strictEqual(textOf(yield* chat(cluster, request("Hi"))), StandIns.answerText("Hi"))
        }
      }
      // A request that is wrong is wrong everywhere.
      const before = yield* requestsOf(good)
      yield* set({ chatFault: "status", chatFaultStatus: 400 })
      const refused = yield* Effect.replicateEffect(Effect.either(chat(cluster, request("Hi"))), 2)
      assert.strictEqual(refused.filter(({ _tag }) => _tag === "Left").length, 1)
      assert.strictEqual(yield* requestsOf(good), before + 1)
      // After the first word there is no going back.
      yield* set({ chatFault: "destroy", chatFaultAfter: 3, tokenMs: 1 })
      yield* Effect.promise(() => good.control.set({ chatFault: "destroy", chatFaultAfter: 3, tokenMs: 1 }))
      const asked = (yield* requestsOf(good)) + (yield* requestsOf(bad))
      assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi")))).code, Status.UNAVAILABLE)
      assert.strictEqual((yield* requestsOf(good)) + (yield* requestsOf(bad)), asked + 1)
    }))

  it.scopedLive("goes past nodes that are gone, and those that leave", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm")
      const cluster = yield* Cluster.make([[engine("vllm", vllm.url)], [engine("vllm", vllm.url)]])
      const closing = yield* Peers.closing
      yield* cluster.register(Cluster.described("closing", closing, [engine("vllm", "")]))
      yield* cluster.nodes[1]!.drain
      for (let turn = 0; turn < 6; turn++) {
        assert.strictEqual(textOf(yield* chat(cluster, request("Hi"))), StandIns.answerText("Hi"))
      }
    }))

  it.scopedLive("says why no node answers", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const none = yield* Effect.flip(chat(cluster, request("Hi")))
      assert.deepStrictEqual([none.code, none.details], [
        Status.NOT_FOUND,
        "model 'test/model' is not served by any node: no node serves a model now"
      ])
      yield* cluster.register(
        Cluster.described("a", 1, [engine("vllm", "", { state: "loading", detail: "loading the weights" })])
      )
      const loading = yield* Effect.flip(chat(cluster, request("Hi")))
      assert.deepStrictEqual([loading.code, loading.details], [
        Status.UNAVAILABLE,
        "model 'test/model' cannot be used now: vllm on host-of-a is loading: loading the weights"
      ])
      yield* cluster.register(Cluster.described("a", 1, [engine("vllm", "")]))
      const away = yield* Effect.flip(chat(cluster, request("Hi")))
      assert.deepStrictEqual([away.code, away.details], [
        Status.UNAVAILABLE,
        "node host-of-a cannot be reached at 127.0.0.1:1, where it says it answers"
      ])
      assert.strictEqual(
        (yield* Effect.flip(chat(cluster, request("Hi", { model: "" })))).code,
        Status.INVALID_ARGUMENT
      )
    }))

  it.scopedLive("asks agents that say nothing of their engines when no other knows the model", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm")
      const cluster = yield* Cluster.make([])
      const node = yield* Inference.node([engine("vllm", vllm.url)])
      yield* cluster.register({ id: "old", agent_address: `127.0.0.1:${node.port}`, capabilities: { cpu: "8 cores" } })
      assert.strictEqual(textOf(yield* chat(cluster, request("Hi"))), StandIns.answerText("Hi"))
      const error = yield* Effect.flip(chat(cluster, request("Hi", { model: "other" })))
      assert.strictEqual(error.code, Status.NOT_FOUND)
    }))

  it.scopedLive("does not ask others for a model that a node has and cannot give now", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { chatFault: "status", chatFaultStatus: 429 } })
      const cluster = yield* Cluster.make([[engine("vllm", vllm.url)]])
      const { asked, port } = yield* unknowing
      yield* cluster.register(
        Cluster.described("other", port, [engine("ollama", "", { models: ["llama2:latest"] })])
      )
      yield* cluster.register({ id: "old", agent_address: `127.0.0.1:${port}`, capabilities: { cpu: "8 cores" } })
      assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi")))).code, Status.RESOURCE_EXHAUSTED)
      yield* cluster.register(Cluster.described("node-0", 1, [engine("vllm", "", { state: "loading" })]))
      assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi")))).code, Status.UNAVAILABLE)
      assert.strictEqual(asked(), 0)
      // A model that nobody has is asked of all who may know it.
      assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi", { model: "x" })))).code, Status.NOT_FOUND)
      assert.strictEqual(asked(), 2)
    }))

  it.scopedLive("reports why a node could not serve a model, even when the next one does not know it", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const busy = yield* answering(() => Effect.fail(GrpcError.fail(Status.RESOURCE_EXHAUSTED, "busy")))
      const { port } = yield* unknowing
      for (const [id, at] of [["a", busy], ["b", port]] as const) {
        yield* cluster.register(Cluster.described(id, at, [engine("vllm", "")]))
      }
      for (let turn = 0; turn < 2; turn++) {
        assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi")))).code, Status.RESOURCE_EXHAUSTED)
      }
    }))

  it.scopedLive("offers a request that is too large to no other node, and tries no job with it again", () =>
    Effect.gen(function*() {
      let asked = 0
      const cluster = yield* Cluster.make([])
      const port = yield* answering(() => {
        asked += 1
        return Effect.fail(GrpcError.fail(Status.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs 8)"))
      })
      for (const id of ["a", "b"]) yield* cluster.register(Cluster.described(id, port, [engine("vllm", "")]))
      assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi")))).code, Status.RESOURCE_EXHAUSTED)
      assert.strictEqual(asked, 1)
      yield* cluster.client.unary(OrchestratorService, "SubmitJob", {
        job_id: "one",
        job_type: "JOB_TYPE_CHAT_COMPLETION",
        payload: methodOf(OrchionLLMService, "ChatCompletion").requestSerialize(request("Hi"))
      }, unary)
      const job = yield* settled(cluster, "one")
      assert.strictEqual(job.status, "JOB_STATUS_FAILED")
      assert.strictEqual(asked, 2)
    }))

  it.scopedLive("lists what is served where, and how busy it is", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { tokenMs: 5, tokens: 100_000 } })
      const cluster = yield* Cluster.make([[engine("vllm", vllm.url)]])
      const served = Effect.map(cluster.get("/api/served"), ({ body }) => JSON.parse(body).served)
      assert.deepInclude((yield* served)[0], {
        node_id: "node-0",
        hostname: "host-of-node-0",
        engine: "vllm",
        model: "test/model",
        state: "ready",
        in_flight: 0,
        requests: 0
      })
      const running = yield* Effect.fork(chat(cluster, request("Hi")))
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.tokens > 50))
      const [busy] = yield* served
      assert.deepInclude(busy, { in_flight: 1, requests: 1 })
      assert.isAbove(busy.tokens_per_second, 1)
      yield* Fiber.interrupt(running)
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 1))
    }))
})

describe("an answer that a node ends well and that is not complete", () => {
  const piece = (content: string, finish_reason = "") => ({
    id: "x",
    model: "test/model",
    object: "chat.completion.chunk",
    choices: [{ index: 0, message: { role: "assistant", content }, finish_reason }]
  })

  /** A cluster whose one node answers with these messages. */
  const clusterOf = (messages: ReadonlyArray<ChatCompletionResponse>) =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const port = yield* answering((_, { write }) =>
        Effect.forEach(
          messages,
          (message) => Effect.async<void>((resume) => write(message, () => resume(Effect.void))),
          { discard: true }
        )
      )
      yield* cluster.register(Cluster.described("a", port, [engine("vllm", "")]))
      return cluster
    })

  const post = (cluster: Cluster.Cluster, stream: boolean) =>
    Effect.promise(async () => {
      const response = await fetch(`${cluster.url}/v1/chat/completions`, {
        method: "POST",
        body: JSON.stringify({ model: "test/model", messages: [{ role: "user", content: "Hi" }], stream })
      })
      return { status: response.status, body: await response.text() }
    })

  const fate = (cluster: Cluster.Cluster) =>
    Effect.gen(function*() {
      yield* cluster.client.unary(OrchestratorService, "SubmitJob", {
        job_id: "one",
        job_type: "JOB_TYPE_CHAT_COMPLETION",
        payload: methodOf(OrchionLLMService, "ChatCompletion").requestSerialize(request("Hi"))
      }, unary)
      return yield* settled(cluster, "one")
    })

  it.scopedLive("is an error to everyone who asked", () =>
    Effect.gen(function*() {
      for (const messages of [[], [piece("Hel"), piece("lo")]]) {
        const cluster = yield* clusterOf(messages)
        for (const stream of [true, false]) {
          assert.strictEqual((yield* Effect.flip(chat(cluster, request("Hi", { stream })))).code, Status.UNAVAILABLE)
        }
        const streamed = yield* post(cluster, true)
        assert.notInclude(streamed.body, "[DONE]")
        assert.notInclude(streamed.body, "\"stop\"")
        assert.include(streamed.body, "ended before it was complete")
        assert.strictEqual((yield* post(cluster, false)).status, 503)
        assert.notStrictEqual((yield* fate(cluster)).status, "JOB_STATUS_COMPLETED")
      }
    }))

  it.scopedLive("is put together when it is complete, and came in pieces although it should not have", () =>
    Effect.gen(function*() {
      const cluster = yield* clusterOf([piece("Hel"), piece("lo"), piece("!", "length")])
      const messages = yield* chat(cluster, request("Hi", { stream: false }))
      assert.deepStrictEqual([messages.length, textOf(messages), finishOf(messages)], [1, "Hello!", "length"])
      const { body } = yield* post(cluster, false)
      assert.strictEqual(JSON.parse(body).choices[0].message.content, "Hello!")
      const { result } = yield* fate(cluster)
      const answer = methodOf(OrchionLLMService, "ChatCompletion").responseDeserialize(Buffer.from(result))
      assert.strictEqual(answer.choices[0]?.message?.content, "Hello!")
    }))
})

describe("jobs", () => {
  const payload = (asked: ChatCompletionRequest) =>
    methodOf(OrchionLLMService, "ChatCompletion").requestSerialize(asked)

  const until = (cluster: Cluster.Cluster, job_id: string, status: string) =>
    Effect.gen(function*() {
      while (true) {
        const job = yield* cluster.client.unary(OrchestratorService, "GetJobStatus", { job_id }, unary)
        if (job.status === status) return job
        assert.notInclude(["JOB_STATUS_FAILED", "JOB_STATUS_COMPLETED"], job.status, job.error_message)
      }
    })

  it.scopedLive("are taken at once and answered later, by a node that is named", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { firstTokenMs: 200 } })
      const cluster = yield* Cluster.make([[engine("vllm", vllm.url)]])
      const { job_id, status } = yield* cluster.client.unary(OrchestratorService, "SubmitJob", {
        job_id: "one",
        job_type: "JOB_TYPE_CHAT_COMPLETION",
        payload: payload(request("Hi"))
      }, unary)
      assert.deepStrictEqual([job_id, status], ["one", "JOB_STATUS_PENDING"])
      assert.strictEqual((yield* until(cluster, "one", "JOB_STATUS_RUNNING")).assigned_node, "node-0")
      const done = yield* until(cluster, "one", "JOB_STATUS_COMPLETED")
      const answer: ChatCompletionResponse__Output = methodOf(OrchionLLMService, "ChatCompletion")
        .responseDeserialize(Buffer.from(done.result))
      assert.strictEqual(answer.choices[0]?.message?.content, StandIns.answerText("Hi"))
      assert.strictEqual(answer.object, "chat.completion")

      const embeddings = yield* cluster.client.unary(OrchestratorService, "SubmitJob", {
        job_type: "JOB_TYPE_EMBEDDINGS",
        payload: methodOf(OrchionLLMService, "Embeddings").requestSerialize({ model: "test/model", input: ["a"] })
      }, unary)
      const made = yield* until(cluster, embeddings.job_id, "JOB_STATUS_COMPLETED")
      const vectors: EmbeddingResponse__Output = methodOf(OrchionLLMService, "Embeddings")
        .responseDeserialize(Buffer.from(made.result))
      assert.deepStrictEqual(vectors.data.map(({ embedding }) => embedding), [[...StandIns.vector("a")]])
    }))

  it.scopedLive("wait for a node that can take them", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm")
      const cluster = yield* Cluster.make([])
      const node = yield* Inference.node([engine("vllm", vllm.url)])
      const loading = engine("vllm", vllm.url, { state: "loading" })
      yield* cluster.register(Cluster.described("a", node.port, [loading]))
      yield* cluster.client.unary(OrchestratorService, "SubmitJob", {
        job_id: "one",
        job_type: "JOB_TYPE_CHAT_COMPLETION",
        payload: payload(request("Hi"))
      }, unary)
      yield* until(cluster, "one", "JOB_STATUS_PENDING")
      yield* cluster.register(Cluster.described("a", node.port, node.engines))
      yield* until(cluster, "one", "JOB_STATUS_COMPLETED")
    }))

  it.scopedLive("are refused when they make no sense, and fail with the reason", () =>
    Effect.gen(function*() {
      const cluster = yield* Cluster.make([])
      const submit = (job_id: string, job_type: "JOB_TYPE_CHAT_COMPLETION" | "JOB_TYPE_UNSPECIFIED", bytes: Buffer) =>
        cluster.client.unary(OrchestratorService, "SubmitJob", { job_id, job_type, payload: bytes }, unary)
      const none = yield* Effect.flip(submit("a", "JOB_TYPE_UNSPECIFIED", payload(request("Hi"))))
      assert.strictEqual(none.code, Status.INVALID_ARGUMENT)
      const garbage = yield* Effect.flip(submit("a", "JOB_TYPE_CHAT_COMPLETION", Buffer.from([0xff, 0xff, 0xff])))
      assert.strictEqual(garbage.code, Status.INVALID_ARGUMENT)
      yield* submit("a", "JOB_TYPE_CHAT_COMPLETION", payload(request("Hi")))
      const again = yield* Effect.flip(submit("a", "JOB_TYPE_CHAT_COMPLETION", payload(request("Hi"))))
      assert.strictEqual(again.code, Status.ALREADY_EXISTS)
      const failed = yield* until(cluster, "a", "JOB_STATUS_FAILED")
      assert.include(failed.error_message, "is not served by any node")
      const unknown = yield* Effect.flip(
        cluster.client.unary(OrchestratorService, "GetJobStatus", { job_id: "b" }, unary)
      )
      assert.strictEqual(unknown.code, Status.NOT_FOUND)
    }))

  it.scopedLive("are bounded, and forgotten when they are over", () =>
    Effect.gen(function*() {
      let open = false
      let running = 0
      const jobs = yield* Jobs.make({
        chat: () => ++running > 0 && open ? Effect.fail(GrpcError.fail(Status.NOT_FOUND, "no")) : Effect.never,
        embeddings: () => Effect.never,
        served: Effect.succeed({ served: [] })
      }, { maxJobs: 3 })
      const submit = (job_id: string) =>
        jobs.submit({ job_id, job_type: "JOB_TYPE_CHAT_COMPLETION", payload: payload(request("Hi")) })
      yield* Effect.forEach(["a", "b"], submit)
      while (running < 2) yield* Effect.yieldNow()
      open = true
      yield* submit("c")
      while ((yield* jobs.status("c")).status !== "JOB_STATUS_FAILED") yield* Effect.yieldNow()
      yield* submit("d")
      assert.strictEqual((yield* Effect.flip(jobs.status("c"))).code, Status.NOT_FOUND)
      while ((yield* jobs.status("d")).status !== "JOB_STATUS_FAILED") yield* Effect.yieldNow()
      open = false
      yield* submit("e")
      while (running < 5) yield* Effect.yieldNow()
      assert.strictEqual((yield* Effect.flip(submit("f"))).code, Status.RESOURCE_EXHAUSTED)
    }))
})
