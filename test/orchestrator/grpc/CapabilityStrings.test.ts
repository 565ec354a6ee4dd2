import { assert, describe, it } from "@effect/vitest"
import { CpuInfo, OsInfo } from "../../../src/node/NodeCapabilities.js"
import * as CapabilityStrings from "../../../src/orchestrator/grpc/CapabilityStrings.js"
import * as Machines from "../../support/Machines.js"

const { gib, gpu, machine } = Machines

describe("the descriptions that dashboards print", () => {
  it("say what a machine without a GPU is", () => {
    const described = CapabilityStrings.of(
      machine({ memory: Machines.memory({ totalBytes: Math.round(23.54 * gib) }) })
    )
    assert.deepStrictEqual(described, {
      cpu: "8 cores",
      memory: "23.54 GB",
      os: "linux/amd64",
      gpuType: "No GPU detected",
      gpuVramTotal: "N/A",
      gpuVramAvailable: "N/A",
      gpuVramUsed: "N/A",
      gpuTemperature: "N/A",
      gpuPowerUsage: "N/A"
    })
  })

  it("say what a GPU is and does", () => {
    const described = CapabilityStrings.of(machine({
      gpus: [gpu({
        memoryTotalBytes: Math.round(140.4 * gib),
        memoryUsedBytes: Math.round(2.2 * gib),
        memoryFreeBytes: Math.round(138.2 * gib),
        temperatureCelsius: 33,
        powerDrawWatts: 75.2
      })]
    }))
    assert.deepInclude(described, {
      gpuType: "NVIDIA H200",
      gpuVramTotal: "140.4 GB",
      gpuVramAvailable: "138.2 GB",
      gpuVramUsed: "2.2 GB",
      gpuTemperature: "33°C",
      gpuPowerUsage: "75.2 W"
    })
  })

  it("add several GPUs up, and have the hottest one's temperature", () => {
    const described = CapabilityStrings.of(machine({
      gpus: [gpu({ temperatureCelsius: 40 }), gpu({ temperatureCelsius: 61.6 }), gpu({ model: "NVIDIA L4" })]
    }))
    assert.deepInclude(described, {
      gpuType: "2x NVIDIA H200, NVIDIA L4",
      gpuVramTotal: "420.0 GB",
      gpuTemperature: "62°C",
      gpuPowerUsage: "225.6 W"
    })
  })

  it("do not invent a value that a GPU does not report", () => {
    const { memoryFreeBytes, memoryTotalBytes, memoryUsedBytes, powerDrawWatts, temperatureCelsius, ...silent } = gpu()
    assert.isNumber(
      [memoryFreeBytes, memoryTotalBytes, memoryUsedBytes, powerDrawWatts, temperatureCelsius].length
    )
    const described = CapabilityStrings.of({ ...machine(), gpus: [silent] })
    assert.deepInclude(described, {
      gpuType: "NVIDIA H200",
      gpuVramTotal: "N/A",
      gpuVramAvailable: "N/A",
      gpuVramUsed: "N/A",
      gpuTemperature: "N/A",
      gpuPowerUsage: "N/A"
    })
  })

  it("use Go's names of systems and architectures", () => {
    const described = CapabilityStrings.of(machine({
      cpu: new CpuInfo({ architecture: "arm64", logicalCores: 11, features: [] }),
      os: new OsInfo({ hostname: "mac", platform: "darwin", release: "24.1.0", uptimeSeconds: 1 })
    }))
    assert.deepInclude(described, { cpu: "11 cores", os: "darwin/arm64" })
  })
})
