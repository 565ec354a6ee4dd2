/** The GPUs of a machine as rows of a table that is as wide as a terminal. */
import type { GpuInfo } from "../node/NodeCapabilities.js"
import * as Bytes from "../text/Bytes.js"
import { printable } from "../text/Printable.js"

/** A bar of ten cells for a part of a whole. */
export const bar = (part: number, whole: number): string => {
  const filled = whole <= 0 ? 0 : Math.min(10, Math.max(0, Math.round((part / whole) * 10)))
  return `[${"#".repeat(filled)}${".".repeat(10 - filled)}]`
}

/** `2.0 of 140 GiB`; in two units where they differ. */
export const bytesOf = (part: number, whole: number): string => {
  const [amount, unit] = Bytes.format(part).split(" ")
  return Bytes.format(whole).endsWith(` ${unit}`)
    ? `${amount} of ${Bytes.format(whole)}`
    : `${Bytes.format(part)} of ${Bytes.format(whole)}`
}

/** The first and the last characters with `…` between them: similar names differ at either end. */
export const middleCut = (text: string, width: number): string => {
  if (text.length <= width) return text
  if (width <= 1) return "…".slice(0, width)
  const tail = Math.floor((width - 1) / 2)
  return `${text.slice(0, width - 1 - tail).trimEnd()}…${text.slice(text.length - tail).trimStart()}`
}

/** Words that do not tell one model of GPU from another, those that say least first. */
const fillers = [
  /^(?:NVIDIA|AMD|Intel|Apple) /,
  /\bData Center GPU /,
  /\b(?:GeForce|Radeon|Instinct|Arc) /,
  / (?:Graphics|GPU|Edition)\b/g,
  / (?:Generation|Workstation|Blackwell|Ada|Ampere|Hopper)\b/g
]

/** How long names may be once the words that say nothing are gone, before readings are left out for them. */
const cuts = [24, 18]

/** Names as long as they are, and then shorter and shorter, as long as those that differ still do. */
const shorterNames = (names: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const different = new Set(names).size
  const steps: Array<ReadonlyArray<string>> = [names]
  let last = names
  const shorten = [
    ...fillers.map((filler) => (name: string) => name.replace(filler, "").trim() || name),
    ...cuts.map((width) => (name: string) => middleCut(name, width))
  ]
  for (const shorter of shorten) {
    const next = last.map(shorter)
    if (new Set(next).size < different) continue
    last = next
    steps.push(next)
  }
  return steps
}

const widest = (cells: ReadonlyArray<string>): number => cells.reduce((width, cell) => Math.max(width, cell.length), 0)

/** Which columns a table has. */
interface Layout {
  readonly bar: boolean
  readonly limit: boolean
  readonly power: boolean
  readonly temperature: boolean
  readonly load: boolean
}

/** From the widest to the narrowest. */
const layouts: ReadonlyArray<Layout> = [
  { bar: true, limit: true, power: true, temperature: true, load: true },
  { bar: false, limit: true, power: true, temperature: true, load: true },
  { bar: false, limit: false, power: true, temperature: true, load: true },
  { bar: false, limit: false, power: false, temperature: true, load: true },
  { bar: false, limit: false, power: false, temperature: false, load: true },
  { bar: false, limit: false, power: false, temperature: false, load: false }
]

const memoryOf = (gpu: GpuInfo, layout: Layout): string => {
  if (gpu.memoryTotalBytes === undefined) return gpu.unifiedMemory ? "system memory" : "memory unknown"
  if (gpu.memoryUsedBytes === undefined) return Bytes.format(gpu.memoryTotalBytes)
  const amount = bytesOf(gpu.memoryUsedBytes, gpu.memoryTotalBytes)
  return layout.bar ? `${bar(gpu.memoryUsedBytes, gpu.memoryTotalBytes)} ${amount}` : amount
}

const powerOf = (gpu: GpuInfo, layout: Layout): string => {
  if (gpu.powerDrawWatts === undefined || !layout.power) return ""
  const draw = Math.round(gpu.powerDrawWatts)
  return gpu.powerLimitWatts === undefined || !layout.limit
    ? `${draw} W`
    : `${draw} of ${Math.round(gpu.powerLimitWatts)} W`
}

/** The cells of a GPU's row but for its number and name. */
const cellsOf = (gpu: GpuInfo, layout: Layout): ReadonlyArray<string> => [
  gpu.healthy ? "ok" : "unhealthy",
  memoryOf(gpu, layout),
  gpu.utilizationPercent === undefined || !layout.load ? "" : `${Math.round(gpu.utilizationPercent)} % busy`,
  gpu.temperatureCelsius === undefined || !layout.temperature ? "" : `${Math.round(gpu.temperatureCelsius)} °C`,
  powerOf(gpu, layout)
]

/** Columns side by side; one in which nothing is known takes no room. */
const sideBySide = (columns: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const shown = columns.map((cells) => ({ cells, width: widest(cells) })).filter(({ width }) => width > 0)
  const rows = columns[0]?.length ?? 0
  return Array.from(
    { length: rows },
    (_, row) => shown.map(({ cells, width }) => (cells[row] ?? "").padEnd(width)).join("  ").trimEnd()
  )
}

/**
 * A row per GPU within the width. Where it is narrow, names lose the words that tell nothing, then readings are left out
 * from the right, and last names lose their middle: two different GPUs never look the same for want of room.
 */
export const render = (gpus: ReadonlyArray<GpuInfo>, width: number): ReadonlyArray<string> => {
  const names = shorterNames(gpus.map(({ model }) => printable(model)))
  const numbers = gpus.map(({ index }) => index === undefined ? "" : `${index}`)
  const table = (layout: Layout, models: ReadonlyArray<string>) => {
    const cells = gpus.map((gpu) => cellsOf(gpu, layout))
    const columns = Array.from({ length: 5 }, (_, column) => cells.map((row) => row[column] ?? ""))
    return sideBySide([numbers, models, ...columns])
  }
  let narrowest: ReadonlyArray<string> = []
  for (const layout of layouts) {
    for (const models of names) {
      narrowest = table(layout, models)
      if (widest(narrowest) <= width) return narrowest
    }
  }
  const last = layouts.at(-1)
  const models = names.at(-1) ?? []
  const excess = widest(narrowest) - width
  const room = Math.max(8, widest(models) - excess)
  return last === undefined ? narrowest : table(last, models.map((model) => middleCut(model, room)))
}

/** Lines about a GPU below its row. */
export const remarks = (gpu: GpuInfo): ReadonlyArray<string> => {
  const name = `gpu ${gpu.index ?? gpu.model}`
  return [
    ...(gpu.healthy ? [] : [`${name}: ${gpu.healthProblem ?? "unhealthy"}`]),
    ...(gpu.migInstances.length === 0
      ? []
      : [`${name}: MIG instances ${gpu.migInstances.map(({ profile }) => profile).join(", ")}`]),
    ...gpu.foreignProcesses.map((process) =>
      `${name}: ${process.name} (pid ${process.pid}) uses ${
        process.memoryUsedBytes === undefined ? "an unknown amount of memory" : Bytes.format(process.memoryUsedBytes)
      }`
    )
  ]
}
