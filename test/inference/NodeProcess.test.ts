import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { build } from "esbuild"
import * as GrpcClient from "../../src/grpc/GrpcClient.js"
import { Status } from "../../src/grpc/GrpcError.js"
import { NodeAgentService } from "../../src/proto/OrchionV1.js"
import * as StandIns from "../support/engines/StandIns.js"
import * as Inference from "../support/Inference.js"
import * as Processes from "../support/Processes.js"
import * as Temporary from "../support/Temporary.js"

const root = path.resolve(import.meta.dirname, "../..")

/** A node in a process of its own, with a small heap. */
const start = (engineUrl: string) =>
  Effect.gen(function*() {
    const outfile = path.join(yield* Temporary.directory, "node.mjs")
    yield* Effect.promise(() =>
      build({
        entryPoints: [path.join(root, "bench/inference-node.ts")],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        logLevel: "error",
        banner: { js: "import { createRequire } from \"node:module\"; const require = createRequire(import.meta.url);" }
      })
    )
    const child = yield* Processes.node(["--max-old-space-size=128", outfile, "node", engineUrl])
    const [, port] = yield* child.says(/^port (\d+)/m)
    const client = yield* GrpcClient.make({ address: `127.0.0.1:${port}`, maxReceiveBytes: 64 << 20 })
    const chat = (stream: boolean) => {
      let text = ""
      return Effect.map(
        client.receive(NodeAgentService, "ChatCompletion", Inference.request("Hi", { stream }), () => (message) => {
          text += Inference.textOf([message])
        }),
        () => text
      )
    }
    return { child, chat }
  })

describe("a node with a small heap", () => {
  it.scopedLive("outlives whole answers that have no end, and answers the next", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { tokens: 1_000_000_000, tokenBytes: 2048 } })
      const { chat, child } = yield* start(vllm.url)
      const errors = yield* Effect.all(Array.from({ length: 6 }, () => Effect.flip(chat(false))), {
        concurrency: "unbounded"
      })
      for (const error of errors) {
        assert.strictEqual(error.code, Status.RESOURCE_EXHAUSTED)
        assert.include(error.details, "more than 8.0 MiB of text")
      }
      yield* Effect.promise(() => vllm.control.until(({ counters }) => counters.cancelled === 6))
      yield* Effect.promise(() => vllm.control.set({ tokens: 4, tokenBytes: 0 }))
      assert.strictEqual(yield* chat(true), StandIns.answerText("Hi", 4), child.output())
    }), 60_000)
})
