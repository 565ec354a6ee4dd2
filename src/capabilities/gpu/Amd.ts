/**
 * AMD's GPUs, by the files of the driver amdgpu, without a process. amd-smi, where it is installed, is asked once for what
 * the files of a card lack.
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { finding } from "../../node/Findings.js"
import { type Finding, type GpuInfo, GpuProcess } from "../../node/NodeCapabilities.js"
import * as Printable from "../../text/Printable.js"
import type { DeviceFiles } from "../Files.js"
import * as Fingerprint from "../Fingerprint.js"
import type { Host } from "../Host.js"
import { parseMeminfo } from "../Memory.js"
import { positiveInteger, wholeNumber } from "../Numbers.js"
import type { Reading } from "../Probe.js"
import { isApu, parseKfdNode } from "./AmdDevices.js"
import { type AmdSmiCard, parseAmdSmi } from "./AmdSmi.js"
import { amdgpuIdFiles, nameInAmdgpuIds, nameInPciIds, pciIdFiles } from "./DeviceNames.js"
import * as Drm from "./Drm.js"
import { describeGpu, type GpuFacts, noGpus, notKnownYet, staleFacts, timeLeft, toolFinding } from "./Gpu.js"
import { addresses, type PciGpu, unheld } from "./PciBus.js"
import { unifiedMemory } from "./UnifiedMemory.js"

const subject = "AMD GPUs"

/** As many users of the GPUs as are looked at. */
const maxProcesses = 256

/** What does not change of a card. */
interface CardFacts {
  readonly model: string | undefined
  readonly uuid: string | undefined
  readonly gfx: string | undefined
  /** The card's id in the compute driver. */
  readonly kfdId: string | undefined
}

/** What amd-smi reported, and what was wrong with that. */
interface ToolFacts {
  readonly cards: ReadonlyArray<AmdSmiCard>
  readonly findings: ReadonlyArray<Finding>
}

/** What is remembered of the cards until one comes, goes, or is forgotten. */
interface Known {
  readonly cards: ReadonlyMap<string, CardFacts>
  readonly driverVersion: string | undefined
}

const nothingKnown: Known = { cards: new Map(), driverVersion: undefined }

export interface AmdOptions extends Pick<Host, "tools" | "bus" | "platform" | "onForget"> {
  readonly deadline: Duration.DurationInput
  readonly files: DeviceFiles
}

/** The GPUs in the topology of the compute driver, by PCI address. */
const kfdNodes = (files: DeviceFiles) =>
  Effect.gen(function*() {
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

const firstText = (files: DeviceFiles, paths: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    for (const path of paths) {
      const text = yield* files.text(path)
      if (text !== undefined) return text
    }
    return ""
  })

const nameOf = (files: DeviceFiles, card: Drm.DrmCard) =>
  Effect.gen(function*() {
    const own = Printable.label(yield* files.line(`${card.folder}/product_name`))
    if (own !== undefined) return own
    const model = nameInAmdgpuIds(yield* firstText(files, amdgpuIdFiles), card.device, card.revision)
    if (model !== undefined) return /^AMD\b/.test(model) ? model : `AMD ${model}`
    const chip = nameInPciIds(yield* firstText(files, pciIdFiles), card.vendor, card.device)
    return chip === undefined ? undefined : `AMD ${chip}`
  })

/** Reads what does not change of the cards. */
const learn = (files: DeviceFiles, cards: ReadonlyArray<Drm.DrmCard>): Effect.Effect<Known> =>
  Effect.gen(function*() {
    const nodes = yield* kfdNodes(files)
    const known = new Map<string, CardFacts>()
    const driverVersion = Printable.label(yield* files.line("/sys/module/amdgpu/version"))
    for (const card of cards) {
      const id = yield* files.line(`${card.folder}/unique_id`)
      const node = nodes.get(card.address ?? "")
      known.set(card.folder, {
        model: yield* nameOf(files, card),
        uuid: id !== undefined && /^[0-9a-f]{1,16}$/i.test(id) && !/^0+$/.test(id)
          ? `GPU-${id.toLowerCase().padStart(16, "0")}`
          : undefined,
        gfx: node?.gfx,
        kfdId: node?.id
      })
    }
    return { cards: known, driverVersion }
  })

/** Asks amd-smi; `undefined` where it is not installed. */
const askTool = ({ deadline, tools }: AmdOptions, hasCards: boolean): Effect.Effect<ToolFacts | undefined> =>
  Effect.gen(function*() {
    const tool = yield* tools.find(["amd-smi", "/opt/rocm/bin/amd-smi"])
    if (tool === undefined) return undefined
    const left = yield* timeLeft(deadline)
    return yield* Effect.flatMap(left, (time) => tools.run(tool, ["static", "--json"], time)).pipe(
      Effect.map(({ stdout }): ToolFacts => {
        const cards = parseAmdSmi(stdout)
        return cards !== undefined ? { cards, findings: [] } : {
          cards: [],
          findings: [finding({
            code: "tool.unexpected-output",
            severity: "warning",
            subject,
            message: "amd-smi printed something other than JSON.",
            remedy: "Run amd-smi static --json by hand, and make sure that it matches the driver."
          })]
        }
      }),
      Effect.catchAll((error) =>
        Effect.succeed(
          error._tag === "ProgramNotFound"
            ? undefined
            : { cards: [], findings: hasCards ? [toolFinding(subject, error)] : [] }
        )
      )
    )
  })

/** A card as it is now. */
const readCard = (
  files: DeviceFiles,
  card: Drm.DrmCard,
  index: number,
  known: Known,
  reported: AmdSmiCard | undefined
): Effect.Effect<GpuInfo> =>
  Effect.gen(function*() {
    const number = (name: string) => Effect.map(files.line(`${card.folder}/${name}`), wholeNumber)
    const own = known.cards.get(card.folder)
    const gfx = own?.gfx ?? reported?.gfx
    const vramTotal = positiveInteger(yield* files.line(`${card.folder}/mem_info_vram_total`))
    const vramUsed = yield* number("mem_info_vram_used")
    const shared = isApu(card.device, gfx, vramTotal)
    const memory = shared
      ? unifiedMemory({
        ownTotal: vramTotal,
        ownUsed: vramUsed,
        sharedTotal: yield* number("mem_info_gtt_total"),
        sharedUsed: yield* number("mem_info_gtt_used")
      }, parseMeminfo((yield* files.text("/proc/meminfo")) ?? "").totalBytes)
      : { totalBytes: vramTotal, usedBytes: vramUsed }
    const { totalBytes, usedBytes } = memory
    return describeGpu({
      vendor: "amd",
      model: own?.model ?? reported?.model ?? `AMD GPU ${card.device.replace(/^0x/, "1002:")}`,
      uuid: own?.uuid,
      index,
      pciAddress: card.address,
      memoryTotalBytes: totalBytes,
      memoryUsedBytes: usedBytes,
      memoryFreeBytes: totalBytes === undefined || usedBytes === undefined ? undefined : totalBytes - usedBytes,
      unifiedMemory: shared,
      utilizationPercent: yield* number("gpu_busy_percent"),
      // Edge, junction, memory; data centre cards have no edge.
      temperatureCelsius: yield* Drm.sensor(files, card, ["temp1_input", "temp2_input", "temp3_input"], 1000),
      powerDrawWatts: yield* Drm.sensor(files, card, ["power1_average", "power1_input"], 1_000_000),
      powerLimitWatts: yield* Drm.sensor(files, card, ["power1_cap"], 1_000_000),
      driverVersion: known.driverVersion ?? reported?.driverVersion,
      computeCapability: gfx,
      healthProblem: card.driver === "amdgpu" && totalBytes === undefined ? "does not answer its driver" : undefined
    })
  })

/** The programs that use each card, by its PCI address. */
const readUsers = (files: DeviceFiles, cards: ReadonlyArray<Drm.DrmCard>, known: Known) =>
  Effect.gen(function*() {
    const users = new Map<string, Array<GpuProcess>>()
    const folder = "/sys/class/kfd/kfd/proc"
    for (const name of (yield* files.list(folder)).slice(0, maxProcesses)) {
      const pid = positiveInteger(name)
      if (pid === undefined) continue
      const program = Printable.label(yield* files.line(`/proc/${pid}/comm`)) ?? "unknown"
      for (const card of cards) {
        const id = known.cards.get(card.folder)?.kfdId
        if (id === undefined || card.address === undefined) continue
        const used = wholeNumber(yield* files.line(`${folder}/${pid}/vram_${id}`))
        // A program that opened the driver is listed for every card, with nothing on most of them.
        if (used === undefined || used === 0 || used > 2 ** 50) continue
        const list = users.get(card.address) ?? []
        list.push(new GpuProcess({ pid, name: program, memoryUsedBytes: used }))
        users.set(card.address, list)
      }
    }
    return users
  })

/** What is on the bus, but not in the hands of the driver. */
const busFindings = (bus: ReadonlyArray<PciGpu>, cards: ReadonlyArray<Drm.DrmCard>): ReadonlyArray<Finding> => {
  const { missing, passedThrough } = unheld(bus, "amd", (gpu) => cards.some((card) => card.address === gpu.address))
  return [
    ...(passedThrough.length === 0 ? [] : [finding({
      code: "amd.passed-through",
      severity: "info",
      subject,
      message: `Set aside for virtual machines (vfio-pci): ${addresses(passedThrough)}.`,
      remedy: ""
    })]),
    ...(missing.length === 0 ? [] : [finding({
      code: "amd.driver-missing",
      severity: "warning",
      subject,
      message: `The driver amdgpu does not hold ${addresses(missing)}.`,
      remedy: "Load it (modprobe amdgpu), or install the kernel modules and firmware for AMD GPUs, and reboot."
    })])
  ]
}

const unresponsive = (gpu: GpuInfo): Finding =>
  finding({
    code: "amd.gpu-unresponsive",
    severity: "error",
    subject: `gpu ${gpu.index}`,
    message: `GPU ${gpu.index}${
      gpu.pciAddress === undefined ? "" : ` at ${gpu.pciAddress}`
    } does not answer its driver.`,
    remedy: "Check the kernel log (dmesg | grep amdgpu); a reboot helps where a reset of the GPU failed."
  })

/** GPUs that only amd-smi knows. */
const fromToolOnly = (cards: ReadonlyArray<AmdSmiCard>): ReadonlyArray<GpuInfo> =>
  cards.map((card, index) =>
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

/** The GPUs as they are now, and what is wrong with them. Remembers what does not change. */
export const make = (options: AmdOptions): Effect.Effect<Effect.Effect<Reading<GpuFacts>>> =>
  Effect.gen(function*() {
    const { bus, files, platform } = options
    const drm = yield* Drm.make(files, options.onForget)
    let known = nothingKnown
    let reported: ToolFacts | undefined
    options.onForget(() => {
      known = nothingKnown
      reported = undefined
    })
    return Effect.gen(function*() {
      if (platform !== "linux") return { facts: noGpus, findings: [], goodFor: "1 hour" as const }
      const cards = yield* drm.cards("0x1002")
      const findings = [...busFindings(yield* bus.gpus, cards)]
      if (cards.some((card) => !known.cards.has(card.folder))) {
        reported = undefined
        known = yield* learn(files, cards)
      }
      const isLacking = cards.some((card) => {
        const own = known.cards.get(card.folder)
        return own?.model === undefined || own.gfx === undefined
      })
      if (reported === undefined && (cards.length === 0 || isLacking)) {
        reported = yield* askTool(options, cards.length > 0)
      }
      const fromTool = reported?.cards ?? []
      if (cards.length === 0) {
        return { facts: { ...noGpus, gpus: fromToolOnly(fromTool) }, findings, goodFor: "1 minute" as const }
      }
      const gpus: Array<GpuInfo> = []
      for (const [index, card] of cards.entries()) {
        const same = fromTool.find(({ address }) => address !== undefined && address === card.address)
        gpus.push(yield* readCard(files, card, index, known, same))
      }
      findings.push(...gpus.filter(({ healthy }) => !healthy).map(unresponsive))
      const users = yield* readUsers(files, cards, known)
      return {
        facts: { gpus, users, isKnown: true },
        findings: [...findings, ...(reported?.findings ?? []), ...(yield* files.takeFindings)]
      }
    }).pipe(Effect.withSpan("Amd.detect"))
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
