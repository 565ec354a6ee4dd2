import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Diagnosis } from "../../src/engine/Diagnosis.js"
import * as EngineBoard from "../../src/engine/EngineBoard.js"
import { EngineEvent, EngineStatus, maxReportedModels, toReport, transition } from "../../src/engine/EngineStatus.js"
import * as OllamaPlan from "../../src/engine/ollama/OllamaPlan.js"
import { machine, planned, settings } from "./Planning.js"

const facts = { name: "vllm", model: "org/model", restarts: 2, image: "image:v1", recentLog: [] }
const diagnosis: Diagnosis = { cause: "crashed", message: "It fell.", remedy: "Help it up.", lasting: false }

describe("an engine's report", () => {
  it("has the state, the models and the rest of the report", () => {
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

  it("has bytes while they arrive, and no share of an unknown total", () => {
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

describe("an engine's state", () => {
  const lasting: Diagnosis = { ...diagnosis, lasting: true }
  const states: Record<EngineStatus["_tag"], EngineStatus> = {
    Pulling: EngineStatus.Pulling({ detail: "" }),
    Starting: EngineStatus.Starting({ detail: "" }),
    Loading: EngineStatus.Loading({ detail: "" }),
    Ready: EngineStatus.Ready({ since: 1, models: ["m"] }),
    Unhealthy: EngineStatus.Unhealthy({ since: 1, failedChecks: 1, detail: "" }),
    Restarting: EngineStatus.Restarting({ attempt: 1, nextTryAt: 2, diagnosis }),
    Failed: EngineStatus.Failed({ attempt: 1, nextTryAt: 2, diagnosis: lasting }),
    Stopped: EngineStatus.Stopped()
  }
  const tags = Object.keys(states) as ReadonlyArray<EngineStatus["_tag"]>
  type Next = EngineStatus["_tag"]
  // What each event makes of Pulling, Starting, Loading, Ready, Unhealthy, Restarting and Failed, in this order.
  const table: ReadonlyArray<readonly [EngineEvent, ReadonlyArray<Next>]> = [
    [EngineEvent.Waiting({ detail: "" }), Array.from({ length: 7 }, (): Next => "Starting")],
    [
      EngineEvent.ImageProgress({ detail: "" }),
      ["Pulling", "Pulling", "Loading", "Ready", "Unhealthy", "Pulling", "Pulling"] as const
    ],
    [EngineEvent.Started({ detail: "" }), Array.from({ length: 7 }, (): Next => "Loading")],
    [
      EngineEvent.StageReached({ detail: "" }),
      ["Pulling", "Starting", "Loading", "Ready", "Unhealthy", "Restarting", "Failed"] as const
    ],
    [EngineEvent.LoadProgress({ detail: "" }), Array.from({ length: 7 }, (): Next => "Loading")],
    [EngineEvent.Serving({ since: 5, models: [] }), Array.from({ length: 7 }, (): Next => "Ready")],
    [
      EngineEvent.CheckFailed({ at: 5, failedChecks: 2, detail: "" }),
      ["Pulling", "Starting", "Loading", "Unhealthy", "Unhealthy", "Restarting", "Failed"] as const
    ],
    [EngineEvent.Ending({ detail: "" }), Array.from({ length: 7 }, (): Next => "Starting")],
    [
      EngineEvent.RetryScheduled({ attempt: 1, nextTryAt: 2, diagnosis }),
      Array.from({ length: 7 }, (): Next => "Restarting")
    ],
    [
      EngineEvent.RetryScheduled({ attempt: 1, nextTryAt: 2, diagnosis: lasting }),
      Array.from({ length: 7 }, (): Next => "Failed")
    ],
    [EngineEvent.Shutdown(), Array.from({ length: 7 }, (): Next => "Stopped")]
  ]

  it.each(table)("is moved by %j", (event, expected) => {
    const next = tags.filter((tag) => tag !== "Stopped").map((tag) => transition(states[tag], event)._tag)
    assert.deepStrictEqual(next, [...expected])
    assert.strictEqual(transition(states.Stopped, event)._tag, "Stopped")
  })

  it("has the events of all kinds in its table", () => {
    assert.sameMembers(
      [...new Set(table.map(([event]) => event._tag))],
      [
        "Waiting",
        "ImageProgress",
        "Started",
        "StageReached",
        "LoadProgress",
        "Serving",
        "CheckFailed",
        "Ending",
        "RetryScheduled",
        "Shutdown"
      ]
    )
  })

  it("is unhealthy since its first failed check", () => {
    const failed = (at: number) => EngineEvent.CheckFailed({ at, failedChecks: 1, detail: "" })
    const first = transition(states.Ready, failed(5))
    assert.deepInclude(first, { since: 5 })
    assert.deepInclude(transition(first, failed(9)), { since: 5 })
  })
})

describe("a report of an engine with 100,000 models", () => {
  const names = Array.from({ length: 100_000 }, (_, index) => `model-${index}`)
  const report = (models: ReadonlyArray<string>, model = "own") =>
    toReport(EngineStatus.Ready({ since: 0, models }), { ...facts, model })

  it("lists what a report can carry, its own model first, and says so", () => {
    const { detail, models } = report([...names, "own:latest"])
    assert.lengthOf(models, maxReportedModels)
    assert.strictEqual(models[0], "own:latest")
    assert.strictEqual(detail, "Only 500 of its 100001 models are listed")
    assert.isBelow(JSON.stringify(report(names.map((name) => name.padEnd(500)))).length, 100_000)
    assert.strictEqual(report(names.slice(0, maxReportedModels)).detail, "")
  })
})

describe("the board", () => {
  it.scoped("shows the present to those who come, and each change to those who stay", () =>
    Effect.gen(function*() {
      const board = yield* EngineBoard.make([
        { name: "vllm", title: "vLLM", model: "a" },
        { name: "ollama", title: "Ollama", model: "b" }
      ])
      assert.deepStrictEqual(board.engines.current().map(({ baseUrl, models, state }) => [baseUrl, models, state]), [
        ["", [], "starting"],
        ["", [], "starting"]
      ])
      const plan = planned(OllamaPlan.plan(settings({ "ollama-gpus": "none" }), machine()))
      const seen = yield* Effect.fork(
        Stream.runCollect(Stream.takeUntil(board.engines.changes, (reports) => reports[1]?.state === "ready"))
      )
      yield* Effect.yieldNow()
      yield* board.change("ollama", { plan, event: EngineEvent.Serving({ since: 0, models: ["b:latest"] }) })
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
      const board = yield* EngineBoard.make([{ name: "vllm", title: "vLLM", model: "a" }])
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
