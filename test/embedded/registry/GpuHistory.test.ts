import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import { GpuHistory, type GpuSample, keyOf, spanSeconds } from "../../../src/embedded/registry/GpuHistory.js"
import type { CapabilitiesJson } from "../../../src/embedded/registry/NodeJson.js"
import * as NodeJson from "../../../src/embedded/registry/NodeJson.js"
import * as NodeRegistry from "../../../src/embedded/registry/NodeRegistry.js"
import * as Nodes from "../Nodes.js"
import * as Running from "../Running.js"

type Gpu = CapabilitiesJson["gpus"][number]

const gpu = (more: Partial<Gpu> = {}): Gpu => ({
  vendor: "nvidia",
  model: "NVIDIA H200",
  uuid: "GPU-1",
  unified_memory: false,
  mig_instances: [],
  foreign_processes: [],
  healthy: true,
  memory_used_bytes: 1024,
  utilization_percent: 50,
  temperature_celsius: 40,
  ...more
})

/** What the wire would make of a node's GPUs. */
const capabilities = (...gpus: ReadonlyArray<Gpu>): CapabilitiesJson => ({
  ...NodeJson.ofCapabilities({ ...Nodes.descriptions, labels: {}, engines: [], findings: [], disks: [] } as never),
  gpus: [...gpus]
})

import { watched } from "../Watched.js"

describe("the history of GPUs", () => {
  it("has the samples of each GPU, oldest first, and unknown values as such", () => {
    const history = new GpuHistory()
    const unknown = { vendor: "amd", uuid: undefined, pci_address: "0000:03:00.0" } as unknown as Partial<Gpu>
    const other = gpu(unknown)
    history.record([gpu(), other], 1_000)
    const { temperature_celsius: _, utilization_percent: __, ...silent } = gpu()
    history.record([silent, other], 1_020)
    assert.deepStrictEqual(history.toJson(1_030), {
      gpus: {
        "GPU-1": [[1_000, 1024, 50, 40], [1_020, 1024, null, null]],
        "0000:03:00.0": [[1_000, 1024, 50, 40], [1_020, 1024, 50, 40]]
      }
    })
  })

  it("knows a GPU without a uuid or an address by its place", () => {
    const { uuid: _, ...nameless } = gpu()
    assert.strictEqual(keyOf(nameless, 3), "nvidia 3")
    assert.strictEqual(keyOf({ ...nameless, index: 1 }, 3), "nvidia 1")
  })

  it("reaches a quarter of an hour back, however often it is updated, and always has the latest", () => {
    const history = new GpuHistory()
    for (let at = 0; at <= 7_200; at += 2) history.record([gpu({ memory_used_bytes: at })], at)
    const samples = history.samples("GPU-1", 7_200)
    assert.isAtMost(samples.length, 61)
    assert.isAtLeast(samples.length, 50)
    assert.deepStrictEqual(samples.at(-1), [7_200, 7_200, 50, 40])
    assert.isAtMost(samples[0]?.[0] ?? 0, 7_200 - spanSeconds + 60)
  })

  it("forgets a GPU that is gone when its samples are old", () => {
    const history = new GpuHistory()
    history.record([gpu(), gpu({ uuid: "GPU-2" })], 0)
    history.record([gpu()], spanSeconds)
    assert.hasAllKeys(history.toJson(spanSeconds).gpus, ["GPU-1", "GPU-2"])
    history.record([gpu()], spanSeconds + 1)
    assert.hasAllKeys(history.toJson(spanSeconds + 1).gpus, ["GPU-1"])
  })

  it("starts over when the clock is set back", () => {
    const history = new GpuHistory()
    history.record([gpu()], 10_000)
    history.record([gpu()], 5_000)
    assert.deepStrictEqual(history.samples("GPU-1", 5_000), [[5_000, 1024, 50, 40]])
  })

  it("is the same when it is loaded elsewhere, and stays in order and within bounds whatever comes", () => {
    FastCheck.assert(FastCheck.property(
      FastCheck.array(FastCheck.record({ step: FastCheck.integer({ min: -5, max: 90 }), used: FastCheck.nat(1000) }), {
        maxLength: 200
      }),
      (looks) => {
        const history = new GpuHistory()
        let at = 100_000
        for (const { step, used } of looks) {
          at += step
          history.record([gpu({ memory_used_bytes: used })], at)
        }
        const samples = history.samples("GPU-1", at)
        const times = samples.map(([time]: GpuSample) => time)
        assert.isAtMost(samples.length, 60)
        assert.deepStrictEqual(times, [...times].sort((a, b) => a - b))
        if (looks.length > 0) assert.deepStrictEqual(samples.at(-1), [at, looks.at(-1)?.used ?? null, 50, 40])
        const copy = new GpuHistory()
        copy.load(history.toJson(at))
        assert.deepStrictEqual(copy.samples("GPU-1", at).at(-1), samples.at(-1))
        assert.isAtMost(copy.samples("GPU-1", at).length, samples.length)
      }
    ))
  })
})

describe("the orchestrator's history of a node's GPUs", () => {
  it.scoped("outlives another registration, and goes with the node", () =>
    Effect.gen(function*() {
      const registry = yield* watched(NodeRegistry.make({ heartbeatTimeout: "30 seconds", dropAfter: "1 minute" }))
      const node = { id: "a", hostname: "a", agentAddress: "", capabilities: capabilities(gpu()) }
      yield* registry.register(node)
      yield* TestClock.adjust("20 seconds")
      yield* registry.update("a", capabilities(gpu({ memory_used_bytes: 2048 })))
      yield* TestClock.adjust("20 seconds")
      yield* registry.register(node)
      const { gpus } = yield* registry.gpuHistory("a")
      assert.deepStrictEqual(gpus["GPU-1"], [[0, 1024, 50, 40], [20, 2048, 50, 40], [40, 1024, 50, 40]])
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual((yield* Effect.flip(registry.gpuHistory("a"))).nodeId, "a")
    }))

  it.scopedLive("is served over HTTP, for one node", () =>
    Effect.gen(function*() {
      const running = yield* Running.start()
      const id = "rack/7?α&b=c"
      yield* running.register(Nodes.node(id, { capabilities: Nodes.complete }))
      const known = yield* running.get(`/api/history?node=${encodeURIComponent(id)}`)
      assert.strictEqual(known.status, 200)
      const { gpus } = JSON.parse(known.body) as { gpus: Record<string, ReadonlyArray<GpuSample>> }
      assert.deepStrictEqual(
        Object.values(gpus).map(([first]) => first?.slice(2)),
        [[0, 33], [13, 37]]
      )
      yield* running.register(Nodes.node("without"))
      assert.strictEqual((yield* running.get("/api/history?node=without")).body, "{\"gpus\":{}}\n")
      assert.strictEqual((yield* running.get("/api/history?node=nobody")).status, 404)
      assert.strictEqual((yield* running.get("/api/history")).status, 400)
    }))
})
