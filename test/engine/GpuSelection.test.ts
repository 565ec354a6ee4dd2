import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import { GpuInfo } from "../../src/node/NodeCapabilities.js"
import * as GpuSelection from "../../src/engine/GpuSelection.js"
import { amd, apple, intel, mig, nvidia } from "./Planning.js"

const select = (text: string, gpus: ReadonlyArray<GpuInfo>) => GpuSelection.select(text, gpus)
const chosen = (text: string, gpus: ReadonlyArray<GpuInfo>) => {
  const selection = Either.getOrThrow(select(text, gpus))
  return selection === undefined ? undefined : { ...selection, gpus: selection.gpus.map(({ uuid }) => uuid) }
}
const problem = (text: string, gpus: ReadonlyArray<GpuInfo>) => {
  const selection = select(text, gpus)
  return Either.isLeft(selection) ? `${selection.left.problem}; give ${selection.left.expected}` : "no problem"
}

const broken = nvidia(1, { healthy: false, healthProblem: "it fell off the bus" })

describe("a choice of GPUs", () => {
  it("is none where none is asked for, or all of none", () => {
    assert.isUndefined(chosen("none", [nvidia(0)]))
    assert.isUndefined(chosen("all", []))
    assert.isUndefined(chosen("all", [apple]))
  })

  it("is all of one vendor, the one preferred first", () => {
    assert.deepStrictEqual(chosen("all", [nvidia(0), nvidia(1)]), {
      vendor: "nvidia",
      devices: "all",
      gpus: ["GPU-0", "GPU-1"],
      count: 2
    })
    assert.strictEqual(chosen("all", [intel(0), amd(0), nvidia(0)])?.vendor, "nvidia")
    assert.strictEqual(chosen("all", [intel(0), amd(0)])?.vendor, "amd")
    assert.strictEqual(chosen("all", [apple, intel(0)])?.vendor, "intel")
  })

  it("is all that work, by their ids, when some do not", () => {
    assert.deepStrictEqual(chosen("all", [nvidia(0), broken, nvidia(2)]), {
      vendor: "nvidia",
      devices: ["GPU-0", "GPU-2"],
      gpus: ["GPU-0", "GPU-2"],
      count: 2
    })
    // Another vendor's that works comes before one that does not.
    assert.strictEqual(chosen("all", [broken, amd(0)])?.vendor, "amd")
    assert.match(problem("all", [broken]), /none of this machine's GPUs works: it fell off the bus; give none to run/)
  })

  it("is what indexes, uuids and slices name", () => {
    const gpus = [nvidia(0), nvidia(1), nvidia(2)]
    assert.deepStrictEqual(chosen("2,0", gpus), {
      vendor: "nvidia",
      devices: ["2", "0"],
      gpus: ["GPU-2", "GPU-0"],
      count: 2
    })
    assert.deepStrictEqual(chosen("GPU-1", gpus)?.devices, ["GPU-1"])
    // Two slices of one GPU are two devices.
    assert.deepStrictEqual(chosen("MIG-a,MIG-b", [mig]), {
      vendor: "nvidia",
      devices: ["MIG-a", "MIG-b"],
      gpus: ["GPU-0"],
      count: 2
    })
    // Without indexes of their own they are counted.
    const uncounted = [nvidia(0), nvidia(5)].map(({ index: _, ...rest }) => new GpuInfo(rest))
    assert.deepStrictEqual(chosen("1", uncounted)?.gpus, ["GPU-5"])
  })

  it("counts each vendor's GPUs on their own", () => {
    assert.strictEqual(chosen("0", [amd(0), nvidia(0)])?.vendor, "nvidia")
    assert.strictEqual(chosen("1", [nvidia(0), amd(0), amd(1)])?.vendor, "amd")
    assert.strictEqual(chosen("GPU-a0", [nvidia(0), amd(0)])?.vendor, "amd")
    assert.match(
      problem("GPU-0,GPU-a0", [nvidia(0), amd(0)]),
      /they are of several vendors, and one engine can use one vendor's only; give GPUs of one vendor/
    )
  })

  it("says what there is instead of what there is not", () => {
    assert.strictEqual(
      problem("0,7", [nvidia(0), nvidia(1)]),
      "there is no GPU 7 here; there are 0 (NVIDIA H200), 1 (NVIDIA H200); give all, none, or some of those"
    )
    assert.match(problem("GPU-x", [nvidia(0)]), /there is no GPU GPU-x here; there is 0 \(NVIDIA H200\)/)
    assert.match(problem("0", []), /this machine has no GPU, as far as the agent can see; give none/)
    assert.match(problem("0", [apple]), /containers on macOS cannot use the GPU; give none/)
    assert.match(problem("0,1", [nvidia(0), broken]), /GPU 1 does not work: it fell off the bus; give one that works/)
  })

  it("names no GPU twice, however it is written", () => {
    assert.match(problem("0,0", [nvidia(0)]), /0 is named twice; give each GPU once/)
    assert.match(problem("0,1,00", [nvidia(0), nvidia(1)]), /00 is named twice/)
    assert.match(problem("MIG-a,MIG-a", [mig]), /MIG-a is named twice/)
    // The container engine knows no leading zeros.
    assert.deepStrictEqual(chosen("01", [nvidia(0), nvidia(1)])?.devices, ["1"])
  })
})
