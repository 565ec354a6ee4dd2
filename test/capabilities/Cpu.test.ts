import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import { architectureOf, parseCpuinfo, readLinuxCpu } from "../../src/capabilities/Cpu.js"
import { kernelFiles } from "../../src/capabilities/Files.js"
import { fixture, machine, tree } from "./Support.js"

const lscpu = (): string | undefined => {
  try {
    return execFileSync("lscpu", { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } })
  } catch {
    return undefined
  }
}

describe("Cpu", () => {
  it("counts sockets and cores, not threads, on a server with two sockets", () => {
    const cpu = parseCpuinfo(fixture("cpu/xeon-2-sockets.txt"))
    assert.deepStrictEqual({ ...cpu, features: [...cpu.features].sort() }, {
      model: "Intel(R) Xeon(R) Platinum 8480+ @ 2.00GHz",
      vendor: "GenuineIntel",
      sockets: 2,
      physicalCores: 8,
      logicalCores: 16,
      baseMhz: 2000,
      hypervisor: false,
      features: ["amx", "avx", "avx2", "avx512_bf16", "avx512_vnni", "avx512f", "avx_vnni", "f16c", "fma"]
    })
  })

  it("names the cores of Arm machines, big ones and little ones", () => {
    const pi = parseCpuinfo(fixture("cpu/raspberry-pi-5.txt"))
    assert.strictEqual(pi.model, "Cortex-A76")
    assert.strictEqual(pi.vendor, "ARM")
    assert.strictEqual(pi.board, "Raspberry Pi 5 Model B Rev 1.0")
    assert.deepStrictEqual([...pi.features], ["neon", "dotprod"])
    const spark = parseCpuinfo(fixture("cpu/gb10.txt"))
    assert.strictEqual(spark.model, "Cortex-A725 + Cortex-X925")
    assert.strictEqual(spark.logicalCores, 20)
    assert.includeMembers([...spark.features], ["neon", "sve", "sve2", "i8mm", "bf16"])
  })

  it.scoped("takes cores, sockets and the highest clock from the topology where cpuinfo has none", () =>
    Effect.gen(function*() {
      const root = yield* machine(tree("raspberry-pi"), { "proc/cpuinfo": fixture("cpu/raspberry-pi-5.txt") })
      const cpu = readLinuxCpu(kernelFiles(root))
      assert.strictEqual(cpu.physicalCores, 4)
      assert.strictEqual(cpu.sockets, 1)
      assert.strictEqual(cpu.logicalCores, 4)
      assert.strictEqual(cpu.maxMhz, 2400)
      assert.isUndefined(cpu.baseMhz)
    }))

  it("speaks of architectures as Go does", () => {
    assert.deepStrictEqual(["x64", "arm64", "arm", "ia32", "riscv64"].map(architectureOf), [
      "amd64",
      "arm64",
      "arm",
      "386",
      "riscv64"
    ])
  })

  it("makes nothing impossible of any text", () => {
    const line = FastCheck.tuple(
      FastCheck.constantFrom("processor", "physical id", "core id", "flags", "model name", "CPU part", "x"),
      FastCheck.string()
    ).map(([key, value]) => `${key}\t: ${value}`)
    FastCheck.assert(FastCheck.property(FastCheck.array(line).map((lines) => lines.join("\n")), (text) => {
      const cpu = parseCpuinfo(text)
      for (const count of [cpu.sockets, cpu.physicalCores, cpu.logicalCores, cpu.baseMhz]) {
        assert.isTrue(count === undefined || (Number.isSafeInteger(count) && count > 0))
      }
    }))
  })

  it.skipIf(lscpu() === undefined)("agrees with lscpu on this machine", () => {
    const text = lscpu() ?? ""
    const value = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+)`, "m").exec(text)?.[1])
    const cpu = readLinuxCpu(kernelFiles("/"))
    assert.strictEqual(cpu.logicalCores, value("CPU\\(s\\)"))
    const sockets = value("Socket\\(s\\)")
    if (cpu.sockets !== undefined) assert.strictEqual(cpu.sockets, sockets)
    if (cpu.physicalCores !== undefined) {
      assert.strictEqual(cpu.physicalCores, sockets * value("Core\\(s\\) per socket"))
    }
    const model = /^Model name:\s+(.*)$/m.exec(text)?.[1]
    if (fs.readFileSync("/proc/cpuinfo", "utf8").includes("model name")) assert.strictEqual(cpu.model, model)
  })
})
