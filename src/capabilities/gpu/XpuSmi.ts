/** Parsing what Intel's xpu-smi prints. */
import { known } from "../../node/Fields.js"
import { isObject, type JsonObject, objectsOf, parseJson, textOf } from "../Json.js"
import { bytes, decimal, within } from "../Numbers.js"
import { pciAddress } from "./PciBus.js"

/** What xpu-smi reports of a device. */
export interface XpuDevice {
  /** The tool's number for it. */
  readonly id?: number
  readonly address?: string
  readonly model?: string
  readonly uuid?: string
  readonly driverVersion?: string
  readonly memoryTotalBytes?: number
}

/** What xpu-smi measures on a device: bytes, percent, degrees Celsius, watts. */
export interface XpuStats {
  readonly memoryUsedBytes?: number
  readonly utilizationPercent?: number
  readonly temperatureCelsius?: number
  readonly powerDrawWatts?: number
}

/** xpu-smi writes numbers as numbers or as text. */
const numberOf = (value: unknown): number | undefined =>
  within(typeof value === "number" ? value : decimal(textOf(value)), 0, 2 ** 53)

/** The object that the tool printed; `undefined` for anything else, and for one that reports an error. */
const answerIn = (text: string): JsonObject | undefined => {
  const parsed = parseJson(text)
  return isObject(parsed) && !("error" in parsed) ? parsed : undefined
}

const deviceOf = (device: JsonObject): XpuDevice => {
  const id = numberOf(device.device_id)
  const uuid = textOf(device.uuid)
  return known({
    id: id !== undefined && Number.isSafeInteger(id) && id < 1024 ? id : undefined,
    address: pciAddress(textOf(device.pci_bdf_address)),
    model: textOf(device.device_name)?.replace(/\((?:R|TM)\)/g, "").replace(/\s+/g, " "),
    uuid: uuid !== undefined && /^[0-9a-f-]{16,64}$/i.test(uuid) && /[1-9a-f]/i.test(uuid) ? uuid : undefined,
    driverVersion: textOf(device.driver_version),
    memoryTotalBytes: bytes(numberOf(device.memory_physical_size_byte))
  })
}

/** Reads `xpu-smi discovery -j`, or with `-d`: one device. `undefined` for what is not its JSON. */
export const parseDiscovery = (text: string): ReadonlyArray<XpuDevice> | undefined => {
  const answer = answerIn(text)
  if (answer === undefined) return undefined
  return objectsOf(Array.isArray(answer.device_list) ? answer.device_list : [answer], 1024).map(deviceOf)
}

/** Reads `xpu-smi stats -d N -j`: the readings of the device, or else of its tiles together. */
export const parseStats = (text: string): XpuStats | undefined => {
  const answer = answerIn(text)
  if (answer === undefined) return undefined
  const metrics = (list: unknown): ReadonlyMap<string, number> => {
    const found = new Map<string, number>()
    for (const metric of objectsOf(list, 256)) {
      const type = textOf(metric.metrics_type)
      const value = numberOf(metric.value)
      if (type !== undefined && value !== undefined) found.set(type, value)
    }
    return found
  }
  const device = metrics(answer.device_level)
  const tiles = objectsOf(answer.tile_level, 16).map((tile) => metrics(tile.data_list))
  const reading = (type: string, join: (values: ReadonlyArray<number>) => number) => {
    const values = tiles.map((tile) => tile.get(type)).filter((value) => value !== undefined)
    return device.get(type) ?? (values.length > 0 ? join(values) : undefined)
  }
  const sum = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b, 0)
  const used = reading("XPUM_STATS_MEMORY_USED", sum)
  return known({
    memoryUsedBytes: used === undefined ? undefined : used * 1024 * 1024,
    utilizationPercent: reading("XPUM_STATS_GPU_UTILIZATION", (values) => sum(values) / values.length),
    temperatureCelsius: reading("XPUM_STATS_GPU_CORE_TEMPERATURE", (values) => Math.max(...values)),
    powerDrawWatts: reading("XPUM_STATS_POWER", sum)
  })
}
