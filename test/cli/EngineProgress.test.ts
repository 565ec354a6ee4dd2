import { assert, describe, it } from "@effect/vitest"
import * as EngineProgress from "../../src/cli/EngineProgress.js"
import type { EngineReport } from "../../src/node/Node.js"

const mib = 1024 ** 2

const pulling = (done: number, more: Partial<EngineReport> = {}): EngineReport => ({
  name: "ollama",
  state: "loading",
  models: ["llama2"],
  detail: "Pulling the model llama2",
  restarts: 0,
  doneBytes: done,
  totalBytes: 100 * mib,
  progress: done / (100 * mib),
  ...more
})

describe("how far an engine is", () => {
  it("is a bar with rate and time left", () => {
    const speed = EngineProgress.makeSpeed()
    speed.add(pulling(10 * mib), 0)
    assert.deepStrictEqual(EngineProgress.bars([pulling(10 * mib)], speed, 0), [
      "  Ollama  ██░░░░░░░░░░░░░░░░░░░░░░  10 %  Pulling the model llama2"
    ])
    speed.add(pulling(50 * mib), 2_000)
    assert.deepStrictEqual(EngineProgress.bars([pulling(50 * mib)], speed, 2_000), [
      "  Ollama  ████████████░░░░░░░░░░░░  50 %  20.0 MiB/s, 3 s left  Pulling the model llama2"
    ])
    assert.strictEqual(
      EngineProgress.sentence(pulling(50 * mib), speed, 2_000),
      "Ollama: Pulling the model llama2 (50 %), 20.0 MiB/s, 3 s left"
    )
  })

  it("has the rate of the last seconds, and none of before another thing was counted", () => {
    const speed = EngineProgress.makeSpeed()
    for (let second = 0; second <= 20; second++) {
      speed.add(pulling(second * mib * (second < 10 ? 10 : 1)), second * 1_000)
    }
    assert.isBelow(speed.of("ollama", 20_000) ?? 0, 1.1 * mib)
    assert.isBelow(speed.of("ollama", 60_000) ?? 0, 0.2 * mib)
    speed.add(pulling(0), 21_000)
    assert.isUndefined(speed.of("ollama", 21_000))
    speed.add(pulling(1, { state: "ready" }), 22_000)
    assert.isUndefined(speed.of("ollama", 22_000))
  })

  it("is nothing for an engine that is not on its way", () => {
    const speed = EngineProgress.makeSpeed()
    assert.deepStrictEqual(EngineProgress.bars([pulling(1, { state: "ready", detail: "" })], speed, 0), [])
    assert.deepStrictEqual(EngineProgress.bars([pulling(1, { state: "failed" })], speed, 0), [])
  })

  it("formats time as people would say it", () => {
    assert.deepStrictEqual([0.2, 45, 100, 5_000, 10_000].map(EngineProgress.timeLeft), [
      "1 s",
      "45 s",
      "2 min",
      "84 min",
      "2 h 47 min"
    ])
  })
})
