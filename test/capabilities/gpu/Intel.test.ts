import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Intel from "../../../src/capabilities/gpu/Intel.js"
import * as XpuSmi from "../../../src/capabilities/gpu/XpuSmi.js"
import * as Host from "../../../src/capabilities/Host.js"
import { fakeTool, fixture, machine, temporaryDirectory, tree } from "../Support.js"

const probe = (root: string, directory = "/nonexistent") =>
  Effect.gen(function*() {
    const host = yield* Host.make({ root, path: directory, env: {}, platform: "linux", deadline: "20 seconds" })
    return { detect: yield* Intel.make({ ...host, files: host.files() }) }
  })

const fixtures = path.join(import.meta.dirname, "../fixtures/intel")

/** An xpu-smi that notes how it was called. */
const xpuSmi = (directory: string) =>
  fakeTool(
    directory,
    "xpu-smi",
    `echo "$*" >> ${directory}/calls
case "$*" in
  "discovery -j") cat ${fixtures}/discovery.json ;;
  "discovery -d 0 -j") cat ${fixtures}/discovery-device.json ;;
  "stats -d 0 -j") cat ${fixtures}/stats.json ;;
  *) exit 1 ;;
esac`
  )

describe("Intel", () => {
  it.scoped("knows cards by their files: graphics in the processor share its memory, others' is unknown", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("intel-two-cards"), { "usr/share/misc/pci.ids": fixture("pci.ids") })
      const { facts, findings } = yield* (yield* probe(root)).detect
      assert.deepStrictEqual(
        facts.gpus.map(({ model, pciAddress, unifiedMemory }) => [model, pciAddress, unifiedMemory]),
        [
          ["Intel Iris Xe Graphics", "0000:00:02.0", true],
          ["Intel GPU 8086:56c0", "0000:4d:00.0", false]
        ]
      )
      assert.isUndefined(facts.gpus[1]?.memoryTotalBytes)
      assert.strictEqual(facts.gpus[1]?.temperatureCelsius, 49)
      assert.strictEqual(facts.gpus[1]?.powerLimitWatts, 120)
      assert.deepStrictEqual(findings.map(({ code, subject }) => [code, subject]), [["intel.memory-unknown", "gpu 1"]])
    }))

  it.scoped("takes power from the energy between two looks", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("intel-two-cards"))
      const intel = yield* probe(root)
      assert.isUndefined((yield* intel.detect).facts.gpus[1]?.powerDrawWatts)
      yield* TestClock.adjust("10 seconds")
      fs.writeFileSync(path.join(root, "sys/class/drm/card1/device/hwmon/hwmon4/energy1_input"), "1420000000\n")
      assert.strictEqual((yield* intel.detect).facts.gpus[1]?.powerDrawWatts, 42)
      // A counter that starts anew says nothing.
      yield* TestClock.adjust("10 seconds")
      fs.writeFileSync(path.join(root, "sys/class/drm/card1/device/hwmon/hwmon4/energy1_input"), "7\n")
      assert.isUndefined((yield* intel.detect).facts.gpus[1]?.powerDrawWatts)
    }))

  it.scopedLive("takes memory and load from xpu-smi, which it does not ask at every look", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("intel-two-cards"))
      const directory = yield* temporaryDirectory
      xpuSmi(directory)
      const intel = yield* probe(root, directory)
      for (let round = 0; round < 3; round++) {
        const { facts, findings } = yield* intel.detect
        assert.deepStrictEqual([...findings], [])
        assert.deepInclude({ ...facts.gpus[1] }, {
          model: "Intel Data Center GPU Flex 170",
          uuid: "00000000-0000-004d-0000-000856c08086",
          memoryTotalBytes: 14_248_464_384,
          memoryUsedBytes: 2048.5 * 1024 ** 2,
          memoryFreeBytes: 14_248_464_384 - 2048.5 * 1024 ** 2,
          utilizationPercent: 7.5,
          temperatureCelsius: 51,
          powerDrawWatts: 43.72,
          driverVersion: "1.3.27642"
        })
      }
      assert.deepStrictEqual(fs.readFileSync(path.join(directory, "calls"), "utf8").trim().split("\n"), [
        "discovery -j",
        "discovery -d 0 -j",
        "stats -d 0 -j"
      ])
    }))

  it.scopedLive("knows the GPUs that only xpu-smi sees", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const directory = yield* temporaryDirectory
      xpuSmi(directory)
      const { facts } = yield* (yield* probe(root, directory)).detect
      assert.deepStrictEqual(facts.gpus.map(({ index, model }) => [index, model]), [[
        0,
        "Intel Data Center GPU Flex 170"
      ]])
    }))

  it.scopedLive("keeps the cards when xpu-smi fails, or prints something else", () =>
    Effect.gen(function*() {
      for (
        const [script, code] of [["exit 5", "tool.failed"], [
          "echo '{\"error\":\"no xpumd\"}'",
          "tool.unexpected-output"
        ], [
          "echo oops",
          "tool.unexpected-output"
        ]]
      ) {
        const root = yield* machine(tree("intel-two-cards"))
        const directory = yield* temporaryDirectory
        fakeTool(directory, "xpu-smi", script ?? "")
        const { facts, findings } = yield* (yield* probe(root, directory)).detect
        assert.lengthOf(facts.gpus, 2)
        assert.deepStrictEqual(findings.map((found) => found.code), [code])
      }
    }))

  it("adds up the tiles of a GPU that is measured by them", () => {
    assert.deepStrictEqual(XpuSmi.parseStats(fixture("intel/stats-tiles.json")), {
      memoryUsedBytes: 1536 * 1024 ** 2,
      utilizationPercent: 40,
      temperatureCelsius: 47,
      powerDrawWatts: 300
    })
  })

  it("makes nothing impossible of any JSON", () => {
    const value = FastCheck.oneof(
      FastCheck.double(),
      FastCheck.string(),
      FastCheck.constantFrom(-1, "N/A", null, "1e999")
    )
    const metric = FastCheck.record({
      metrics_type: FastCheck.constantFrom(
        "XPUM_STATS_MEMORY_USED",
        "XPUM_STATS_POWER",
        "XPUM_STATS_GPU_UTILIZATION",
        "x"
      ),
      value
    })
    FastCheck.assert(FastCheck.property(FastCheck.array(metric), FastCheck.json(), (metrics, other) => {
      const found = XpuSmi.parseStats(JSON.stringify({ device_level: metrics, tile_level: [{ data_list: metrics }] }))
      for (const figure of Object.values(found ?? {})) assert.isTrue(Number.isFinite(figure) && figure >= 0)
      XpuSmi.parseStats(other)
      XpuSmi.parseDiscovery(other)
      XpuSmi.parseDiscovery(`{"device_list":${other}}`)
    }))
  })
})
