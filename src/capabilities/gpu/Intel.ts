/**
 * Intel's GPUs, by the files of the drivers i915 and xe, and by xpu-smi where that is installed: the files tell
 * neither the memory nor the load.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { known } from "../../node/Fields.js"
import { bytes, decimal, wholeNumber, within } from "../Numbers.js"
import * as Printable from "../../text/Printable.js"
import type { DeviceFiles } from "../Files.js"
import { finding } from "../../node/Findings.js"
import { isObject, type JsonObject, objectsOf, parseJson, textOf } from "../Json.js"
import type { Finding, GpuInfo } from "../../node/NodeCapabilities.js"
import type { Reading } from "../Probe.js"
import type { ToolError, Tools } from "../../process/Tool.js"
import { nameInPciIds, pciIdFiles } from "./DeviceNames.js"
import type { Drm, DrmCard } from "./Drm.js"
import { describeGpu, timeLeft, toolFinding } from "./Gpu.js"
import { pciAddress, type PciBus } from "./PciBus.js"

/** What xpu-smi tells of a device; the figures are bytes, percent, degrees and watts. */
export interface XpuDevice {
  /** The tool's number for it. */
  readonly id?: number
  readonly address?: string
  readonly model?: string
  readonly uuid?: string
  readonly driverVersion?: string
  readonly memoryTotalBytes?: number
}

/** What xpu-smi measures on a device. */
export interface XpuStats {
  readonly memoryUsedBytes?: number
  readonly utilizationPercent?: number
  readonly temperatureCelsius?: number
  readonly powerDrawWatts?: number
}

/** xpu-smi writes figures as numbers or as text. */
const numberOf = (value: unknown): number | undefined =>
  within(typeof value === "number" ? value : decimal(textOf(value)), 0, 2 ** 53)

/** The object that the tool printed; `undefined` for anything else, and for what says that it failed. */
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

/** Reads `xpu-smi stats -d N -j`: the figures of the device, or else of its tiles together. */
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
  const figure = (type: string, join: (values: ReadonlyArray<number>) => number) => {
    const values = tiles.map((tile) => tile.get(type)).filter((value) => value !== undefined)
    return device.get(type) ?? (values.length > 0 ? join(values) : undefined)
  }
  const sum = (values: ReadonlyArray<number>) => values.reduce((a, b) => a + b, 0)
  const used = figure("XPUM_STATS_MEMORY_USED", sum)
  return known({
    memoryUsedBytes: used === undefined ? undefined : used * 1024 * 1024,
    utilizationPercent: figure("XPUM_STATS_GPU_UTILIZATION", (values) => sum(values) / values.length),
    temperatureCelsius: figure("XPUM_STATS_GPU_CORE_TEMPERATURE", (values) => Math.max(...values)),
    powerDrawWatts: figure("XPUM_STATS_POWER", sum)
  })
}

const subject = "Intel GPUs"

export interface IntelOptions {
  readonly files: DeviceFiles
  readonly drm: Drm
  readonly bus: PciBus
  readonly tools: Tools
  readonly deadline: Duration.DurationInput
  readonly platform: NodeJS.Platform
}

export interface IntelProbe {
  readonly detect: Effect.Effect<Reading<ReadonlyArray<GpuInfo>>>
  readonly forget: Effect.Effect<void>
}

/** How often xpu-smi measures: it takes a process per device, each of a good part of a second. */
const statsAge = 15_000
/** How often it is asked which devices there are. */
const discoveryAge = 600_000

interface Told {
  readonly devices: ReadonlyArray<XpuDevice>
  readonly discoveredAt: number
  readonly stats: ReadonlyMap<number, XpuStats>
  readonly measuredAt: number
  readonly findings: ReadonlyArray<Finding>
}

export const make = ({ bus, deadline, drm, files, platform, tools }: IntelOptions): IntelProbe => {
  let names = new Map<string, string | undefined>()
  let told: Told | undefined
  /** The energy counter of each card when it was last read: power is the difference over time. */
  let energy = new Map<string, { readonly microjoules: number; readonly at: number }>()

  const nameOf = (card: DrmCard) =>
    Effect.gen(function*() {
      if (names.has(card.device)) return names.get(card.device)
      let name: string | undefined
      for (const path of pciIdFiles) {
        const text = yield* files.text(path)
        if (text === undefined) continue
        name = nameInPciIds(text, card.vendor, card.device)
        break
      }
      names.set(card.device, name)
      return name
    })

  const number = (path: string) => Effect.map(files.line(path), wholeNumber)

  const power = (card: DrmCard, now: number) =>
    Effect.gen(function*() {
      if (card.sensors === undefined) return undefined
      const microjoules = (yield* number(`${card.sensors}/energy1_input`))
        ?? (yield* number(`${card.sensors}/energy2_input`))
      const before = energy.get(card.folder)
      if (microjoules === undefined) return undefined
      energy.set(card.folder, { microjoules, at: now })
      return before === undefined || now <= before.at || microjoules <= before.microjoules
        ? undefined
        : (microjoules - before.microjoules) / 1000 / (now - before.at)
    })

  const ask = Effect.gen(function*() {
    const tool = yield* tools.find(["xpu-smi"])
    if (tool === undefined) {
      told = undefined
      return
    }
    const now = yield* Clock.currentTimeMillis
    const fresh = (at: number | undefined, age: number) => at !== undefined && now >= at && now - at < age
    if (fresh(told?.measuredAt, statsAge)) return
    const left = yield* timeLeft(deadline)
    const findings: Array<Finding> = []
    const note = (error: ToolError) => {
      if (error._tag !== "ToolNotFound" && findings.length === 0) findings.push(toolFinding(subject, error))
    }
    const unreadable = (text: string) => {
      if (findings.length > 0) return
      findings.push(finding({
        code: "tool.unexpected-output",
        severity: "warning",
        subject,
        message: `xpu-smi printed something else than its JSON: ${Printable.label(text, 120) ?? "nothing"}`,
        remedy: "Run xpu-smi discovery -j by hand; its service (xpumd) or the driver may be missing."
      }))
    }
    const run = (args: ReadonlyArray<string>) =>
      Effect.flatMap(left, (time) => Effect.either(tools.run(tool, args, time)))
    let devices = told?.devices ?? []
    let discoveredAt = told?.discoveredAt
    if (!fresh(discoveredAt, discoveryAge)) {
      const list = yield* run(["discovery", "-j"])
      if (Either.isLeft(list)) note(list.left)
      else {
        const found = parseDiscovery(list.right.stdout)
        if (found === undefined) unreadable(list.right.stdout)
        const detailed: Array<XpuDevice> = []
        for (const device of found ?? []) {
          if (device.id === undefined) continue
          const detail = findings.length > 0 ? undefined : yield* run(["discovery", "-d", String(device.id), "-j"])
          if (detail !== undefined && Either.isLeft(detail)) note(detail.left)
          const more = detail !== undefined && Either.isRight(detail)
            ? parseDiscovery(detail.right.stdout)?.[0]
            : undefined
          detailed.push({ ...device, ...more, id: device.id })
        }
        devices = detailed
      }
      if (findings.length === 0) discoveredAt = now
    }
    const stats = new Map<number, XpuStats>()
    for (const { id } of devices) {
      // What went wrong once goes wrong for each: one deadline is enough.
      if (id === undefined || findings.length > 0) continue
      const outcome = yield* run(["stats", "-d", String(id), "-j"])
      if (Either.isLeft(outcome)) note(outcome.left)
      else {
        const found = parseStats(outcome.right.stdout)
        if (found === undefined) unreadable(outcome.right.stdout)
        else stats.set(id, found)
      }
    }
    told = { devices, discoveredAt: discoveredAt ?? -discoveryAge, stats, measuredAt: now, findings }
  })

  const describe = (card: DrmCard | undefined, device: XpuDevice | undefined, index: number, now: number) =>
    Effect.gen(function*() {
      const address = card?.address ?? device?.address
      // Graphics inside the processor are on its own bus.
      const integrated = address !== undefined && /^0000:00:/.test(address)
      const stats = device?.id === undefined ? undefined : told?.stats.get(device.id)
      const sensors = card?.sensors
      const millidegrees = sensors === undefined
        ? undefined
        : (yield* number(`${sensors}/temp2_input`)) ?? (yield* number(`${sensors}/temp1_input`))
      const limit = sensors === undefined
        ? undefined
        : (yield* number(`${sensors}/power1_max`)) ?? (yield* number(`${sensors}/power1_rated_max`))
      const measured = card === undefined ? undefined : yield* power(card, now)
      const listed = card === undefined ? undefined : yield* nameOf(card)
      const total = integrated ? undefined : device?.memoryTotalBytes
      const used = integrated ? undefined : stats?.memoryUsedBytes
      return describeGpu({
        vendor: "intel",
        model: device?.model
          ?? (listed === undefined ? undefined : /^Intel/.test(listed) ? listed : `Intel ${listed}`)
          ?? `Intel GPU ${card?.device.replace(/^0x/, "8086:") ?? ""}`,
        uuid: device?.uuid,
        index,
        pciAddress: address,
        memoryTotalBytes: total,
        memoryUsedBytes: used,
        memoryFreeBytes: total === undefined || used === undefined ? undefined : total - used,
        unifiedMemory: integrated,
        utilizationPercent: stats?.utilizationPercent,
        temperatureCelsius: stats?.temperatureCelsius ?? (millidegrees === undefined ? undefined : millidegrees / 1000),
        powerDrawWatts: stats?.powerDrawWatts ?? measured,
        powerLimitWatts: limit === undefined ? undefined : limit / 1_000_000,
        driverVersion: device?.driverVersion
      })
    })

  const detect = Effect.gen(function*() {
    const now = yield* Clock.currentTimeMillis
    const cards = platform === "linux" ? yield* drm.cards("0x8086") : []
    const onBus = platform === "linux" ? (yield* bus.gpus).filter((gpu) => gpu.vendor === "intel") : []
    yield* ask
    const findings: Array<Finding> = [...(told?.findings ?? [])]
    const passed = onBus.filter((gpu) => gpu.driver === "vfio-pci")
    const missing = onBus.filter((gpu) =>
      gpu.driver !== "vfio-pci" && !cards.some((card) => card.address === gpu.address)
    )
    if (passed.length > 0) {
      findings.push(finding({
        code: "intel.passed-through",
        severity: "info",
        subject,
        message: `Set aside for virtual machines (vfio-pci): ${passed.map((gpu) => gpu.address).join(", ")}.`,
        remedy: ""
      }))
    }
    if (missing.length > 0) {
      findings.push(finding({
        code: "intel.driver-missing",
        severity: "info",
        subject,
        message: `Neither i915 nor xe holds ${missing.map((gpu) => gpu.address).join(", ")}.`,
        remedy: "Load the driver (modprobe xe, or i915 for older GPUs); engines cannot use the GPU without it."
      }))
    }
    const devices = told?.devices ?? []
    const gpus: Array<GpuInfo> = []
    for (const card of cards) {
      const device = devices.find((other) => other.address !== undefined && other.address === card.address)
      gpus.push(yield* describe(card, device, device?.id ?? gpus.length, now))
    }
    for (const device of devices) {
      if (cards.some((card) => card.address === device.address) || device.address === undefined) continue
      gpus.push(yield* describe(undefined, device, device.id ?? gpus.length, now))
    }
    for (const gpu of gpus) {
      if (gpu.unifiedMemory || gpu.memoryTotalBytes !== undefined || findings.length > 0) continue
      findings.push(finding({
        code: "intel.memory-unknown",
        severity: "info",
        subject: `gpu ${gpu.index}`,
        message: `How much memory ${gpu.model} has is not known: its driver does not tell.`,
        remedy: "Install xpu-smi (Intel XPU System Management Interface)."
      }))
    }
    const facts: ReadonlyArray<GpuInfo> = gpus
    const all = [...findings, ...(yield* files.takeFindings)]
    return gpus.length === 0 ? { facts, findings: all, goodFor: "1 minute" as const } : { facts, findings: all }
  })

  return {
    detect,
    forget: Effect.sync(() => {
      names = new Map()
      energy = new Map()
      told = undefined
    })
  }
}
