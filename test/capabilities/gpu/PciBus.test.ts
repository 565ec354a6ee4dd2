import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as TestClock from "effect/TestClock"
import * as path from "node:path"
import { deviceFiles } from "../../../src/capabilities/Files.js"
import { nameInAmdgpuIds, nameInPciIds } from "../../../src/capabilities/gpu/DeviceNames.js"
import * as PciBus from "../../../src/capabilities/gpu/PciBus.js"
import { fixture, machine, tree, writeTree } from "../Support.js"

describe("PciBus", () => {
  it.scoped("finds GPUs among everything else, with the driver that holds each", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("nvidia-bus"))
      assert.deepStrictEqual(yield* (yield* PciBus.make(deviceFiles(root))).gpus, [
        { address: "0000:19:00.0", vendor: "nvidia", deviceId: "2330", driver: "nvidia" },
        { address: "0000:3b:00.0", vendor: "nvidia", deviceId: "2330", driver: "vfio-pci" },
        { address: "0000:4c:00.0", vendor: "nvidia", deviceId: "2330" },
        { address: "0000:5d:00.0", vendor: "nvidia", deviceId: "2204", driver: "nouveau" }
      ])
    }))

  it.scoped("notices a driver that loads late within a minute, or immediately after forgetting", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("nvidia-bus"))
      const bus = yield* PciBus.make(deviceFiles(root))
      const driver = Effect.map(bus.gpus, (gpus) => gpus[2]?.driver)
      assert.isUndefined(yield* driver)
      writeTree(root, { "sys/bus/pci/devices/0000:4c:00.0/driver": "-> ../../drivers/nvidia" })
      yield* TestClock.adjust("59 seconds")
      assert.isUndefined(yield* driver)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* driver, "nvidia")
      writeTree(root, {
        [path.join("sys/bus/pci/devices/0000:99:00.0/modalias")]:
          "pci:v000010DEd00002330sv000010DEsd000016C1bc03sc02i00"
      })
      assert.lengthOf(yield* bus.gpus, 4)
      yield* bus.forget
      assert.lengthOf(yield* bus.gpus, 5)
    }))

  it.scoped("may be asked by several at once", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("nvidia-bus"))
      const bus = yield* PciBus.make(deviceFiles(root))
      const answers = yield* Effect.all([bus.gpus, bus.gpus, bus.gpus], { concurrency: "unbounded" })
      assert.deepStrictEqual(answers.map((gpus) => gpus.length), [4, 4, 4])
    }))

  it("knows processing accelerators of AMD's for GPUs, and others' not", () => {
    const of = (vendor: string, kind: string) =>
      PciBus.parseModalias(`pci:v0000${vendor}d000074A1sv00001002sd000074A1bc${kind}sc00i00`)
    assert.deepStrictEqual(of("1002", "12"), { vendor: "amd", deviceId: "74a1" })
    assert.deepStrictEqual(of("1002", "03"), { vendor: "amd", deviceId: "74a1" })
    assert.isUndefined(of("8086", "12"))
    assert.isUndefined(of("1A03", "03"))
    assert.isUndefined(of("10DE", "04"))
  })

  it("writes addresses as Linux does", () => {
    assert.deepStrictEqual(
      ["00000000:3B:00.0", "0000:3b:00.0", "3B:00.0", "0000000F:01:00.0", "GPU0000:25:00.0", "[N/A]", "", undefined]
        .map(PciBus.pciAddress),
      ["0000:3b:00.0", "0000:3b:00.0", "0000:3b:00.0", "000f:01:00.0", "0000:25:00.0", undefined, undefined, undefined]
    )
  })

  it("finds names in the lists of distributions", () => {
    const ids = fixture("pci.ids")
    assert.strictEqual(nameInPciIds(ids, "0x8086", "0x56a0"), "Arc A770")
    assert.strictEqual(nameInPciIds(ids, "0x10de", "2330"), "H100 SXM5 80GB")
    assert.isUndefined(nameInPciIds(ids, "0x8086", "0x744c"))
    assert.isUndefined(nameInPciIds(ids, "0x1a03", "0x2000"))
    assert.isUndefined(nameInPciIds(ids, "0x1002", "(.*"))
    assert.strictEqual(nameInAmdgpuIds(fixture("amd/amdgpu.ids"), "0x73bf", "0xc1"), "AMD Radeon RX 6800 XT")
    assert.isUndefined(nameInAmdgpuIds(fixture("amd/amdgpu.ids"), "0x73bf", "0xff"))
  })
})
