import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as fs from "node:fs"
import * as path from "node:path"
import { gfxName, parseKfdNode } from "../../../src/capabilities/gpu/AmdDevices.js"
import { parseAmdSmi } from "../../../src/capabilities/gpu/AmdSmi.js"
import * as Amd from "../../../src/capabilities/gpu/Amd.js"
import { GpuInfo } from "../../../src/node/CapabilitiesSchema.js"
import * as Host from "../../../src/capabilities/Host.js"
import { fakeTool, fixture, machine, matches, temporaryDirectory, tree } from "../Support.js"

const GiB = 1024 ** 3

const probe = (root: string, directory = "/nonexistent") =>
  Effect.gen(function*() {
    const host = yield* Host.make({ root, path: directory, env: {}, platform: "linux", deadline: "20 seconds" })
    return { detect: yield* Amd.make({ ...host, files: host.files() }) }
  })

describe("Amd", () => {
  it.scoped("reads every card by the files of its driver, in the order of the bus", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("amd-two-cards"), { "usr/share/libdrm/amdgpu.ids": fixture("amd/amdgpu.ids") })
      const { facts, findings } = yield* (yield* probe(root)).detect
      assert.deepStrictEqual([...findings], [])
      const [radeon, instinct] = facts.gpus
      assert.deepStrictEqual({ ...radeon }, {
        vendor: "amd",
        model: "AMD Radeon RX 7900 XTX",
        index: 0,
        pciAddress: "0000:03:00.0",
        memoryTotalBytes: 25_753_026_560,
        memoryUsedBytes: 16 * GiB,
        memoryFreeBytes: 25_753_026_560 - 16 * GiB,
        unifiedMemory: false,
        utilizationPercent: 99,
        temperatureCelsius: 64,
        powerDrawWatts: 287.5,
        powerLimitWatts: 327,
        driverVersion: "6.12.12",
        computeCapability: "gfx1100",
        migInstances: [],
        foreignProcesses: [],
        healthy: true
      })
      assert.strictEqual(instinct?.model, "AMD Instinct MI210")
      assert.strictEqual(instinct?.uuid, "GPU-8fe4c5d1a2b3c4d5")
      assert.strictEqual(instinct?.computeCapability, "gfx90a")
      // It has no sensor at its edge.
      assert.strictEqual(instinct?.temperatureCelsius, 38)
      // What it may map of the system's memory is not its own.
      assert.strictEqual(instinct?.memoryTotalBytes, 68_702_699_520)
    }))

  it.scoped("names the programs on each card, by what the compute driver knows", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("amd-two-cards"))
      const { facts } = yield* (yield* probe(root)).detect
      assert.deepStrictEqual(
        [...facts.users].map(([address, list]) => [address, list.map(({ name, pid }) => [pid, name])]),
        [
          ["0000:43:00.0", [[2718, "unknown"]]],
          ["0000:03:00.0", [[3141, "llama-server"]]]
        ]
      )
      assert.strictEqual(facts.users.get("0000:03:00.0")?.[0]?.memoryUsedBytes, 15 * GiB)
    }))

  it.scoped("adds what an APU may take of the system's memory to its carve-out", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("amd-two-apus"), { "usr/share/misc/pci.ids": fixture("pci.ids") })
      const [halo, mi300a] = (yield* (yield* probe(root)).detect).facts.gpus
      assert.deepInclude({ ...halo }, {
        model: "AMD Radeon Graphics / Radeon 8050S Graphics / Radeon 8060S Graphics",
        unifiedMemory: true,
        memoryTotalBytes: 536_870_912 + 115_964_116_992,
        memoryUsedBytes: 134_217_728 + 53_687_091_200,
        powerDrawWatts: 65.04
      })
      assert.deepInclude({ ...mi300a }, {
        model: "AMD GPU 1002:74a0",
        unifiedMemory: true,
        memoryTotalBytes: 128 * GiB
      })
    }))

  it.scoped("reads again what changes, and notices a card that comes or goes", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("amd-two-cards"))
      const amd = yield* probe(root)
      yield* amd.detect
      const card = path.join(root, "sys/class/drm/card0")
      fs.writeFileSync(path.join(card, "device/gpu_busy_percent"), "12\n")
      assert.strictEqual((yield* amd.detect).facts.gpus[0]?.utilizationPercent, 12)
      fs.renameSync(card, path.join(root, "gone"))
      assert.deepStrictEqual((yield* amd.detect).facts.gpus.map((gpu) => gpu.model), ["AMD Instinct MI210"])
      fs.renameSync(path.join(root, "gone"), card)
      assert.lengthOf((yield* amd.detect).facts.gpus, 2)
    }))

  it.scoped("reports a card that does not answer its driver", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("amd-two-cards"))
      for (const file of ["mem_info_vram_total", "mem_info_vram_used"]) {
        fs.rmSync(path.join(root, "sys/class/drm/card0/device", file))
      }
      const { facts, findings } = yield* (yield* probe(root)).detect
      assert.strictEqual(facts.gpus[0]?.healthProblem, "does not answer its driver")
      assert.isTrue(facts.gpus[1]?.healthy)
      assert.deepStrictEqual(findings.map(({ code, subject }) => [code, subject]), [["amd.gpu-unresponsive", "gpu 0"]])
    }))

  it.scoped("reports cards on the bus that the driver does not hold", () =>
    Effect.gen(function*() {
      const files = tree("amd-two-cards")
      const bus = Object.fromEntries(Object.entries(files).filter(([file]) => file.includes("/bus/pci/")))
      const root = yield* machine({ ...bus, "/sys/bus/pci/devices/0000:03:00.0/driver": "-> ../../drivers/vfio-pci" })
      const { facts, findings } = yield* (yield* probe(root)).detect
      assert.deepStrictEqual(facts.gpus, [])
      assert.deepStrictEqual(findings.map(({ code, message }) => [code, /0000:\w\w:00\.0/.exec(message)?.[0]]), [
        ["amd.passed-through", "0000:03:00.0"],
        ["amd.driver-missing", "0000:43:00.0"]
      ])
    }))

  it.scopedLive("asks amd-smi for what the files lack, once", () =>
    Effect.gen(function*() {
      const files = tree("amd-two-cards")
      const root = yield* machine(
        Object.fromEntries(Object.entries(files).filter(([file]) => !/kfd|module/.test(file)))
      )
      const directory = yield* temporaryDirectory
      const output = path.join(directory, "output")
      fs.writeFileSync(output, fixture("amd/amd-smi-6.4.json"))
      fakeTool(directory, "amd-smi", `echo x >> ${directory}/calls; cat ${output}`)
      const amd = yield* probe(root, directory)
      for (let round = 0; round < 3; round++) {
        const [card] = (yield* amd.detect).facts.gpus
        assert.deepInclude({ ...card }, {
          model: "AMD Radeon PRO W7900",
          computeCapability: "gfx1100",
          driverVersion: "6.12.12"
        })
      }
      assert.strictEqual(fs.readFileSync(path.join(directory, "calls"), "utf8"), "x\n")
    }))

  it.scopedLive("does not need amd-smi: one that fails costs a name", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("amd-two-cards"))
      const directory = yield* temporaryDirectory
      fakeTool(directory, "amd-smi", "echo 'Traceback (most recent call last):' >&2; exit 1")
      const { facts, findings } = yield* (yield* probe(root, directory)).detect
      assert.lengthOf(facts.gpus, 2)
      assert.strictEqual(facts.gpus[0]?.model, "AMD GPU 1002:744c")
      assert.deepStrictEqual(findings.map(({ code, message }) => [code, message]), [
        ["tool.failed", "amd-smi failed with exit code 1: Traceback (most recent call last):"]
      ])
    }))

  it("reads both forms of amd-smi's JSON", () => {
    assert.deepStrictEqual(parseAmdSmi(fixture("amd/amd-smi-6.4.json")), [{
      address: "0000:03:00.0",
      model: "AMD Radeon PRO W7900",
      gfx: "gfx1100",
      driverVersion: "6.12.12",
      memoryTotalBytes: 49_136 * 1024 ** 2
    }])
    assert.deepStrictEqual(parseAmdSmi(fixture("amd/amd-smi-7.0.json")), [{
      gfx: "gfx90a",
      memoryTotalBytes: 65_520 * 1024 ** 2
    }])
    assert.isUndefined(parseAmdSmi("ERROR: no GPU"))
  })

  it("writes architectures as AMD does", () => {
    assert.deepStrictEqual([90_402, 90_010, 110_000, 110_501, 100_300, 0, 999, undefined].map(gfxName), [
      "gfx942",
      "gfx90a",
      "gfx1100",
      "gfx1151",
      "gfx1030",
      undefined,
      undefined,
      undefined
    ])
  })

  it("makes nothing impossible of any JSON or properties", () => {
    FastCheck.assert(FastCheck.property(FastCheck.oneof(FastCheck.string(), FastCheck.json()), (text) => {
      parseAmdSmi(text)
      parseKfdNode(text)
    }))
    const card = FastCheck.record({
      asic: FastCheck.anything(),
      bus: FastCheck.anything(),
      vram: FastCheck.record({ size: FastCheck.anything() })
    })
    FastCheck.assert(FastCheck.property(FastCheck.array(card), (cards) => {
      for (
        const found of parseAmdSmi(JSON.stringify(cards, (_, value) => typeof value === "bigint" ? 1 : value)) ?? []
      ) {
        assert.isTrue(found.memoryTotalBytes === undefined || Number.isFinite(found.memoryTotalBytes))
      }
    }))
  })

  it.scoped("has no impossible card, whatever the files say", () =>
    Effect.gen(function*() {
      const isGpu = matches(GpuInfo)
      const root = yield* machine(tree("amd-two-apus"))
      const amd = yield* probe(root)
      const names = [
        "mem_info_vram_total",
        "mem_info_vram_used",
        "mem_info_gtt_total",
        "gpu_busy_percent",
        "hwmon/hwmon5/temp1_input",
        "hwmon/hwmon5/power1_input"
      ]
      const values = FastCheck.sample(
        FastCheck.array(
          FastCheck.oneof(
            FastCheck.integer().map(String),
            FastCheck.string(),
            FastCheck.constant("18446744073709551615")
          ),
          {
            minLength: names.length,
            maxLength: names.length
          }
        ),
        60
      )
      for (const round of values) {
        names.forEach((name, index) =>
          fs.writeFileSync(path.join(root, "sys/class/drm/card1/device", name), round[index] ?? "")
        )
        for (const gpu of (yield* amd.detect).facts.gpus) assert.isTrue(isGpu(gpu))
      }
    }))
})
