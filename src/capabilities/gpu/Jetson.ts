/** The GPU of an NVIDIA Jetson, by the files of its system: many have no nvidia-smi. */
import * as Effect from "effect/Effect"
import { decimal, wholeNumber } from "../Numbers.js"
import * as Printable from "../../text/Printable.js"
import { type DeviceFiles, firstLine } from "../Files.js"
import type { GpuInfo } from "../../node/NodeCapabilities.js"
import { describeGpu } from "./Gpu.js"

/** The release of the Jetson's system from the first line of `/etc/nv_tegra_release`: `36.3.0`. */
export const parseTegraRelease = (text: string): string | undefined => {
  const match = /R(\d{1,4})\s*\(release\),\s*REVISION:\s*([\d.]{1,16})/.exec(text)
  return match === null ? undefined : `${match[1]}.${match[2]}`
}

/** The compute capability by the chip that the device tree names. */
const capabilities: ReadonlyArray<readonly [chip: string, capability: string]> = [
  ["tegra264", "11.0"],
  ["tegra234", "8.7"],
  ["tegra194", "7.2"],
  ["tegra186", "6.2"],
  ["tegra210", "5.3"]
]

/** Where the load of the GPU is, in tenths of a percent; it moved with the generations. */
const loads = [
  "/sys/devices/platform/gpu.0/load",
  "/sys/devices/platform/bus@0/17000000.gpu/load",
  "/sys/devices/platform/17000000.gpu/load",
  "/sys/devices/platform/17000000.ga10b/load",
  "/sys/devices/platform/17000000.gv11b/load",
  "/sys/devices/gpu.0/load"
]

const temperature = (files: DeviceFiles) =>
  Effect.gen(function*() {
    const zones = (yield* files.list("/sys/class/thermal")).filter((name) => name.startsWith("thermal_zone"))
    for (const zone of zones.slice(0, 64)) {
      const type = yield* files.line(`/sys/class/thermal/${zone}/type`)
      if (type === undefined || !/^gpu-?therm/i.test(type)) continue
      const millidegrees = wholeNumber(yield* files.line(`/sys/class/thermal/${zone}/temp`))
      return millidegrees === undefined ? undefined : millidegrees / 1000
    }
    return undefined
  })

/** The GPU; `undefined` on anything that is no Jetson. Its memory is the system's. */
export const readJetson = (files: DeviceFiles): Effect.Effect<GpuInfo | undefined> =>
  Effect.gen(function*() {
    const release = yield* files.text("/etc/nv_tegra_release")
    const compatible = (yield* files.text("/proc/device-tree/compatible")) ?? ""
    const chip = capabilities.find(([name]) => compatible.includes(name))
    if (release === undefined && chip === undefined) return undefined
    let load: number | undefined
    for (const file of loads) {
      load = decimal(yield* files.line(file))
      if (load !== undefined) break
    }
    return describeGpu({
      vendor: "nvidia",
      model: Printable.label(firstLine(yield* files.text("/proc/device-tree/model"))) ?? "NVIDIA Jetson",
      index: 0,
      unifiedMemory: true,
      utilizationPercent: load === undefined ? undefined : load / 10,
      temperatureCelsius: yield* temperature(files),
      driverVersion: parseTegraRelease(release ?? ""),
      computeCapability: chip?.[1]
    })
  })
