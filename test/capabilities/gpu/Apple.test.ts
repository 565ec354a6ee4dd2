import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Apple from "../../../src/capabilities/gpu/Apple.js"
import * as Tool from "../../../src/process/Tool.js"
import { fakeTool, fixture, temporaryDirectory } from "../Support.js"
import * as path from "node:path"

describe("Apple", () => {
  it("knows the GPU of Apple silicon, whose memory is the system's", () => {
    const [gpu, ...others] = Apple.parseDisplays(fixture("apple/m3-pro.json")) ?? []
    assert.lengthOf(others, 0)
    assert.deepInclude({ ...gpu }, { vendor: "apple", model: "Apple M3 Pro", unifiedMemory: true, healthy: true })
    assert.isUndefined(gpu?.memoryTotalBytes)
  })

  it("knows both GPUs of an older Mac", () => {
    const gpus = Apple.parseDisplays(fixture("apple/macbook-2019.json")) ?? []
    assert.deepStrictEqual(gpus.map((gpu) => [gpu.vendor, gpu.model, gpu.memoryTotalBytes, gpu.unifiedMemory]), [
      ["intel", "Intel UHD Graphics 630", undefined, true],
      ["amd", "AMD Radeon Pro 5500M", 8 * 1024 ** 3, false]
    ])
  })

  it.scopedLive("is asked once a day, and says what it means for containers", () =>
    Effect.gen(function*() {
      const directory = yield* temporaryDirectory
      fakeTool(directory, "system_profiler", `cat ${path.join(import.meta.dirname, "../fixtures/apple/m3-pro.json")}`)
      const tools = yield* Tool.make({ path: directory, env: {}, platform: "linux" })
      const reading = yield* Apple.detect({ tools, deadline: "5 seconds", platform: "darwin" })
      assert.lengthOf(reading.facts.gpus, 1)
      assert.strictEqual(reading.goodFor, "1 day")
      assert.deepStrictEqual(reading.findings.map(({ code }) => code), ["apple.no-gpu-in-containers"])
      assert.deepStrictEqual((yield* Apple.detect({ tools, deadline: "5 seconds", platform: "linux" })).facts.gpus, [])
    }))

  it("throws at no text", () => {
    FastCheck.assert(FastCheck.property(FastCheck.oneof(FastCheck.string(), FastCheck.json()), (text) => {
      Apple.parseDisplays(text)
      Apple.parseDisplays(`{"SPDisplaysDataType":[${text}]}`)
    }))
    assert.isUndefined(Apple.parseDisplays("oops"))
  })
})
