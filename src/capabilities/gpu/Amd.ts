/**
 * AMD's GPUs, by the files of the driver amdgpu, without a process. amd-smi, where it is installed, is asked once for
 * what the files of a card lack.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { known, unchecked } from "../../node/Fields.js"
import { bytes, decimal, positiveInteger, wholeNumber } from "../Numbers.js"
import * as Printable from "../../text/Printable.js"
import type { DeviceFiles } from "../Files.js"
import { finding } from "../../node/Findings.js"
import { isObject, objectOf, objectsOf, parseJson, textOf } from "../Json.js"
import { type Finding, type GpuInfo, GpuProcess } from "../../node/NodeCapabilities.js"
import type { Reading } from "../Probe.js"
import type { Tools } from "../../process/Tool.js"
import { amdgpuIdFiles, nameInAmdgpuIds, nameInPciIds, pciIdFiles } from "./DeviceNames.js"
import type { Drm, DrmCard } from "./Drm.js"
import { describeGpu, timeLeft, toolFinding } from "./Gpu.js"
import { pciAddress, type PciBus } from "./PciBus.js"

/** AMD's name for an architecture from the driver's number: 90402 is `gfx942`, 90010 `gfx90a`. */
export const gfxName = (version: number | undefined): string | undefined => {
  if (version === undefined || version < 10_000 || version > 999_999) return undefined
  const minor = Math.floor(version / 100) % 100
  const step = version % 100
  return minor > 15 || step > 15
    ? undefined
    : `gfx${Math.floor(version / 10_000)}${minor.toString(16)}${step.toString(16)}`
}

/** A GPU in the topology of the compute driver (KFD). */
export interface KfdNode {
  readonly address: string
  readonly gfx: string | undefined
}

/** Reads a node's `properties`; `undefined` for a node that is no GPU. */
export const parseKfdNode = (text: string): KfdNode | undefined => {
  const property = (name: string) => wholeNumber(new RegExp(`^${name} (\\d{1,15})$`, "m").exec(text)?.[1])
  const location = property("location_id")
  const version = property("gfx_target_version")
  if (location === undefined || version === undefined || version === 0 || location > 0xffff) return undefined
  const part = (value: number, digits: number) => value.toString(16).padStart(digits, "0")
  const domain = property("domain") ?? 0
  return {
    address: `${part(domain, 4)}:${part(location >> 8, 2)}:${part((location >> 3) & 0x1f, 2)}.${location & 7}`,
    gfx: gfxName(version)
  }
}

/** Architectures that are only in processors with graphics (APUs), which share the system's memory. */
const apuArchitectures = new Set([
  "gfx902",
  "gfx909",
  "gfx90c",
  "gfx1033",
  "gfx1035",
  "gfx1036",
  "gfx1037",
  "gfx1103",
  "gfx1150",
  "gfx1151",
  "gfx1152",
  "gfx1153"
])

/** Devices that are in APUs, for where the compute driver does not tell the architecture; 74a0 is the MI300A. */
const apuDevices = new Set([
  "1114",
  "13c0",
  "1435",
  "1506",
  "150e",
  "1586",
  "15bf",
  "15c8",
  "15d8",
  "15dd",
  "15e7",
  "1636",
  "1638",
  "163f",
  "164c",
  "164d",
  "164e",
  "1681",
  "1900",
  "1901",
  "74a0"
])

/** Whether a GPU shares the system's memory. */
export const isApu = (device: string, gfx: string | undefined, vramBytes: number | undefined): boolean =>
  apuDevices.has(device.replace(/^0x/, "").toLowerCase()) || (gfx !== undefined && apuArchitectures.has(gfx))
  // No card of the last ten years has so little: this is a carve-out.
  || (vramBytes !== undefined && vramBytes <= 512 * 1024 * 1024)

/** What amd-smi tells of a card. */
export interface AmdSmiCard {
  readonly address?: string
  readonly model?: string
  readonly gfx?: string
  readonly driverVersion?: string
  readonly memoryTotalBytes?: number
}

/** Reads `amd-smi static --json`, whose form has changed from release to release: what is not found is absent. */
export const parseAmdSmi = (text: string): ReadonlyArray<AmdSmiCard> | undefined => {
  const parsed = parseJson(text)
  const cards = Array.isArray(parsed) ? parsed : isObject(parsed) ? parsed.gpu_data ?? [parsed] : undefined
  if (!Array.isArray(cards)) return undefined
  return objectsOf(cards, 1024).flatMap((card) => {
    const asic = objectOf(card.asic)
    const bus = objectOf(card.bus)
    const driver = objectOf(card.driver)
    const vram = objectOf(card.vram)
    const size = isObject(vram.size) ? vram.size.value : vram.size
    const mebibytes = typeof size === "number" ? size : decimal(textOf(size))
    const found = known({
      address: pciAddress(textOf(bus.bdf)),
      model: textOf(asic.market_name),
      gfx: /^gfx[0-9a-f]{3,5}$/.exec(textOf(asic.target_graphics_version) ?? "")?.[0],
      driverVersion: textOf(driver.version),
      memoryTotalBytes: bytes(mebibytes === undefined ? undefined : mebibytes * 1024 * 1024)
    })
    return Object.keys(found).length === 0 ? [] : [found]
  })
}

/** What does not change of a card. */
interface CardFacts {
  readonly model: string | undefined
  readonly uuid: string | undefined
  readonly gfx: string | undefined
  /** The card's id in the compute driver. */
  readonly kfdId: string | undefined
}

export interface AmdFacts {
  readonly gpus: ReadonlyArray<GpuInfo>
  /** The programs that use each GPU, the agent's own included, by the GPU's PCI address. */
  readonly processes: ReadonlyMap<string, ReadonlyArray<GpuProcess>>
}

export const noFacts: AmdFacts = { gpus: [], processes: new Map() }

const subject = "AMD GPUs"

export interface AmdOptions {
  readonly files: DeviceFiles
  readonly drm: Drm
  readonly bus: PciBus
  readonly tools: Tools
  readonly deadline: Duration.DurationInput
  readonly platform: NodeJS.Platform
}

export interface AmdProbe {
  readonly detect: Effect.Effect<Reading<AmdFacts>>
  readonly forget: Effect.Effect<void>
}

/** As many users of the GPUs as are looked at. */
const maxProcesses = 256

export const make = ({ bus, deadline, drm, files, platform, tools }: AmdOptions): AmdProbe => {
  let facts = new Map<string, CardFacts>()
  let fromTool: { readonly cards: ReadonlyArray<AmdSmiCard>; readonly findings: ReadonlyArray<Finding> } | undefined
  let driverVersion: string | undefined

  const kfdNodes = Effect.gen(function*() {
    const folder = "/sys/class/kfd/kfd/topology/nodes"
    const nodes = new Map<string, { readonly gfx: string | undefined; readonly id: string | undefined }>()
    for (const name of (yield* files.list(folder)).slice(0, 256)) {
      const node = parseKfdNode((yield* files.text(`${folder}/${name}/properties`)) ?? "")
      if (node !== undefined) {
        nodes.set(node.address, { gfx: node.gfx, id: yield* files.line(`${folder}/${name}/gpu_id`) })
      }
    }
    return nodes
  })

  const firstText = (paths: ReadonlyArray<string>) =>
    Effect.gen(function*() {
      for (const path of paths) {
        const text = yield* files.text(path)
        if (text !== undefined) return text
      }
      return ""
    })

  const nameOf = (card: DrmCard) =>
    Effect.gen(function*() {
      const own = Printable.label(yield* files.line(`${card.folder}/product_name`))
      if (own !== undefined) return own
      const model = nameInAmdgpuIds(yield* firstText(amdgpuIdFiles), card.device, card.revision)
      if (model !== undefined) return /^AMD\b/.test(model) ? model : `AMD ${model}`
      const chip = nameInPciIds(yield* firstText(pciIdFiles), card.vendor, card.device)
      return chip === undefined ? undefined : `AMD ${chip}`
    })

  const learn = (cards: ReadonlyArray<DrmCard>) =>
    Effect.gen(function*() {
      if (cards.every((card) => facts.has(card.folder))) return
      fromTool = undefined
      const nodes = yield* kfdNodes
      const next: typeof facts = new Map()
      driverVersion = Printable.label(yield* files.line("/sys/module/amdgpu/version"))
      for (const card of cards) {
        const id = yield* files.line(`${card.folder}/unique_id`)
        const node = nodes.get(card.address ?? "")
        next.set(card.folder, {
          model: yield* nameOf(card),
          uuid: id !== undefined && /^[0-9a-f]{1,16}$/i.test(id) && !/^0+$/.test(id)
            ? `GPU-${id.toLowerCase().padStart(16, "0")}`
            : undefined,
          gfx: node?.gfx,
          kfdId: node?.id
        })
      }
      facts = next
    })

  const number = (path: string) => Effect.map(files.line(path), wholeNumber)

  /** The first sensor that answers, divided by what makes it a unit. */
  const sensor = (card: DrmCard, names: ReadonlyArray<string>, unit: number) =>
    Effect.gen(function*() {
      if (card.sensors === undefined) return undefined
      for (const name of names) {
        const value = yield* number(`${card.sensors}/${name}`)
        if (value !== undefined) return value / unit
      }
      return undefined
    })

  const readCard = (card: DrmCard, index: number) =>
    Effect.gen(function*() {
      const own = facts.get(card.folder)
      const told = fromTool?.cards.find((other) => other.address !== undefined && other.address === card.address)
      const gfx = own?.gfx ?? told?.gfx
      const vramTotal = positiveInteger(yield* files.line(`${card.folder}/mem_info_vram_total`))
      const vramUsed = yield* number(`${card.folder}/mem_info_vram_used`)
      const shared = isApu(card.device, gfx, vramTotal)
      // An APU's own memory is a carve-out: what it may take of the system's comes to it.
      const gttTotal = shared ? yield* number(`${card.folder}/mem_info_gtt_total`) : undefined
      const gttUsed = shared ? yield* number(`${card.folder}/mem_info_gtt_used`) : undefined
      const total = vramTotal === undefined ? undefined : vramTotal + (gttTotal ?? 0)
      const used = vramUsed === undefined ? undefined : vramUsed + (gttUsed ?? 0)
      return describeGpu({
        vendor: "amd",
        model: own?.model ?? told?.model ?? `AMD GPU ${card.device.replace(/^0x/, "1002:")}`,
        uuid: own?.uuid,
        index,
        pciAddress: card.address,
        memoryTotalBytes: total,
        memoryUsedBytes: used,
        memoryFreeBytes: total === undefined || used === undefined ? undefined : total - used,
        unifiedMemory: shared,
        utilizationPercent: yield* number(`${card.folder}/gpu_busy_percent`),
        // Edge, junction, memory; data centre cards have no edge.
        temperatureCelsius: yield* sensor(card, ["temp1_input", "temp2_input", "temp3_input"], 1000),
        powerDrawWatts: yield* sensor(card, ["power1_average", "power1_input"], 1_000_000),
        powerLimitWatts: yield* sensor(card, ["power1_cap"], 1_000_000),
        driverVersion: driverVersion ?? told?.driverVersion,
        computeCapability: gfx,
        healthProblem: card.driver === "amdgpu" && total === undefined ? "does not answer its driver" : undefined
      })
    })

  const users = (cards: ReadonlyArray<DrmCard>) =>
    Effect.gen(function*() {
      const processes = new Map<string, Array<GpuProcess>>()
      const folder = "/sys/class/kfd/kfd/proc"
      for (const name of (yield* files.list(folder)).slice(0, maxProcesses)) {
        const pid = positiveInteger(name)
        if (pid === undefined) continue
        const program = Printable.label(yield* files.line(`/proc/${pid}/comm`)) ?? "unknown"
        for (const card of cards) {
          const id = facts.get(card.folder)?.kfdId
          if (id === undefined || card.address === undefined) continue
          const used = yield* number(`${folder}/${pid}/vram_${id}`)
          // A program that opened the driver is listed for every card, with nothing on most of them.
          if (used === undefined || used === 0 || used > 2 ** 50) continue
          const list = processes.get(card.address) ?? []
          list.push(new GpuProcess({ pid, name: program, memoryUsedBytes: used }, unchecked))
          processes.set(card.address, list)
        }
      }
      return processes
    })

  const askTool = (cards: ReadonlyArray<DrmCard>) =>
    Effect.gen(function*() {
      if (fromTool !== undefined) return
      const lacking = cards.some((card) => {
        const own = facts.get(card.folder)
        return own?.model === undefined || own.gfx === undefined
      })
      if (cards.length > 0 && !lacking) return
      const tool = yield* tools.find(["amd-smi", "/opt/rocm/bin/amd-smi"])
      if (tool === undefined) return
      const left = yield* timeLeft(deadline)
      const outcome = yield* Effect.flatMap(left, (time) => Effect.either(tools.run(tool, ["static", "--json"], time)))
      if (Either.isRight(outcome)) {
        const found = parseAmdSmi(outcome.right.stdout)
        fromTool = {
          cards: found ?? [],
          findings: found !== undefined ? [] : [finding({
            code: "tool.unexpected-output",
            severity: "warning",
            subject,
            message: "amd-smi printed something else than JSON.",
            remedy: "Run amd-smi static --json by hand, and make sure that it fits the driver."
          })]
        }
      } else if (outcome.left._tag !== "ToolNotFound") {
        fromTool = { cards: [], findings: cards.length === 0 ? [] : [toolFinding(subject, outcome.left)] }
      }
    })

  const detect = Effect.gen(function*() {
    if (platform !== "linux") return { facts: noFacts, findings: [], goodFor: "1 hour" as const }
    const cards = yield* drm.cards("0x1002")
    const onBus = (yield* bus.gpus).filter((gpu) => gpu.vendor === "amd")
    const findings: Array<Finding> = []
    const passed = onBus.filter((gpu) => gpu.driver === "vfio-pci")
    const missing = onBus.filter((gpu) =>
      gpu.driver !== "vfio-pci" && !cards.some((card) => card.address === gpu.address)
    )
    if (passed.length > 0) {
      findings.push(finding({
        code: "amd.passed-through",
        severity: "info",
        subject,
        message: `Set aside for virtual machines (vfio-pci): ${passed.map((gpu) => gpu.address).join(", ")}.`,
        remedy: ""
      }))
    }
    if (missing.length > 0) {
      findings.push(finding({
        code: "amd.driver-missing",
        severity: "warning",
        subject,
        message: `The driver amdgpu does not hold ${missing.map((gpu) => gpu.address).join(", ")}.`,
        remedy: "Load it (modprobe amdgpu), or install the kernel's modules and firmware for AMD GPUs, and reboot."
      }))
    }
    yield* learn(cards)
    yield* askTool(cards)
    if (cards.length === 0) {
      const gpus = (fromTool?.cards ?? []).map((card, index) =>
        describeGpu({
          vendor: "amd",
          model: card.model,
          index,
          pciAddress: card.address,
          memoryTotalBytes: card.memoryTotalBytes,
          driverVersion: card.driverVersion,
          computeCapability: card.gfx
        })
      )
      return { facts: { ...noFacts, gpus }, findings, goodFor: "1 minute" as const }
    }
    const gpus: Array<GpuInfo> = []
    for (const [index, card] of cards.entries()) gpus.push(yield* readCard(card, index))
    for (const gpu of gpus) {
      if (gpu.healthy) continue
      findings.push(finding({
        code: "amd.gpu-unresponsive",
        severity: "error",
        subject: `gpu ${gpu.index}`,
        message: `GPU ${gpu.index}${
          gpu.pciAddress === undefined ? "" : ` at ${gpu.pciAddress}`
        } does not answer its driver.`,
        remedy: "Look at the kernel's log (dmesg | grep amdgpu); a reboot helps where a reset of the GPU failed."
      }))
    }
    const processes = yield* users(cards)
    return {
      facts: { gpus, processes },
      findings: [...findings, ...(fromTool?.findings ?? []), ...(yield* files.takeFindings)]
    }
  })

  return {
    detect,
    forget: Effect.sync(() => {
      facts = new Map()
      fromTool = undefined
    })
  }
}
