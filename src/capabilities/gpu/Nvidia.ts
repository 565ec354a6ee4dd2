/**
 * NVIDIA's GPUs, by `nvidia-smi`: one process for all GPUs at each refresh, and one for who uses them where what they use
 * has changed, or half a minute has passed. Where GPUs are cut up (MIG), a third one once a minute lists the pieces.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { known, unchecked } from "../../node/Fields.js"
import { decimal, wholeNumber } from "../Numbers.js"
import * as Printable from "../../text/Printable.js"
import type { DeviceFiles } from "../Files.js"
import { finding, type FindingCode } from "../../node/Findings.js"
import { Finding, type GpuInfo, GpuProcess, MigInstance } from "../../node/NodeCapabilities.js"
import type { Reading } from "../Probe.js"
import type { ToolFailed, Tools } from "../../process/Tool.js"
import { describeGpu, silenced, timeLeft, toolFinding } from "./Gpu.js"
import { readJetson } from "./Jetson.js"
import { pciAddress, type PciBus, type PciGpu } from "./PciBus.js"

/** What is asked of every GPU, in this order. */
export const allFields = [
  "index",
  "uuid",
  "pci.bus_id",
  "name",
  "driver_version",
  "compute_cap",
  "memory.total",
  "memory.used",
  "memory.free",
  "utilization.gpu",
  "temperature.gpu",
  "power.draw",
  "power.limit",
  "mig.mode.current"
] as const

export type NvidiaField = (typeof allFields)[number]

/** What every driver of the last ten years knows. */
export const oldFields: ReadonlyArray<NvidiaField> = allFields.filter((field) =>
  field !== "compute_cap" && field !== "mig.mode.current"
)

/** One GPU as the table has it. */
export interface NvidiaRow {
  readonly gpu: GpuInfo
  readonly migEnabled: boolean
  /** The fields that the driver failed to read, with what stands in their place. */
  readonly errors: ReadonlyArray<readonly [field: NvidiaField, text: string]>
}

/** A table of nvidia-smi: its rows, and the lines that are none. */
export interface NvidiaTable {
  readonly rows: ReadonlyArray<NvidiaRow>
  readonly remarks: ReadonlyArray<string>
}

const isAbsent = (text: string | undefined): boolean =>
  text === undefined || text === "" || /^\[?(n\/a|not supported|not available)\]?$/i.test(text)

const isError = (text: string): boolean => /^\[?(unknown error|gpu is lost|gpu requires reset|err!)\]?$/i.test(text)

/**
 * The columns of a line. The tool writes ", " between them, which leaves the comma of a decimal alone; a line without
 * a space in it is cut at every comma.
 */
const columnsOf = (line: string, expected: number): ReadonlyArray<string> => {
  const columns = line.split(", ")
  return (columns.length >= expected ? columns : line.split(",")).map((column) => column.trim())
}

const lines = (text: string): ReadonlyArray<string> => text.split(/\r?\n/).map((line) => line.trim())

/** Drops what follows the last line's end: a tool that died may have died in the middle of a figure. */
const wholeLines = (text: string, complete: boolean): string =>
  complete ? text : text.slice(0, text.lastIndexOf("\n") + 1)

const mebibytes = (text: string | undefined): number | undefined => {
  const value = decimal(text)
  return value === undefined ? undefined : value * 1024 * 1024
}

const problemOf = (errors: NvidiaRow["errors"]): string | undefined => {
  const texts = errors.map(([, text]) => text)
  if (texts.some((text) => /lost/i.test(text))) return "fell off the bus"
  if (texts.some((text) => /requires reset/i.test(text))) return "must be reset"
  return errors.some(([field]) => field.startsWith("memory.")) || errors.length >= 3
    ? "does not tell its figures"
    : undefined
}

const parseRow = (line: string, fields: ReadonlyArray<NvidiaField>): NvidiaRow | undefined => {
  const columns = columnsOf(line, fields.length)
  if (columns.length < fields.length) return undefined
  const cell = (field: NvidiaField): string | undefined => {
    const position = fields.indexOf(field)
    return position < 0 ? undefined : columns[position]
  }
  const index = wholeNumber(cell("index"))
  const name = cell("name")
  if (index === undefined || index > 1023 || name === undefined) return undefined
  const errors = fields.flatMap((field) => {
    const text = cell(field)
    return text !== undefined && isError(text) ? [[field, text] as const] : []
  })
  const value = (field: NvidiaField) => {
    const text = cell(field)
    return text === undefined || isAbsent(text) || isError(text) ? undefined : Printable.label(text)
  }
  const capability = value("compute_cap")
  const memory = (["memory.total", "memory.used", "memory.free"] as const).map(cell)
  return {
    gpu: describeGpu({
      vendor: "nvidia",
      model: value("name"),
      uuid: value("uuid"),
      index,
      pciAddress: pciAddress(cell("pci.bus_id")),
      memoryTotalBytes: mebibytes(value("memory.total")),
      memoryUsedBytes: mebibytes(value("memory.used")),
      memoryFreeBytes: mebibytes(value("memory.free")),
      // What has no memory of its own says so; what cannot be read says something else.
      unifiedMemory: memory.every((text) => text !== undefined && text !== "" && isAbsent(text)),
      utilizationPercent: decimal(value("utilization.gpu")),
      temperatureCelsius: decimal(value("temperature.gpu")),
      powerDrawWatts: decimal(value("power.draw")),
      powerLimitWatts: decimal(value("power.limit")),
      driverVersion: value("driver_version"),
      computeCapability: capability !== undefined && /^\d{1,3}\.\d{1,2}$/.test(capability) ? capability : undefined,
      healthProblem: problemOf(errors)
    }),
    migEnabled: /^enabled$/i.test(cell("mig.mode.current") ?? ""),
    errors
  }
}

/**
 * Reads `--query-gpu=... --format=csv,noheader,nounits`. Columns beyond those asked for are left alone; a line that is
 * no row is a remark. Pass `complete: false` for the output of a tool that did not end by itself.
 */
export const parseTable = (text: string, fields: ReadonlyArray<NvidiaField>, complete = true): NvidiaTable => {
  const rows = new Map<number, NvidiaRow>()
  const remarks: Array<string> = []
  for (const line of lines(wholeLines(text, complete))) {
    if (line === "") continue
    const row = parseRow(line, fields)
    const index = row?.gpu.index
    if (row === undefined || index === undefined || rows.has(index)) remarks.push(line)
    else rows.set(index, row)
    if (remarks.length + rows.size >= 2048) break
  }
  return { rows: [...rows.values()], remarks }
}

/** A program that uses a GPU, by the UUID of the GPU or of one of its MIG instances. */
export interface NvidiaProcess {
  readonly gpuUuid: string
  readonly process: GpuProcess
}

/** As many as are reported in all. */
const maxProcesses = 1024

/** How long it is believed that the same programs use the same memory, in milliseconds. */
const processesGoodFor = 30_000

/** Reads `--query-compute-apps=gpu_uuid,pid,process_name,used_memory --format=csv,noheader,nounits`. */
export const parseProcesses = (text: string, complete = true): ReadonlyArray<NvidiaProcess> => {
  const found = new Map<string, NvidiaProcess>()
  for (const line of lines(wholeLines(text, complete))) {
    const columns = columnsOf(line, 4)
    const [gpuUuid, pidText] = columns
    const pid = wholeNumber(pidText)
    if (columns.length < 4 || gpuUuid === undefined || !/^(GPU|MIG)-/.test(gpuUuid) || pid === undefined) continue
    // The name may have commas in it; what comes last is the memory.
    const path = columns.slice(2, -1).join(", ")
    const name = path.startsWith("[") ? undefined : Printable.label(path.split(/[/\\]/).at(-1))
    const used = mebibytes(columns.at(-1))
    found.set(`${gpuUuid} ${pid}`, {
      gpuUuid,
      process: new GpuProcess(
        known({
          pid,
          name: name ?? "unknown",
          memoryUsedBytes: used === undefined || used > 2 ** 50 ? undefined : Math.round(used)
        }),
        unchecked
      )
    })
    if (found.size >= maxProcesses) break
  }
  return [...found.values()]
}

/** A MIG instance, and the GPU that it is a piece of. */
export interface NvidiaMig {
  readonly gpuUuid: string
  readonly instance: MigInstance
}

/** Reads the MIG instances from `nvidia-smi -L`. */
export const parseMigList = (text: string): ReadonlyArray<NvidiaMig> => {
  const found: Array<NvidiaMig> = []
  let gpuUuid: string | undefined
  for (const line of lines(text)) {
    const gpu = /^GPU \d+: .*\(UUID: (GPU-[^)\s]{1,128})\)$/.exec(line)?.[1]
    if (/^GPU \d+:/.test(line)) gpuUuid = gpu
    const [, profile, uuid] = /^MIG (\S{1,32})\s+Device\s+\d+: \(UUID: (MIG-[^)\s]{1,128})\)$/.exec(line) ?? []
    if (gpuUuid === undefined || profile === undefined || uuid === undefined) continue
    found.push({ gpuUuid, instance: new MigInstance({ uuid, profile }, unchecked) })
    if (found.length >= 1024) break
  }
  return found
}

/** The field that a driver does not know, from what it says with exit code 2. */
export const unknownField = (text: string): string | undefined =>
  /Field "([^"]{1,64})" is not a valid field to query/.exec(text)?.[1]

type Diagnosis = Omit<Parameters<typeof finding>[0], "subject">

const reload = "Reboot, or stop everything that uses the GPUs and reload the driver (nvidia_uvm, nvidia_drm, "
  + "nvidia_modeset, nvidia)."

/** What is wrong by what the tool says; the first that fits counts. */
const diagnoses: ReadonlyArray<readonly [pattern: RegExp, exitCode: number | undefined, diagnosis: Diagnosis]> = [
  [/driver\/library version mismatch/i, 18, {
    code: "nvidia.driver-mismatch",
    severity: "error",
    message: "The kernel runs another version of NVIDIA's driver than the one that is installed "
      + "(driver/library version mismatch).",
    remedy: reload
  }],
  [/couldn't communicate with the nvidia driver|driver is not loaded/i, 9, {
    code: "nvidia.driver-not-loaded",
    severity: "error",
    message: "NVIDIA's driver is not loaded: nvidia-smi cannot reach it.",
    remedy: "Load it (modprobe nvidia); if that fails, install the driver that fits the running kernel and reboot."
  }],
  [/libnvidia-ml\.so|NVML shared library/i, 12, {
    code: "nvidia.nvml-missing",
    severity: "error",
    message: "NVIDIA's management library (libnvidia-ml) is not installed, or is not found.",
    remedy: "Install the driver's compute package; in a container, set NVIDIA_DRIVER_CAPABILITIES to include utility."
  }],
  [/function not found/i, 13, {
    code: "nvidia.nvml-too-old",
    severity: "error",
    message: "NVIDIA's management library lacks a function that this nvidia-smi wants.",
    remedy: "Install nvidia-smi and the driver in the same version."
  }],
  [/failed to initialize nvml: unknown error/i, undefined, {
    code: "nvidia.access-lost",
    severity: "error",
    message: "NVIDIA's devices cannot be opened any more (Failed to initialize NVML: Unknown Error).",
    remedy: "If this is a container, start it again: its device rules were reset while it ran. Otherwise, reboot."
  }],
  [/insufficient permissions|gpu access blocked/i, 4, {
    code: "nvidia.permission",
    severity: "error",
    message: "nvidia-smi may not open NVIDIA's devices.",
    remedy: "Let the user that runs the agent read and write /dev/nvidia* (group video, on most systems)."
  }],
  [/no devices were found/i, 6, {
    code: "nvidia.no-gpu",
    severity: "warning",
    message: "NVIDIA's driver is loaded, but finds no GPU that works.",
    remedy: "Look at the kernel's log (dmesg | grep -i nvrm) for why it gave up on the GPU."
  }],
  [/fallen off the bus|gpu is lost|unable to determine the device handle/i, 15, {
    code: "nvidia.gpu-lost",
    severity: "error",
    message: "A GPU fell off the bus or cannot be reached.",
    remedy: "Reboot; if it happens again, check the GPU's seat, power and cooling, and the kernel's log for Xid 79."
  }],
  [/requires reset/i, undefined, {
    code: "nvidia.needs-reset",
    severity: "error",
    message: "A GPU must be reset before it works again.",
    remedy: "Stop what uses it and run nvidia-smi --gpu-reset, or reboot."
  }],
  [/inforom is corrupted/i, 14, {
    code: "nvidia.inforom-corrupted",
    severity: "warning",
    message: "The infoROM of a GPU is corrupted: it works, but some of its facts may be wrong.",
    remedy: "Have the GPU's infoROM flashed by its vendor, or the GPU replaced under warranty."
  }],
  [/power cables?/i, 8, {
    code: "nvidia.power-cable",
    severity: "error",
    message: "A GPU's power cables are not attached as they should be.",
    remedy: "Check the power cables of the GPUs."
  }],
  [/interrupt/i, 10, {
    code: "nvidia.interrupt-issue",
    severity: "error",
    message: "The kernel has trouble with the interrupts of a GPU.",
    remedy: "Reboot; if it happens again, update the machine's firmware."
  }],
  [/not supported|not available on target/i, 3, {
    code: "nvidia.unsupported",
    severity: "warning",
    message: "A GPU does not support what nvidia-smi was asked for.",
    remedy: "Update NVIDIA's driver."
  }]
]

/** Which GPU a remark is about: by its index, its PCI address, or both. */
const aboutGpu = (remark: string): { readonly index?: number; readonly address?: string } => {
  const [, index] = /\bGPU ?(\d{1,3})(?=:? |:|$)/i.exec(remark) ?? []
  const address = pciAddress(/(?:[0-9a-f]{4,8}:)[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i.exec(remark)?.[0])
  return known({ index: wholeNumber(index), address })
}

/** A remark of nvidia-smi, understood as far as it can be. */
export interface NvidiaProblem {
  readonly finding: Finding
  /** The GPU that it is about, where it says so. */
  readonly index?: number
  readonly address?: string
}

/**
 * What the tool's remarks and its exit code mean: one problem per remark that is understood, or else one for the exit
 * code. Empty when nothing is wrong. `indexOf` knows the GPUs by their PCI address.
 */
export const diagnose = (
  remarks: ReadonlyArray<string>,
  exitCode: number | undefined,
  indexOf: (address: string) => number | undefined = () => undefined
): ReadonlyArray<NvidiaProblem> => {
  const problems = new Map<string, NvidiaProblem>()
  for (const remark of remarks) {
    const diagnosis = diagnoses.find(([pattern]) => pattern.test(remark))?.[2]
    if (diagnosis === undefined) continue
    const named = aboutGpu(remark)
    const about = known({
      address: named.address,
      index: named.index ?? (named.address === undefined ? undefined : indexOf(named.address))
    })
    const subject = about.index !== undefined
      ? `gpu ${about.index}`
      : about.address !== undefined
      ? `gpu ${about.address}`
      : "NVIDIA GPUs"
    const where = [about.index, about.address === undefined ? undefined : `at ${about.address}`]
      .filter((part) => part !== undefined).join(" ")
    const message = where === "" ? diagnosis.message : diagnosis.message.replace(/\b[Aa] GPU\b/, `GPU ${where}`)
    problems.set(`${diagnosis.code} ${subject}`, { ...about, finding: finding({ ...diagnosis, subject, message }) })
    if (problems.size >= 64) break
  }
  if (problems.size === 0 && exitCode !== undefined && exitCode !== 0) {
    const diagnosis = diagnoses.find(([, code]) => code === exitCode)?.[2]
    if (diagnosis !== undefined) return [{ finding: finding({ ...diagnosis, subject: "NVIDIA GPUs" }) }]
  }
  return [...problems.values()]
}

const subject = "NVIDIA GPUs"

/** What the tool says on a machine that has no GPU of NVIDIA's. */
const expectedWithoutGpu: ReadonlySet<string> = new Set<FindingCode>([
  "nvidia.driver-not-loaded",
  "nvidia.nvml-missing",
  "nvidia.no-gpu"
])

/** What the probe knows, and what it remembers from run to run. */
export interface NvidiaFacts {
  readonly gpus: ReadonlyArray<GpuInfo>
  /** Everything that the tool said about the programs that use them, the agent's own included. */
  readonly processes: ReadonlyArray<NvidiaProcess>
  /** What this driver is known to answer. */
  readonly fields: ReadonlyArray<NvidiaField>
  readonly mig: ReadonlyArray<NvidiaMig>
  readonly migListedAt: number | undefined
  /** When the programs were last asked for, and what the GPUs used then; absent when that must be asked again. */
  readonly processesListed: { readonly at: number; readonly used: string } | undefined
}

export const noFacts: NvidiaFacts = {
  gpus: [],
  processes: [],
  fields: allFields,
  mig: [],
  migListedAt: undefined,
  processesListed: undefined
}

export interface NvidiaOptions {
  readonly tools: Tools
  readonly bus: PciBus
  readonly files: DeviceFiles
  readonly deadline: Duration.DurationInput
  /** In front of the paths where nvidia-smi is when it is not on the `PATH`. */
  readonly root: string
  readonly platform: NodeJS.Platform
  readonly env: NodeJS.ProcessEnv
  /** Whether we run in a container, which is given GPUs or is not. */
  readonly inContainer: () => boolean
}

/** Where nvidia-smi may be. */
const candidates = ({ env, platform, root }: NvidiaOptions): ReadonlyArray<string> => {
  const prefix = root === "/" ? "" : root
  if (platform === "win32") {
    return [
      "nvidia-smi",
      `${env.SystemRoot ?? "C:\\Windows"}\\System32\\nvidia-smi.exe`,
      `${env.ProgramFiles ?? "C:\\Program Files"}\\NVIDIA Corporation\\NVSMI\\nvidia-smi.exe`
    ]
  }
  // WSL's is often on no service's PATH.
  return ["nvidia-smi", `${prefix}/usr/lib/wsl/lib/nvidia-smi`]
}

/** What the bus has that the tool does not tell of. */
const withoutTool = (gpus: ReadonlyArray<PciGpu>, inContainer: boolean): ReadonlyArray<Finding> => {
  const passed = gpus.filter((gpu) => gpu.driver === "vfio-pci")
  const held = gpus.filter((gpu) => gpu.driver === "nvidia")
  const rest = gpus.filter((gpu) => gpu.driver !== "vfio-pci" && gpu.driver !== "nvidia")
  const list = (these: ReadonlyArray<PciGpu>) => these.map((gpu) => gpu.address).join(", ")
  const findings: Array<Finding> = []
  if (passed.length > 0) {
    findings.push(finding({
      code: "nvidia.passed-through",
      severity: "info",
      subject,
      message: `Set aside for virtual machines (vfio-pci): ${list(passed)}.`,
      remedy: ""
    }))
  }
  if (held.length > 0) {
    findings.push(
      inContainer
        ? finding({
          code: "nvidia.not-in-container",
          severity: "warning",
          subject,
          message: `The machine has NVIDIA GPUs (${list(held)}), but this container was started without them.`,
          remedy: "Start the container with --gpus all, and NVIDIA_DRIVER_CAPABILITIES including utility."
        })
        : finding({
          code: "nvidia.tool-missing",
          severity: "error",
          subject,
          message: `NVIDIA's driver holds ${list(held)}, but nvidia-smi is not on the PATH.`,
          remedy: "Install the utilities of the driver (nvidia-utils, on most distributions)."
        })
    )
  }
  if (rest.length > 0) {
    const nouveau = rest.some((gpu) => gpu.driver === "nouveau")
    findings.push(finding({
      code: "nvidia.driver-missing",
      severity: "warning",
      subject,
      message: `There is no driver of NVIDIA's for ${list(rest)}${nouveau ? " (nouveau holds it)" : ""}.`,
      remedy: "Install NVIDIA's driver and reboot; inference engines cannot use the GPU without it."
    }))
  }
  return findings
}

/** On a Jetson, nvidia-smi knows that there is a GPU and little more: its files know the rest. */
const combine = (gpu: GpuInfo, jetson: GpuInfo): GpuInfo =>
  describeGpu({
    ...gpu,
    model: jetson.model,
    utilizationPercent: gpu.utilizationPercent ?? jetson.utilizationPercent,
    temperatureCelsius: gpu.temperatureCelsius ?? jetson.temperatureCelsius,
    computeCapability: gpu.computeCapability ?? jetson.computeCapability,
    driverVersion: gpu.driverVersion ?? jetson.driverVersion
  })

/** The GPUs as they are now, and what is wrong with them. */
export const detect = (options: NvidiaOptions) => (previous: NvidiaFacts): Effect.Effect<Reading<NvidiaFacts>> =>
  Effect.gen(function*() {
    const { bus, deadline, files, tools } = options
    const tool = yield* tools.find(candidates(options))
    const jetson = options.platform === "linux" ? yield* readJetson(files) : undefined
    if (tool === undefined) {
      if (jetson !== undefined) return { facts: { ...noFacts, gpus: [jetson] }, findings: [] }
      const onBus = (yield* bus.gpus).filter((gpu) => gpu.vendor === "nvidia")
      return { facts: noFacts, findings: withoutTool(onBus, options.inContainer()), goodFor: "1 minute" as const }
    }
    const left = yield* timeLeft(deadline)
    const query = (fields: ReadonlyArray<NvidiaField>) =>
      Effect.flatMap(
        left,
        (time) =>
          Effect.either(tools.run(tool, [`--query-gpu=${fields.join(",")}`, "--format=csv,noheader,nounits"], time))
      )

    // An old driver refuses the whole query for one field that it does not know: ask again without that.
    let fields = previous.fields
    let outcome = yield* query(fields)
    for (let tries = 0; tries < 3; tries++) {
      if (Either.isRight(outcome) || outcome.left._tag !== "ToolFailed" || outcome.left.exitCode !== 2) break
      const refused = unknownField(outcome.left.stdout + outcome.left.stderr)
      const fewer = fields.filter((field) => field !== refused)
      const next = tries < 2 && fewer.length < fields.length && fewer.length > 4 ? fewer : oldFields
      if (next.length >= fields.length) break
      fields = next
      outcome = yield* query(fields)
    }

    /** The tool told nothing: what is known of the GPUs stays, but none of their figures. */
    const blind = (findings: ReadonlyArray<Finding>, goodFor: Duration.DurationInput): Reading<NvidiaFacts> => ({
      facts: {
        ...previous,
        fields,
        gpus: previous.gpus.map((gpu) => silenced(gpu, findings[0]?.message ?? "nvidia-smi failed")),
        processes: [],
        processesListed: undefined
      },
      findings,
      goodFor
    })

    let failure: ToolFailed | undefined
    let stdout = ""
    let stderr = ""
    if (Either.isRight(outcome)) {
      stdout = outcome.right.stdout
      stderr = outcome.right.stderr
    } else {
      const error = outcome.left
      // It was there a moment ago: it is being replaced, or taken away.
      if (error._tag === "ToolNotFound") return { facts: noFacts, findings: [], goodFor: "10 seconds" as const }
      if (error._tag !== "ToolFailed") return blind([toolFinding(subject, error)], "30 seconds")
      failure = error
      stdout = error.stdout
      stderr = error.stderr
    }

    const table = parseTable(stdout, fields, failure === undefined || failure.exitCode !== undefined)
    const remarks = [...table.remarks, ...lines(stderr).filter((line) => line !== "")]
    const problems = diagnose(
      remarks,
      failure?.exitCode,
      (address) =>
        [...table.rows.map((row) => row.gpu), ...previous.gpus].find((gpu) => gpu.pciAddress === address)?.index
    )
    const findings = problems.map((problem) => problem.finding)
    if (failure !== undefined && findings.length === 0) findings.push(toolFinding(subject, failure))
    if (table.rows.length === 0) {
      const onBus = (yield* bus.gpus).filter((gpu) => gpu.vendor === "nvidia" && gpu.driver !== "vfio-pci")
      if (jetson !== undefined) return { facts: { ...noFacts, gpus: [jetson] }, findings }
      if (findings.length === 0 && remarks.length > 0) {
        findings.push(finding({
          code: "tool.unexpected-output",
          severity: "error",
          subject,
          message: `nvidia-smi printed something else than its table: ${Printable.label(remarks[0], 120) ?? ""}`,
          remedy: "Run nvidia-smi by hand, and make sure that it is NVIDIA's."
        }))
      }
      if (findings.length === 0) {
        // It ran, and has nothing to tell: no GPU.
        return { facts: { ...noFacts, fields }, findings: [], goodFor: "10 seconds" as const }
      }
      if (previous.gpus.length > 0 || onBus.length > 0 || options.platform !== "linux") {
        return blind(findings, "10 seconds")
      }
      if (!findings.every((found) => expectedWithoutGpu.has(found.code))) return blind(findings, "10 seconds")
      // The tool is installed on a machine that has no such GPU: nothing to worry about, nothing to ask often.
      const harmless = findings.map((found) => new Finding({ ...found, severity: "info" }, unchecked))
      return { facts: noFacts, findings: harmless, goodFor: "1 minute" as const }
    }

    // What each GPU that is told of lacks, and those that are not told of but were, or are named as lost.
    for (const { errors, gpu } of table.rows) {
      if (errors.length === 0) continue
      const lost = gpu.healthProblem === "fell off the bus"
      const reset = gpu.healthProblem === "must be reset"
      findings.push(finding({
        code: lost ? "nvidia.gpu-lost" : reset ? "nvidia.needs-reset" : "nvidia.field-error",
        severity: gpu.healthy ? "warning" : "error",
        subject: `gpu ${gpu.index}`,
        message: gpu.healthy
          ? `GPU ${gpu.index} does not tell ${errors.map(([field]) => field).join(", ")} (${errors[0]?.[1]}).`
          : `GPU ${gpu.index} ${gpu.healthProblem} (${errors[0]?.[1]}).`,
        remedy: lost
          ? "Reboot; if it happens again, check the GPU's seat, power and cooling, and the kernel's log for Xid 79."
          : "Look at the kernel's log (dmesg | grep -i nvrm); a reset of the GPU (nvidia-smi --gpu-reset) may help."
      }))
    }
    const gpus = table.rows.map(({ gpu }) => jetson !== undefined && gpu.unifiedMemory ? combine(gpu, jetson) : gpu)
    const told = (gpu: { readonly uuid?: string | undefined; readonly pciAddress?: string | undefined }) =>
      gpus.some((other) =>
        other.uuid === gpu.uuid || (gpu.pciAddress !== undefined && other.pciAddress === gpu.pciAddress)
      )
    for (const { address, finding: { code }, index } of problems) {
      if (code !== "nvidia.gpu-lost" || (address === undefined && index === undefined)) continue
      const before = previous.gpus.find((gpu) =>
        address === undefined ? gpu.index === index : gpu.pciAddress === address
      )
      const gpu = before === undefined
        ? describeGpu({
          vendor: "nvidia",
          model: undefined,
          index,
          pciAddress: address,
          healthProblem: "fell off the bus"
        })
        : silenced(before, "fell off the bus")
      if (!told(gpu) && !gpus.some((other) => other.index === gpu.index && gpu.index !== undefined)) gpus.push(gpu)
    }
    if (failure !== undefined) {
      // A tool that died may not have come to the others.
      for (const gpu of previous.gpus) if (!told(gpu)) gpus.push(silenced(gpu, findings[0]?.message ?? "is not listed"))
    }

    const now = yield* Clock.currentTimeMillis
    let { mig, migListedAt } = previous
    const cutUp = table.rows.filter((row) => row.migEnabled)
    if (cutUp.length === 0) {
      mig = []
      migListedAt = undefined
    } else if (
      migListedAt === undefined || now < migListedAt || now - migListedAt > 60_000
    ) {
      const listed = yield* Effect.flatMap(left, (time) => Effect.either(tools.run(tool, ["-L"], time)))
      if (Either.isRight(listed)) {
        mig = parseMigList(listed.right.stdout)
        migListedAt = now
      } else if (listed.left._tag !== "ToolNotFound") {
        findings.push(finding({
          ...toolFinding("MIG instances", listed.left),
          code: "nvidia.mig-unknown",
          severity: "warning"
        }))
      }
    }
    let { processes, processesListed } = previous
    const used = gpus.map((gpu) => `${gpu.uuid} ${gpu.memoryUsedBytes}`).join()
    const isKnown = processesListed !== undefined && processesListed.used === used
      && now >= processesListed.at && now - processesListed.at < processesGoodFor
    if (!isKnown) {
      const apps = yield* Effect.flatMap(left, (time) =>
        Effect.either(tools.run(
          tool,
          ["--query-compute-apps=gpu_uuid,pid,process_name,used_memory", "--format=csv,noheader,nounits"],
          time
        )))
      processes = []
      processesListed = undefined
      if (Either.isRight(apps)) {
        processes = parseProcesses(apps.right.stdout)
        processesListed = { at: now, used }
      } else if (apps.left._tag === "ToolFailed") {
        processes = parseProcesses(apps.left.stdout, apps.left.exitCode !== undefined)
        // What is wrong with the GPUs has been told already.
        if (findings.length === 0) {
          findings.push(
            finding({ ...toolFinding(subject, apps.left), code: "nvidia.processes-unknown", severity: "info" })
          )
        }
      } else if (apps.left._tag !== "ToolNotFound") findings.push(toolFinding(subject, apps.left))
    }

    const facts = {
      gpus: gpus.sort((a, b) => (a.index ?? 1024) - (b.index ?? 1024)),
      processes,
      fields,
      mig,
      migListedAt,
      processesListed
    }
    return failure !== undefined && failure.exitCode === undefined
      ? { facts, findings, goodFor: "10 seconds" as const }
      : { facts, findings }
  })
