import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Diagnosis } from "../../src/engine/Diagnosis.js"
import * as EngineBoard from "../../src/engine/EngineBoard.js"
import { EngineStatus, toReport } from "../../src/engine/EngineStatus.js"
import * as Ollama from "../../src/engine/ollama/Ollama.js"
import { machine, planned, settings } from "./Planning.js"

const facts = { name: "vllm", model: "org/model", restarts: 2, image: "image:v1", recentLog: [] }
const diagnosis: Diagnosis = { cause: "crashed", message: "It fell.", remedy: "Help it up.", lasting: false }

describe("an engine's report", () => {
  it("has the state, the models and what is to be told of it", () => {
    const told = (status: EngineStatus) => {
      const { detail, models, state } = toReport(status, facts)
      return [state, models, detail]
    }
    const own = ["org/model"]
    assert.deepStrictEqual(
      [
        EngineStatus.Pulling({ detail: "a" }),
        EngineStatus.Starting({ detail: "b" }),
        EngineStatus.Loading({ detail: "c" }),
        EngineStatus.Ready({ since: 1, models: ["x", "y"] }),
        EngineStatus.Unhealthy({ since: 1, failedChecks: 1, detail: "d" }),
        EngineStatus.Restarting({ attempt: 1, nextTryAt: 2, diagnosis }),
        EngineStatus.Failed({ attempt: 1, nextTryAt: 2, diagnosis: { ...diagnosis, remedy: "" } }),
        EngineStatus.Stopped()
      ].map(told),
      [
        ["pulling", own, "a"],
        ["starting", own, "b"],
        ["loading", own, "c"],
        ["ready", ["x", "y"], ""],
        ["unhealthy", own, "d"],
        ["restarting", own, "It fell. Help it up."],
        ["failed", own, "It fell."],
        ["stopped", own, ""]
      ]
    )
  })

  it("has bytes while they come, and no share of what nobody knows", () => {
    const report = (bytes: { readonly done: number; readonly total?: number }) => {
      const { doneBytes, progress, totalBytes } = toReport(EngineStatus.Loading({ detail: "", bytes }), facts)
      return [doneBytes, totalBytes, progress]
    }
    assert.deepStrictEqual(report({ done: 5, total: 20 }), [5, 20, 0.25])
    assert.deepStrictEqual(report({ done: 5 }), [5, undefined, undefined])
    assert.deepStrictEqual(report({ done: 0, total: 0 }), [0, undefined, undefined])
    assert.deepStrictEqual(report({ done: 30, total: 20 }), [30, 20, 1])
    assert.notProperty(toReport(EngineStatus.Ready({ since: 0, models: [] }), facts), "doneBytes")
  })

  it("leaves out what there is not", () => {
    assert.deepStrictEqual(
      toReport(EngineStatus.Stopped(), { name: "ollama", model: "m", restarts: 0, recentLog: [] }),
      { name: "ollama", state: "stopped", models: ["m"], detail: "", restarts: 0 }
    )
    assert.deepInclude(toReport(EngineStatus.Stopped(), { ...facts, recentLog: ["a"] }), { recentLog: ["a"] })
  })
})

describe("the board", () => {
  it.scoped("shows the present to those who come, and each change to those who stay", () =>
    Effect.gen(function*() {
      const board = yield* EngineBoard.make([{ name: "vllm", model: "a" }, { name: "ollama", model: "b" }])
      assert.deepStrictEqual(board.engines.current().map(({ baseUrl, models, state }) => [baseUrl, models, state]), [
        ["", [], "starting"],
        ["", [], "starting"]
      ])
      const plan = planned(Ollama.plan(settings({ "ollama-gpus": "none" }), machine()))
      const seen = yield* Effect.fork(
        Stream.runCollect(Stream.takeUntil(board.engines.changes, (reports) => reports[1]?.state === "ready"))
      )
      yield* Effect.yieldNow()
      yield* board.change("ollama", { plan, status: EngineStatus.Ready({ since: 0, models: ["b:latest"] }) })
      const all = [...yield* Fiber.join(seen)]
      assert.deepInclude(all.at(-1)?.[1], { state: "ready", models: ["b:latest"], image: "ollama/ollama:latest" })
      assert.deepInclude(board.engines.current()[1], { baseUrl: "http://127.0.0.1:11434", models: ["b:latest"] })
      assert.strictEqual(board.engines.current()[0]?.state, "starting")
      // Who sends requests writes into what the health checks read.
      const [, running] = board.engines.current()
      if (running !== undefined) running.activity.inFlight = 3
      assert.strictEqual(board.get("ollama").activity.inFlight, 3)
    }))

  it.live("gives the newest to each of several readers, however slow one of them is", () =>
    Effect.gen(function*() {
      const board = yield* EngineBoard.make([{ name: "vllm", model: "a" }])
      const last = 50
      const reader = (pause: number) =>
        Effect.fork(Stream.runDrain(Stream.takeUntil(
          Stream.tap(board.engines.changes, () => Effect.sleep(pause)),
          (reports) => reports[0]?.restarts === last
        )))
      const readers = [yield* reader(7), yield* reader(0), yield* reader(3)]
      yield* Effect.sleep(20)
      for (let restarts = 1; restarts <= last; restarts++) {
        yield* board.change("vllm", { restarts })
        if (restarts % 5 === 0) yield* Effect.sleep(1)
      }
      yield* Effect.timeout(Fiber.joinAll(readers), "5 seconds")
    }))
})
