import * as fs from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import { setTimeout as sleep } from "node:timers/promises"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Temporary from "../Temporary.js"
import * as StandIns from "./StandIns.js"

type Body = Readonly<Record<string, unknown>>

const post = (url: string, body: Body, signal?: AbortSignal): Promise<Response> =>
  fetch(url, { method: "POST", body: JSON.stringify(body), ...(signal === undefined ? {} : { signal }) })

const chatBody = (prompt: string, more: Body = {}): Body => ({
  model: "llama2",
  messages: [{ role: "user", content: prompt }],
  stream: true,
  ...more
})

/** The text of an answer, and whether it broke off. */
const read = async (response: Response): Promise<{ readonly bytes: Buffer; readonly broken: boolean }> => {
  const parts: Array<Uint8Array> = []
  try {
    for await (const part of response.body ?? []) parts.push(part)
    return { bytes: Buffer.concat(parts), broken: false }
  } catch {
    return { bytes: Buffer.concat(parts), broken: true }
  }
}

interface Chunk {
  readonly choices?: ReadonlyArray<
    { readonly delta: { readonly content?: string }; readonly finish_reason: string | null }
  >
  readonly usage?: { readonly completion_tokens: number }
  readonly error?: { readonly message: string; readonly code: number }
}

/** A strict reader of whole streams, as the specification of server-sent events has it. */
const parse = (text: string) => {
  const events = text.replace(/^\ufeff/, "").replace(/\r\n?/g, "\n").split("\n\n")
    .map((event) =>
      event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).replace(/^ /, ""))
        .join("\n")
    )
    .filter((data) => data !== "")
  const chunks = events.filter((data) => data !== "[DONE]").map((data) => JSON.parse(data) as Chunk)
  const choices = chunks.flatMap(({ choices }) => choices ?? [])
  return {
    done: events.at(-1) === "[DONE]",
    text: choices.map(({ delta }) => delta.content ?? "").join(""),
    finish: choices.map(({ finish_reason }) => finish_reason).find((reason) => reason !== null),
    usage: chunks.find(({ usage }) => usage !== undefined)?.usage,
    usageAlone: chunks.some(({ choices, usage }) => usage !== undefined && choices?.length === 0),
    error: chunks.find(({ error }) => error !== undefined)?.error
  }
}

const vllm = (switches: Partial<StandIns.Switches> = {}, args: ReadonlyArray<string> = []) =>
  StandIns.scoped("vllm", { switches, args: ["llama2", ...args] })

const ollama = (switches: Partial<StandIns.Switches> = {}, env: Record<string, string> = {}) =>
  Effect.flatMap(
    Temporary.directory,
    (directory) =>
      StandIns.scoped("ollama", {
        switches: { models: ["llama2"], ...switches },
        env: { OLLAMA_MODELS: directory, ...env }
      })
  )

const either = (kind: StandIns.Kind, switches: Partial<StandIns.Switches> = {}) =>
  kind === "vllm" ? vllm(switches) : ollama(switches)

const chat = (standIn: StandIns.StandIn, body: Body) => post(`${standIn.url}/v1/chat/completions`, body)

const lines = (text: string): ReadonlyArray<Body> => text.trim().split("\n").map((line) => JSON.parse(line) as Body)

it.each(["vllm", "ollama"] as const)("fits %s into one file, as an image needs it", async (kind) => {
  const text = Buffer.from(await StandIns.bundled(kind)).toString("utf8")
  assert.match(text, /^#!.*node\n/)
  assert.notMatch(text, /from "\.\//)
})

describe.each(["vllm", "ollama"] as const)("The stand-in for %s", (kind) => {
  it.scopedLive("streams numbered tokens, each answer its own", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind)
      const answers = yield* Effect.promise(() =>
        Promise.all(Array.from({ length: 50 }, async (_, n) => {
          const response = await chat(standIn, chatBody(`p${n}`, { stream_options: { include_usage: true } }))
          assert.match(response.headers.get("content-type") ?? "", /^text\/event-stream/)
          return parse(await response.text())
        }))
      )
      for (const [n, answer] of answers.entries()) {
        assert.strictEqual(answer.text, StandIns.answerText(`p${n}`))
        assert.deepInclude(answer, { done: true, finish: "stop", usageAlone: true })
        assert.strictEqual(answer.usage?.completion_tokens, 16)
      }
      const { counters } = yield* Effect.promise(() => standIn.control.until(({ running }) => running === 0))
      assert.deepInclude(counters, { finished: 50, cancelled: 0, tokens: 800 })
    }))

  it.scopedLive("answers whole, cut to what was asked for, and to a changed switch", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { tokens: 4 })
      const ask = (more: Body) =>
        Effect.promise(async () =>
          await (await chat(standIn, chatBody("a b", { stream: false, ...more }))).json() as {
            readonly choices: ReadonlyArray<
              { readonly message: { readonly content: string }; readonly finish_reason: string }
            >
          }
        )
      const whole = yield* ask({})
      assert.strictEqual(whole.choices[0]?.message.content, "ab:0 ab:1 ab:2 ab:3 ")
      const cut = yield* ask({ max_tokens: 2 })
      assert.deepInclude(cut.choices[0], { finish_reason: "length" })
      assert.strictEqual(cut.choices[0]?.message.content, "ab:0 ab:1 ")
      const streamed = yield* Effect.promise(async () =>
        parse(await (await chat(standIn, chatBody("a", { max_tokens: 2 }))).text())
      )
      assert.deepInclude(streamed, { text: "a:0 a:1 ", finish: "length", done: true })
      yield* Effect.promise(() => standIn.control.set({ tokens: 1, tokenText: "{hash}" }))
      assert.match((yield* ask({})).choices[0]?.message.content ?? "", /^[0-9a-f]{8}$/)
      const refused = yield* Effect.promise(() =>
        fetch(`${standIn.url}/standin`, { method: "POST", body: "{\"health\":\"so-so\"}" })
      )
      assert.strictEqual(refused.status, 400)
    }))

  it.scopedLive("embeds many inputs, as numbers and as base64", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind)
      const ask = (more: Body) =>
        Effect.promise(async () =>
          await (await post(`${standIn.url}/v1/embeddings`, { model: "llama2", input: ["one", "two"], ...more }))
            .json() as { readonly data: ReadonlyArray<{ readonly embedding: unknown; readonly index: number }> }
        )
      const { data } = yield* ask({})
      assert.deepStrictEqual(data.map(({ embedding }) => embedding), [StandIns.vector("one"), StandIns.vector("two")])
      const encoded = yield* ask({ encoding_format: "base64" })
      const bytes = Buffer.from(String(encoded.data[1]?.embedding), "base64")
      const numbers = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))
      assert.deepStrictEqual(numbers, StandIns.vector("two"))
      yield* Effect.promise(() => standIn.control.set({ embeddingsFault: "short" }))
      assert.lengthOf((yield* ask({})).data, 1)
    }))

  it.scopedLive("fails in every way, at its moment", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { tokens: 5 })
      const faulty = (switches: Partial<StandIns.Switches>) =>
        Effect.promise(async () => {
          await standIn.control.set({ chatFaultAfter: 3, chatFaultBody: "", ...switches })
          const response = await chat(standIn, chatBody("p"))
          const { broken, bytes } = await read(response)
          return { status: response.status, broken, text: bytes.toString() }
        })
      const early = yield* faulty({ chatFault: "status", chatFaultStatus: 503 })
      assert.strictEqual(early.status, 503)
      assert.isString((JSON.parse(early.text) as { error: { message: string } }).error.message)
      assert.deepInclude(yield* faulty({ chatFaultBody: "<html>" }), { status: 503, text: "<html>" })

      const destroyed = yield* faulty({ chatFault: "destroy" })
      assert.deepInclude(destroyed, { status: 200, broken: true })
      assert.strictEqual(parse(destroyed.text).text, StandIns.answerText("p", 3))

      const failed = yield* faulty({ chatFault: "error" })
      assert.deepInclude(failed, { status: 200, broken: false })
      assert.strictEqual(parse(failed.text).done, kind === "vllm")
      assert.strictEqual(parse(failed.text).error?.code, kind === "vllm" ? 500 : undefined)

      const cut = parse((yield* faulty({ chatFault: "no-done" })).text)
      assert.deepInclude(cut, { text: StandIns.answerText("p", 3), done: false, finish: undefined })
      const late = parse((yield* faulty({ chatFault: "no-done", chatFaultAfter: -1 })).text)
      assert.deepInclude(late, { text: StandIns.answerText("p", 5), done: false, finish: "stop" })
      const unfinished = parse((yield* faulty({ chatFault: "no-finish", chatFaultAfter: -1 })).text)
      assert.deepInclude(unfinished, { text: StandIns.answerText("p", 5), done: true, finish: undefined })

      const { counters: { failed: count } } = yield* Effect.promise(() => standIn.control.read())
      assert.strictEqual(count, 7)
      yield* Effect.promise(() => standIn.control.set({ chatFault: "reset", chatFaultCount: 1 }))
      assert.strictEqual(
        yield* Effect.promise(() => chat(standIn, chatBody("p")).then(() => "", () => "reset")),
        "reset"
      )
      const again = yield* Effect.promise(async () => parse(await (await chat(standIn, chatBody("p"))).text()))
      assert.deepInclude(again, { done: true, finish: "stop" })
    }))

  it.scopedLive("writes event streams in forms that readers must cope with", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { sseHugeBytes: 10_000_000 })
      const stream = (...sse: ReadonlyArray<StandIns.SseForm>) =>
        Effect.promise(async () => {
          await standIn.control.set({ sse })
          return (await read(await chat(standIn, chatBody("p")))).bytes
        })
      for (const form of ["crlf", "cr", "comments", "no-space", "multiline", "bom", "utf8", "split"] as const) {
        const bytes = yield* stream(form)
        const answer = parse(bytes.toString())
        assert.deepInclude(answer, { text: StandIns.answerText("p", 16, [form]), done: true, finish: "stop" }, form)
      }
      const all = yield* stream("crlf", "comments", "multiline", "utf8", "split")
      assert.strictEqual(parse(all.toString()).text, StandIns.answerText("p", 16, ["utf8"]))
      assert.include(all.toString(), "\r\n: a comment\r\n")
      const huge = yield* stream("huge")
      assert.isAbove(Math.max(...huge.toString().split("\n").map((line) => line.length)), 10_000_000)
      assert.strictEqual(parse(huge.toString()).text.split("x".repeat(10_000_000)).join(""), StandIns.answerText("p"))
      const invalid = yield* stream("invalid-utf8")
      assert.throws(() => new TextDecoder("utf-8", { fatal: true }).decode(invalid))
      assert.include(parse(invalid.toString()).text, "\ufffd")
      assert.include((yield* stream("garbage")).toString(), "data: {not json\n\n")
    }))

  it.scopedLive("really writes within characters", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { sse: ["utf8"], tokens: 50 })
      const body = JSON.stringify(chatBody("p"))
      const parts = yield* Effect.promise(() =>
        new Promise<ReadonlyArray<Buffer>>((resolve) => {
          const parts: Array<Buffer> = []
          const request = http.request(`${standIn.url}/v1/chat/completions`, { method: "POST" }, (response) =>
            response.on("data", (part: Buffer) => parts.push(part)).on("end", () => resolve(parts)))
          request.end(body)
        })
      )
      assert.isTrue(parts.some((part) => part.toString().includes("\ufffd")), "no part ends within a character")
      assert.strictEqual(parse(Buffer.concat(parts).toString()).text, StandIns.answerText("p", 50, ["utf8"]))
    }))

  it.scopedLive("sees its client leave, at every stage", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { tokenMs: 5, tokens: 10_000 })
      const leaving = (switches: Partial<StandIns.Switches>, when: (state: StandIns.State) => boolean) =>
        Effect.promise(async () => {
          await standIn.control.reset()
          await standIn.control.set({ chatFault: "", firstTokenMs: 0, parallel: 0, ...switches })
          const abort = new AbortController()
          const answer = post(`${standIn.url}/v1/chat/completions`, chatBody("p"), abort.signal)
            .then(read).catch(() => undefined)
          await standIn.control.until(when)
          const at = Date.now()
          abort.abort()
          await answer
          const { counters } = await standIn.control.until(({ counters, running }) =>
            running === 0 && counters.cancelled === 1
          )
          const seen = (counters.cancellations[0]?.at ?? Infinity) - at
          assert.isBelow(seen, 500)
          return counters.cancellations[0]
        })
      const running = yield* leaving({}, ({ counters }) => counters.tokens >= 3)
      assert.isAtLeast(running?.tokens ?? 0, 3)
      assert.deepInclude(yield* leaving({ firstTokenMs: 60_000 }, ({ running }) => running === 1), { tokens: 0 })
      yield* leaving({ chatFault: "stall" }, ({ counters }) => counters.tokens === 3)
      yield* leaving({ chatFault: "hang" }, ({ counters }) => counters.last !== null)
    }))

  it.scopedLive("waits for a reader that has stopped", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { tokens: 200_000, tokenBytes: 1000 })
      const body = JSON.stringify(chatBody("p"))
      const socket = yield* Effect.acquireRelease(
        Effect.sync(() => net.connect(standIn.port, "127.0.0.1").on("error", () => {})),
        (socket) => Effect.sync(() => socket.destroy())
      )
      // Nobody reads from it.
      socket.pause().write(
        `POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      )
      const { counters } = yield* Effect.promise(() =>
        standIn.control.until(({ counters, pausedNow }) => pausedNow === 1 && counters.longestPauseMs > 200)
      )
      assert.isBelow(counters.tokens, 20_000)
      assert.isBelow(counters.maxBufferedBytes, 1_000_000)
      socket.destroy()
      yield* Effect.promise(() =>
        standIn.control.until(({ counters, running }) => counters.cancelled === 1 && running === 0)
      )
    }))

  it.scopedLive("cuts requests at SIGTERM, and ends with 0", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { tokenMs: 5, tokens: 10_000 })
      const answer = yield* Effect.promise(() => chat(standIn, chatBody("p")))
      yield* Effect.promise(() => standIn.control.until(({ counters }) => counters.tokens > 1))
      const exit = yield* Effect.promise(() => standIn.stop())
      assert.deepStrictEqual(exit, { code: 0, signal: null })
      assert.isTrue((yield* Effect.promise(() => read(answer))).broken)
    }))

  it.scopedLive("exits when asked, by code or signal", () =>
    Effect.gen(function*() {
      const timed = yield* either(kind, { dieMs: 200, dieCode: 7 })
      assert.deepStrictEqual(yield* Effect.promise(() => timed.ended), { code: 7, signal: null })
      const told = yield* either(kind)
      yield* Effect.promise(() => told.control.set({ dieMs: 0, dieSignal: "SIGKILL" }))
      assert.deepStrictEqual(yield* Effect.promise(() => told.ended), { code: null, signal: "SIGKILL" })
    }))

  it.scopedLive("is healthy from the second start on, if configured so", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const options: StandIns.StartOptions = {
        env: { OLLAMA_MODELS: directory, HF_HOME: directory },
        switches: { fail: "port-taken", badStarts: 1 },
        untilReady: false
      }
      const first = yield* StandIns.scoped(kind, options)
      assert.deepInclude(yield* Effect.promise(() => first.ended), { code: 1 })
      const second = yield* StandIns.scoped(kind, options)
      const state = yield* Effect.promise(() => second.control.until(({ ready }) => ready))
      assert.strictEqual(state.starts, 2)
    }))

  it.scopedLive("fails or hangs in its health, takes memory, and ignores SIGTERM", () =>
    Effect.gen(function*() {
      const standIn = yield* either(kind, { term: "ignore" })
      const probe = kind === "vllm" ? "/health" : "/api/version"
      const status = Effect.promise(() => fetch(`${standIn.url}${probe}`).then(({ status }) => status))
      assert.strictEqual(yield* status, 200)
      yield* Effect.promise(() => standIn.control.set({ health: "fail" }))
      assert.strictEqual(yield* status, 503)
      yield* Effect.promise(() => standIn.control.set({ health: "hang" }))
      const hung = yield* Effect.promise(() =>
        fetch(`${standIn.url}${probe}`, { signal: AbortSignal.timeout(100) }).then(() => "", () => "hung")
      )
      assert.strictEqual(hung, "hung")
      yield* Effect.promise(() => standIn.control.set({ eatMib: 64 }))
      yield* Effect.promise(async () => {
        const kib = () =>
          Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${standIn.pid}/status`, "utf8"))?.[1] ?? Infinity)
        while (process.platform === "linux" && kib() < 100 * 1024) await sleep(10)
      })
      process.kill(standIn.pid, "SIGTERM")
      yield* Effect.promise(() => standIn.control.read())
      assert.deepStrictEqual(yield* Effect.promise(() => standIn.stop("SIGKILL")), { code: null, signal: "SIGKILL" })
    }))
})

describe("The stand-in for vLLM", () => {
  it.scopedLive("starts with the real log lines, in order", () =>
    Effect.gen(function*() {
      const standIn = yield* vllm({ decoys: true }, ["--tensor-parallel-size", "2", "--max-model-len", "8k"])
      const at = [
        /^\(APIServer pid=\d+\) INFO .* vLLM API server version/m,
        /^\(EngineCore pid=\d+\) INFO .* Initializing a V1 LLM engine/m,
        /^\(EngineCore pid=\d+\) INFO .* Loading weights took [\d.]+ seconds$/m,
        /^\(EngineCore pid=\d+\) INFO .* torch.compile takes [\d.]+ s/m,
        /^\(EngineCore pid=\d+\) INFO .* Graph capturing finished in/m,
        /^\(EngineCore pid=\d+\) INFO .* init engine \(/m,
        /^\(APIServer pid=\d+\) INFO: +Application startup complete\.$/m
      ].map((line) => standIn.output().search(line))
      // The two outputs of a process arrive in no certain order.
      assert.deepStrictEqual(at.slice(0, -1), at.slice(0, -1).toSorted((a, b) => a - b))
      assert.notInclude(at, -1)
      assert.match(standIn.output(), /TP rank 1/)
      assert.match(standIn.output(), /WARNING .*CUDA out of memory/)
      assert.match(standIn.output(), /Using max model len 8000/)
    }))

  const causes: ReadonlyArray<readonly [StandIns.VllmCause, RegExp]> = [
    ["gpu-busy", /Free memory on device .* less than desired GPU memory utilization/],
    ["kv-cache", /estimated maximum model length is 43072/],
    ["cuda-oom", /CUDA out of memory/],
    ["no-gpu", /Failed to infer device type/],
    ["no-libcuda", /libcuda\.so\.1: cannot open shared object file/],
    ["gated", /401 Client Error[^]*gated repo/],
    ["unsupported", /Model architectures .* are not supported/],
    ["nccl", /NCCL .*unhandled system error/]
  ]
  it.live.each(causes)("ends with the log lines of %s", ([fail, line]) =>
    Effect.scoped(Effect.gen(function*() {
      const failed = yield* StandIns.scoped("vllm", { switches: { fail, lastLine: "always" }, untilReady: false })
      assert.deepStrictEqual(yield* Effect.promise(() => failed.ended), { code: 1, signal: null })
      assert.match(failed.output(), line)
      assert.match(failed.output(), /Engine core initialization failed/)
      assert.notMatch(failed.output(), /Application startup complete/)
    })))

  it.scopedLive("hangs at a stage until it may go on, and downloads only once", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const options: StandIns.StartOptions = {
        env: { HF_HOME: directory },
        switches: { hangAt: "compile", downloadBytes: 1_000_000, startMs: 5 },
        untilReady: false
      }
      const standIn = yield* StandIns.scoped("vllm", options)
      yield* Effect.promise(() => standIn.control.until(({ stage }) => stage === "compile"))
      assert.match(standIn.output(), /Time spent downloading weights/)
      assert.notMatch(standIn.output(), /torch\.compile takes/)
      assert.strictEqual(yield* Effect.promise(() => fetch(standIn.url).then(() => "", () => "refused")), "refused")
      yield* Effect.promise(() => standIn.control.set({ hangAt: "" }))
      yield* Effect.promise(() => standIn.control.until(({ ready }) => ready))
      yield* Effect.promise(() => standIn.stop())
      const second = yield* StandIns.scoped("vllm", {
        ...options,
        switches: { downloadBytes: 1_000_000 },
        untilReady: true
      })
      assert.notMatch(second.output(), /Time spent downloading weights/)
    }))

  it.scopedLive("lists its models, counts in its metrics, and refuses as vLLM does", () =>
    Effect.gen(function*() {
      const standIn = yield* vllm({ tokens: 3, tokenMs: 1 }, [
        "--served-model-name",
        "a",
        "b",
        "--max-model-len=100",
        "--api-key",
        "secret",
        "--data-parallel-size",
        "2"
      ])
      const ask = (path: string, body?: Body, key = "secret") =>
        Effect.promise(async () => {
          const response = await fetch(`${standIn.url}${path}`, {
            headers: { authorization: `Bearer ${key}` },
            ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) })
          })
          const text = await response.text()
          return { status: response.status, text }
        })
      const models = JSON.parse((yield* ask("/v1/models")).text) as {
        readonly data: ReadonlyArray<{ readonly id: string; readonly max_model_len: number }>
      }
      assert.deepStrictEqual(models.data.map(({ id, max_model_len }) => [id, max_model_len]), [["a", 100], ["b", 100]])
      assert.strictEqual((yield* ask("/v1/models", undefined, "wrong")).status, 401)
      assert.strictEqual((yield* ask("/health", undefined, "wrong")).status, 200)
      assert.match((yield* ask("/version")).text, /"version":"\d/)

      const refused = (body: Body, status: number) =>
        Effect.map(ask("/v1/chat/completions", body), (answer) => {
          assert.strictEqual(answer.status, status)
          const { error } = JSON.parse(answer.text) as { error: { message: string; type: string; code: number } }
          assert.strictEqual(error.code, status)
          return `${error.type}: ${error.message}`
        })
      const messages = [{ role: "user", content: "hi" }]
      assert.match(yield* refused({ messages, model: "c" }, 404), /NotFoundError: The model `c` does not exist/)
      assert.match(yield* refused({ model: "a" }, 400), /Bad Request: .*'missing'.*messages/)
      assert.match(yield* refused({ messages, max_tokens: -1 }, 400), /at least 1, got -1/)
      const long = [{ role: "user", content: "x".repeat(1000) }]
      assert.match(yield* refused({ messages: long }, 400), /maximum context length is 100 tokens/)

      yield* ask("/v1/chat/completions", { messages, model: "b" })
      const metrics = (yield* ask("/metrics")).text
      assert.match(metrics, /^vllm:num_requests_running\{engine="0",model_name="a"\} 0\.0$/m)
      const made = [...metrics.matchAll(/^vllm:generation_tokens_total\{.*\} ([\d.]+)$/gm)]
      assert.strictEqual(made.reduce((sum, match) => sum + Number(match[1]), 0), 3)
    }))

  it.scopedLive("takes no `serve`, which the entry point has already", () =>
    Effect.gen(function*() {
      const standIn = yield* StandIns.scoped("vllm", { args: ["serve", "llama2", "--what"], untilReady: false })
      assert.deepInclude(yield* Effect.promise(() => standIn.ended), { code: 2 })
      assert.match(standIn.output(), /unrecognized arguments: llama2 --what/)
    }))

  it.scopedLive("drains at SIGTERM when asked, and lets requests wait", () =>
    Effect.gen(function*() {
      const standIn = yield* vllm({ tokenMs: 10 }, ["--shutdown-timeout", "5", "--max-num-seqs", "1"])
      const answers = [chat(standIn, chatBody("a")), chat(standIn, chatBody("b"))]
      yield* Effect.promise(() => standIn.control.until(({ running, waiting }) => running === 1 && waiting === 1))
      const metrics = yield* Effect.promise(async () => (await fetch(`${standIn.url}/metrics`)).text())
      assert.match(metrics, /^vllm:num_requests_waiting\{.*\} 1\.0$/m)
      const exit = standIn.stop()
      const texts = yield* Effect.promise(() =>
        Promise.all(answers.map(async (answer) => parse(await (await answer).text())))
      )
      assert.deepStrictEqual(texts.map(({ done }) => done), [true, true])
      assert.deepInclude(yield* Effect.promise(() => exit), { code: 0 })
    }))
})

describe("The stand-in for Ollama", () => {
  const pull = (standIn: StandIns.StandIn, model: string, signal?: AbortSignal) =>
    post(`${standIn.url}/api/pull`, { model }, signal)
  const size = 10_000_000

  it.scopedLive("pulls with the bytes' progress, and keeps what it has over restarts", () =>
    Effect.gen(function*() {
      const directory = yield* Temporary.directory
      const env = { OLLAMA_MODELS: directory }
      const first = yield* StandIns.scoped("ollama", { env, switches: { pullBytes: size } })
      const response = yield* Effect.promise(() => pull(first, "llama2"))
      assert.strictEqual(response.headers.get("content-type"), "application/x-ndjson")
      const events = lines(yield* Effect.promise(() => response.text()))
      assert.deepStrictEqual(events[0], { status: "pulling manifest" })
      assert.deepStrictEqual(events.at(-1), { status: "success" })
      const progress = events.filter(({ total }) => total === size).map(({ completed }) => Number(completed ?? 0))
      assert.isAbove(progress.length, 5)
      assert.deepStrictEqual(progress, progress.toSorted((a, b) => a - b))
      assert.strictEqual(progress.at(-1), size)
      yield* Effect.promise(() => first.stop())
      assert.match(first.output(), /msg="inference compute" .*library=cpu/)

      const second = yield* StandIns.scoped("ollama", { env, switches: { compute: "cuda", vramPart: 0.5 } })
      const models = (path: string) =>
        Effect.promise(async () =>
          await (await fetch(`${second.url}${path}`)).json() as {
            readonly models: ReadonlyArray<{ readonly name: string; readonly size: number; readonly size_vram: number }>
          }
        )
      assert.deepStrictEqual((yield* models("/api/tags")).models.map(({ name }) => name), ["llama2:latest"])
      assert.deepStrictEqual((yield* models("/api/ps")).models, [])
      yield* Effect.promise(async () => (await chat(second, chatBody("p"))).text())
      const [loaded] = (yield* models("/api/ps")).models
      assert.isAbove(loaded?.size ?? 0, size)
      assert.closeTo((loaded?.size_vram ?? 0) / (loaded?.size ?? 1), 0.5, 0.01)
      assert.match(second.output(), /msg="inference compute" .*library=cuda/)
    }))

  it.scopedLive("fails a pull in its lines, resumes it, and stalls", () =>
    Effect.gen(function*() {
      const standIn = yield* ollama({ pullBytes: size, pullErrorAfter: 4_000_000, pullErrorCount: 1 })
      const events = (model: string) =>
        Effect.promise(async () => {
          const response = await pull(standIn, model)
          return { status: response.status, events: lines(await response.text()) }
        })
      const failed = yield* events("mistral")
      assert.strictEqual(failed.status, 200)
      assert.match(String(failed.events.at(-1)?.["error"]), /max retries exceeded/)
      const resumed = yield* events("mistral")
      const first = resumed.events.find(({ total }) => total === size)
      assert.isAtLeast(Number(first?.["completed"]), 4_000_000)
      assert.deepStrictEqual(resumed.events.at(-1), { status: "success" })

      yield* Effect.promise(() => standIn.control.set({ library: ["mistral"] }))
      assert.deepStrictEqual((yield* events("nobody")).events.at(-1), {
        error: "pull model manifest: file does not exist"
      })

      yield* Effect.promise(() => standIn.control.set({ library: [], pullStallAfter: 2_000_000 }))
      const abort = new AbortController()
      const stalled = yield* Effect.promise(() => pull(standIn, "phi", abort.signal))
      yield* Effect.promise(() =>
        standIn.control.until(({ counters }) => counters.pulls.at(-1)?.completed === 2_000_000)
      )
      abort.abort()
      yield* Effect.promise(() => read(stalled))
      const { counters } = yield* Effect.promise(() =>
        standIn.control.until(({ counters }) => counters.pulls.at(-1)?.end === "cancelled")
      )
      assert.deepStrictEqual(counters.pulls.map(({ end }) => end), ["failed", "success", "failed", "cancelled"])
    }))

  it.scopedLive("answers 503 when its queue is full, 404 for what it has not", () =>
    Effect.gen(function*() {
      const standIn = yield* ollama({ tokenMs: 20 }, { OLLAMA_NUM_PARALLEL: "1", OLLAMA_MAX_QUEUE: "1" })
      const first = chat(standIn, chatBody("a"))
      yield* Effect.promise(() => standIn.control.until(({ running }) => running === 1))
      const second = chat(standIn, chatBody("b"))
      yield* Effect.promise(() => standIn.control.until(({ waiting }) => waiting === 1))
      const refused = yield* Effect.promise(() => chat(standIn, chatBody("c")))
      assert.strictEqual(refused.status, 503)
      assert.match(yield* Effect.promise(() => refused.text()), /maximum pending requests exceeded/)
      const texts = yield* Effect.promise(async () =>
        await Promise.all([first, second].map(async (answer) => parse(await (await answer).text()).text))
      )
      assert.deepStrictEqual(texts, [StandIns.answerText("a"), StandIns.answerText("b")])
      const unknown = yield* Effect.promise(() => chat(standIn, chatBody("a", { model: "nobody" })))
      assert.strictEqual(unknown.status, 404)
    }))

  it.scopedLive("fails to load a model, and speaks its own API", () =>
    Effect.gen(function*() {
      const standIn = yield* ollama({ failLoad: "memory", tokens: 2 })
      const failed = yield* Effect.promise(() => chat(standIn, chatBody("a")))
      assert.strictEqual(failed.status, 500)
      assert.match(yield* Effect.promise(() => failed.text()), /requires more system memory/)
      yield* Effect.promise(() => standIn.control.set({ failLoad: "" }))
      const own = lines(
        yield* Effect.promise(async () => (await post(`${standIn.url}/api/chat`, chatBody("a"))).text())
      )
      assert.deepInclude(own.at(-1), { done: true, done_reason: "stop", eval_count: 2 })
      const shown = yield* Effect.promise(() => post(`${standIn.url}/api/show`, { model: "llama2" }))
      assert.strictEqual(shown.status, 200)
      const embedded = yield* Effect.promise(async () =>
        await (await post(`${standIn.url}/api/embed`, { model: "llama2", input: ["one"] })).json() as Body
      )
      assert.deepStrictEqual(embedded["embeddings"], [StandIns.vector("one")])
    }))

  it.live.each(["store-denied", "disk-full", "port-taken", "panic"] as const)(
    "ends with the log lines of %s",
    (fail) =>
      Effect.scoped(Effect.gen(function*() {
        const directory = yield* Temporary.directory
        const env = { OLLAMA_MODELS: directory }
        const failed = yield* StandIns.scoped("ollama", { env, switches: { fail }, untilReady: false })
        assert.deepStrictEqual(yield* Effect.promise(() => failed.ended), { code: 1, signal: null })
        assert.match(failed.output(), /permission denied|no space left|address already in use|panic:/)
      }))
  )
})
