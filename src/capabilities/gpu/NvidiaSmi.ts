/** Parsing what nvidia-smi prints: the table of GPUs, the programs that use them, and MIG instances. */
import { known } from "../../node/Fields.js"
import { type GpuInfo, GpuProcess, MigInstance } from "../../node/NodeCapabilities.js"
import * as Printable from "../../text/Printable.js"
import { decimal, wholeNumber } from "../Numbers.js"
import { describeGpu } from "./Gpu.js"
import { pciAddress } from "./PciBus.js"

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
  /** Rows with more columns than were asked for, of which it cannot be said what belongs where. */
  readonly ambiguous: ReadonlyArray<string>
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

/** As many lines as are looked at: a table has one per GPU. */
const maxLines = 2048

/** The first lines of a text, without the white space around them. */
export const linesOf = (text: string): ReadonlyArray<string> => text.split("\n", maxLines).map((line) => line.trim())

/** Drops what follows the last line's end: a tool that died may have died in the middle of a number. */
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
    ? "does not report its readings"
    : undefined
}

/** What a cell looks like where nothing has shifted; a field that is not here may hold anything. */
const shapes: Partial<Readonly<Record<NvidiaField, RegExp>>> = {
  index: /^\d{1,4}$/,
  uuid: /^GPU-/,
  "pci.bus_id": /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i,
  driver_version: /^\d{2,4}\.\d{1,4}(?:\.\d{1,4})?$/,
  compute_cap: /^\d{1,3}\.\d{1,2}$/,
  "memory.total": /^\d/,
  "memory.used": /^\d/,
  "memory.free": /^\d/,
  "mig.mode.current": /^(?:enabled|disabled)$/i
}

const isPlausible = (cells: ReadonlyArray<string>, fields: ReadonlyArray<NvidiaField>): boolean =>
  fields.every((field, position) => {
    const cell = cells[position]
    return cell === undefined || isAbsent(cell) || isError(cell) || (shapes[field]?.test(cell) ?? true)
  })

/**
 * The cells of a line, one per field. A name may have commas in it, and a newer tool may print more columns than were
 * asked for: what is too much belongs to the name, or to the end, wherever the other cells then look like what they
 * should. `"ambiguous"` when neither fits; `undefined` when there are too few.
 */
const cellsOf = (
  line: string,
  fields: ReadonlyArray<NvidiaField>
): ReadonlyArray<string> | "ambiguous" | undefined => {
  const columns = columnsOf(line, fields.length)
  const surplus = columns.length - fields.length
  if (surplus <= 0) return surplus === 0 ? columns : undefined
  const name = fields.indexOf("name")
  const joined = columns.slice(name, name + surplus + 1).join(", ")
  const candidates = [
    [...columns.slice(0, name), joined, ...columns.slice(name + surplus + 1)],
    columns.slice(0, fields.length)
  ]
  return candidates.find((cells) => isPlausible(cells, fields)) ?? "ambiguous"
}

const parseRow = (
  cells: ReadonlyArray<string>,
  fields: ReadonlyArray<NvidiaField>
): NvidiaRow | undefined => {
  const cell = (field: NvidiaField): string | undefined => {
    const position = fields.indexOf(field)
    return position < 0 ? undefined : cells[position]
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
 * Reads `--query-gpu=... --format=csv,noheader,nounits`. A line that is no row is a remark. Pass `complete: false` for the
 * output of a tool that was killed.
 */
export const parseTable = (text: string, fields: ReadonlyArray<NvidiaField>, complete = true): NvidiaTable => {
  const rows = new Map<number, NvidiaRow>()
  const ambiguous: Array<string> = []
  const remarks: Array<string> = []
  for (const line of linesOf(wholeLines(text, complete))) {
    if (line === "") continue
    const cells = cellsOf(line, fields)
    const isRow = cells === "ambiguous" && /^\d{1,4}, /.test(line)
    const row = cells === undefined || cells === "ambiguous" ? undefined : parseRow(cells, fields)
    const index = row?.gpu.index
    if (isRow) ambiguous.push(line)
    else if (row === undefined || index === undefined || rows.has(index)) remarks.push(line)
    else rows.set(index, row)
  }
  return { rows: [...rows.values()], ambiguous, remarks }
}

/** A program that uses a GPU, by the UUID of the GPU or of one of its MIG instances. */
export interface NvidiaProcess {
  readonly gpuUuid: string
  readonly process: GpuProcess
}

/** As many programs as are reported in all. */
const maxProcesses = 1024

/** Reads `--query-compute-apps=gpu_uuid,pid,process_name,used_memory --format=csv,noheader,nounits`. */
export const parseProcesses = (text: string, complete = true): ReadonlyArray<NvidiaProcess> => {
  const found = new Map<string, NvidiaProcess>()
  for (const line of linesOf(wholeLines(text, complete))) {
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
        })
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
  for (const line of linesOf(text)) {
    const gpu = /^GPU \d+: .*\(UUID: (GPU-[^)\s]{1,128})\)$/.exec(line)?.[1]
    if (/^GPU \d+:/.test(line)) gpuUuid = gpu
    const [, profile, uuid] = /^MIG (\S{1,32})\s+Device\s+\d+: \(UUID: (MIG-[^)\s]{1,128})\)$/.exec(line) ?? []
    if (gpuUuid === undefined || profile === undefined || uuid === undefined) continue
    found.push({ gpuUuid, instance: new MigInstance({ uuid, profile }) })
    if (found.length >= 1024) break
  }
  return found
}

/** The field that a driver does not know, from what it says with exit code 2. */
export const unknownField = (text: string): string | undefined =>
  /Field "([^"]{1,64})" is not a valid field to query/.exec(text)?.[1]
