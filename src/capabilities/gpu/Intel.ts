/**
 * Intel's GPUs, by the files of the drivers i915 and xe, and by xpu-smi where that is installed: the files hold neither
 * memory nor utilization.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { finding } from "../../node/Findings.js"
import type { Finding, GpuInfo } from "../../node/NodeCapabilities.js"
import type { ProcessError } from "../../process/ProcessRunner.js"
import * as Printable from "../../text/Printable.js"
import type { DeviceFiles } from "../Files.js"
import * as Fingerprint from "../Fingerprint.js"
import type { Host } from "../Host.js"
import type { Reading } from "../Probe.js"
import { nameInPciIds, pciIdFiles } from "./DeviceNames.js"
import * as Drm from "./Drm.js"
import { describeGpu, type GpuFacts, notKnownYet, staleFacts, timeLeft, toolFinding } from "./Gpu.js"
import { addresses, type PciGpu, unheld } from "./PciBus.js"
import { parseDiscovery, parseStats, type XpuDevice, type XpuStats } from "./XpuSmi.js"

const subject = "Intel GPUs"

/** How often xpu-smi measures, in milliseconds: it takes a process per device, each of a good part of a second. */
const statsAge = 15_000
/** How often it is asked which devices there are, in milliseconds. */
const discoveryAge = 600_000

export interface IntelOptions extends Pick<Host, "tools" | "bus" | "platform" | "onForget"> {
  readonly deadline: Duration.DurationInput
  readonly files: DeviceFiles
}

/** What xpu-smi reported last. */
interface ToolFacts {
  readonly devices: ReadonlyArray<XpuDevice>
  /** Absent when that failed. */
  readonly discoveredAt: number | undefined
  readonly stats: ReadonlyMap<number, XpuStats>
  readonly measuredAt: number
  /** What went wrong, once: it goes wrong for every device. */
  readonly findings: ReadonlyArray<Finding>
}

const isFresh = (now: number, at: number | undefined, age: number): boolean =>
  at !== undefined && now >= at && now - at < age

const unexpectedOutput = (text: string): Finding =>
  finding({
    code: "tool.unexpected-output",
    severity: "warning",
    subject,
    message: `xpu-smi printed something other than its JSON: ${Printable.label(text, 120) ?? "nothing"}`,
    remedy: "Run xpu-smi discovery -j by hand; its service (xpumd) or the driver may be missing."
  })

/** Runs xpu-smi and parses what it prints; fails with the finding about it. */
type Run = <A>(
  args: ReadonlyArray<string>,
  parse: (text: string) => A | undefined
) => Effect.Effect<A, Finding | undefined>

const runner = (tools: Host["tools"], tool: string, left: Effect.Effect<Duration.Duration>): Run => (args, parse) =>
  Effect.flatMap(left, (time) => tools.run(tool, args, time)).pipe(
    Effect.mapError((error: ProcessError) =>
      error._tag === "ProgramNotFound" ? undefined : toolFinding(subject, error)
    ),
    Effect.flatMap(({ stdout }) => {
      const parsed = parse(stdout)
      return parsed === undefined ? Effect.fail(unexpectedOutput(stdout)) : Effect.succeed(parsed)
    })
  )

/** The devices with their details. */
const discover = (run: Run): Effect.Effect<ReadonlyArray<XpuDevice>, Finding | undefined> =>
  Effect.flatMap(
    run(["discovery", "-j"], parseDiscovery),
    (devices) =>
      Effect.forEach(devices.filter(({ id }) => id !== undefined), (device) =>
        Effect.map(
          run(["discovery", "-d", String(device.id), "-j"], (text) => parseDiscovery(text)?.[0] ?? {}),
          (details): XpuDevice => ({ ...device, ...details, ...(device.id === undefined ? {} : { id: device.id }) })
        ))
  )

/** Asks xpu-smi for what is not fresh; `undefined` where it is not installed. */
const askTool = (
  { deadline, tools }: IntelOptions,
  previous: ToolFacts | undefined
): Effect.Effect<ToolFacts | undefined> =>
  Effect.gen(function*() {
    const tool = yield* tools.find(["xpu-smi"])
    if (tool === undefined) return undefined
    const now = yield* Clock.currentTimeMillis
    if (previous !== undefined && isFresh(now, previous.measuredAt, statsAge)) return previous
    const run = runner(tools, tool, yield* timeLeft(deadline))
    const stats = new Map<number, XpuStats>()
    const isKnown = isFresh(now, previous?.discoveredAt, discoveryAge)
    let devices = previous?.devices ?? []
    let discoveredAt = isKnown ? previous?.discoveredAt : undefined
    const asked = Effect.gen(function*() {
      if (!isKnown) {
        devices = yield* discover(run)
        discoveredAt = now
      }
      for (const { id } of devices) {
        if (id !== undefined) stats.set(id, yield* run(["stats", "-d", String(id), "-j"], parseStats))
      }
      return undefined
    })
    const problem = yield* Effect.merge(asked)
    return { devices, discoveredAt, stats, measuredAt: now, findings: problem === undefined ? [] : [problem] }
  })

/** The name of a card's chip in the list of PCI devices. */
const listedName = (files: DeviceFiles, card: Drm.DrmCard) =>
  Effect.gen(function*() {
    for (const path of pciIdFiles) {
      const text = yield* files.text(path)
      if (text !== undefined) return nameInPciIds(text, card.vendor, card.device)
    }
    return undefined
  })

const modelOf = (card: Drm.DrmCard | undefined, device: XpuDevice | undefined, listed: string | undefined): string =>
  device?.model
    ?? (listed === undefined ? undefined : /^Intel/.test(listed) ? listed : `Intel ${listed}`)
    ?? `Intel GPU ${card?.device.replace(/^0x/, "8086:") ?? ""}`

/** What is measured of a card by its files. */
interface Measured {
  readonly listed: string | undefined
  readonly powerDrawWatts: number | undefined
}

/** A GPU by its files and by what xpu-smi reports of it; one of both may be missing. */
const describe = (
  files: DeviceFiles,
  card: Drm.DrmCard | undefined,
  device: XpuDevice | undefined,
  stats: XpuStats | undefined,
  { listed, powerDrawWatts }: Measured,
  index: number
): Effect.Effect<GpuInfo> =>
  Effect.gen(function*() {
    const address = card?.address ?? device?.address
    // Graphics inside the processor are on its own bus.
    const integrated = address !== undefined && /^0000:00:/.test(address)
    const total = integrated ? undefined : device?.memoryTotalBytes
    const used = integrated ? undefined : stats?.memoryUsedBytes
    return describeGpu({
      vendor: "intel",
      model: modelOf(card, device, listed),
      uuid: device?.uuid,
      index,
      pciAddress: address,
      memoryTotalBytes: total,
      memoryUsedBytes: used,
      memoryFreeBytes: total === undefined || used === undefined ? undefined : total - used,
      unifiedMemory: integrated,
      utilizationPercent: stats?.utilizationPercent,
      temperatureCelsius: stats?.temperatureCelsius
        ?? (yield* Drm.sensor(files, card, ["temp2_input", "temp1_input"], 1000)),
      powerDrawWatts: stats?.powerDrawWatts ?? powerDrawWatts,
      powerLimitWatts: yield* Drm.sensor(files, card, ["power1_max", "power1_rated_max"], 1_000_000),
      driverVersion: device?.driverVersion
    })
  })

/** What is on the bus, but not in the hands of a driver. */
const busFindings = (bus: ReadonlyArray<PciGpu>, cards: ReadonlyArray<Drm.DrmCard>): ReadonlyArray<Finding> => {
  const { missing, passedThrough } = unheld(bus, "intel", (gpu) => cards.some((card) => card.address === gpu.address))
  return [
    ...(passedThrough.length === 0 ? [] : [finding({
      code: "intel.passed-through",
      severity: "info",
      subject,
      message: `Set aside for virtual machines (vfio-pci): ${addresses(passedThrough)}.`,
      remedy: ""
    })]),
    ...(missing.length === 0 ? [] : [finding({
      code: "intel.driver-missing",
      severity: "info",
      subject,
      message: `Neither i915 nor xe holds ${addresses(missing)}.`,
      remedy: "Load the driver (modprobe xe, or i915 for older GPUs); engines cannot use the GPU without it."
    })])
  ]
}

const memoryUnknown = (gpu: GpuInfo): Finding =>
  finding({
    code: "intel.memory-unknown",
    severity: "info",
    subject: `gpu ${gpu.index}`,
    message: `It is not known how much memory ${gpu.model} has: its driver does not say.`,
    remedy: "Install xpu-smi (Intel XPU System Management Interface)."
  })

/** Power from the energy counters of cards: the difference between two looks over the time between them. */
const powerMeter = (files: DeviceFiles) => {
  const counters = new Map<string, { readonly microjoules: number; readonly at: number }>()
  return {
    reset: () => counters.clear(),
    /** Watts since the last look; `undefined` at the first one, and where the counter began again. */
    read: (card: Drm.DrmCard, now: number) =>
      Effect.map(Drm.sensor(files, card, ["energy1_input", "energy2_input"], 1), (microjoules) => {
        if (microjoules === undefined) return undefined
        const before = counters.get(card.folder)
        counters.set(card.folder, { microjoules, at: now })
        return before === undefined || now <= before.at || microjoules <= before.microjoules
          ? undefined
          : (microjoules - before.microjoules) / 1000 / (now - before.at)
      })
  }
}

/** The GPUs as they are now, and what is wrong with them. Remembers names, energy counters and what xpu-smi reported. */
export const make = (options: IntelOptions): Effect.Effect<Effect.Effect<Reading<GpuFacts>>> =>
  Effect.gen(function*() {
    const { bus, files, platform } = options
    const drm = yield* Drm.make(files, options.onForget)
    const power = powerMeter(files)
    const names = new Map<string, string | undefined>()
    let reported: ToolFacts | undefined
    options.onForget(() => {
      names.clear()
      power.reset()
      reported = undefined
    })
    return Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const cards = platform === "linux" ? yield* drm.cards("0x8086") : []
      const onBus = platform === "linux" ? yield* bus.gpus : []
      reported = yield* askTool(options, reported)
      const devices = reported?.devices ?? []
      const statsOf = (device: XpuDevice | undefined) =>
        device?.id === undefined ? undefined : reported?.stats.get(device.id)
      const gpus: Array<GpuInfo> = []
      for (const card of cards) {
        const device = devices.find(({ address }) => address !== undefined && address === card.address)
        if (!names.has(card.device)) names.set(card.device, yield* listedName(files, card))
        const measured = { listed: names.get(card.device), powerDrawWatts: yield* power.read(card, now) }
        gpus.push(yield* describe(files, card, device, statsOf(device), measured, device?.id ?? gpus.length))
      }
      for (const device of devices) {
        if (device.address === undefined || cards.some(({ address }) => address === device.address)) continue
        const measured = { listed: undefined, powerDrawWatts: undefined }
        gpus.push(yield* describe(files, undefined, device, statsOf(device), measured, device.id ?? gpus.length))
      }
      const findings = [...(reported?.findings ?? []), ...busFindings(onBus, cards)]
      const nameless = gpus.filter((gpu) => !gpu.unifiedMemory && gpu.memoryTotalBytes === undefined)
      if (findings.length === 0) findings.push(...nameless.slice(0, 1).map(memoryUnknown))
      const facts: GpuFacts = { gpus, users: new Map(), isKnown: true }
      const all = [...findings, ...(yield* files.takeFindings)]
      return gpus.length === 0 ? { facts, findings: all, goodFor: "1 minute" as const } : { facts, findings: all }
    }).pipe(Effect.withSpan("Intel.detect"))
  })

export const fingerprint = (host: Host): Effect.Effect<Fingerprint.Fingerprint<GpuFacts>> => {
  const files = host.files()
  return Effect.map(make({ ...host, files }), (detect) => ({
    subject,
    initial: notKnownYet,
    files,
    detect: () => detect,
    stale: staleFacts,
    deadline: () => Fingerprint.withTools(host.deadline)
  }))
}
