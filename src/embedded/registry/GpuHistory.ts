/**
 * Recent samples of a node's GPUs, for the small curves of the page: the orchestrator keeps them, and the page continues
 * them. Packed, since there may be thousands of nodes.
 */
import type { CapabilitiesJson } from "./NodeJson.js"

type Gpu = CapabilitiesJson["gpus"][number]

/** One sample of a GPU; what is unknown is `null`. The time is the orchestrator's: seconds since 1970. */
export type GpuSample = readonly [
  atUnix: number,
  memoryUsedBytes: number | null,
  utilizationPercent: number | null,
  temperatureCelsius: number | null
]

/** What `GET /api/history?node=ID` answers: the samples of each GPU by {@link keyOf}, oldest first. */
export interface GpuHistoryJson {
  readonly gpus: Readonly<Record<string, ReadonlyArray<GpuSample>>>
}

/** How far back samples go. */
export const spanSeconds = 15 * 60
/** Samples that are nearer to each other are thinned out. */
const minSpacing = 15
const maxSamples = spanSeconds / minSpacing
const width = 4

/** GPUs of one node. A report with more, or whose GPUs change their names, must not fill the memory. */
const maxSeries = 64

/** Series that may still be made, shared by those who may not have more together. */
export interface SeriesBudget {
  left: number
}

/** What a GPU is known by from report to report. */
export const keyOf = (gpu: Gpu, position: number): string =>
  gpu.uuid ?? gpu.pci_address ?? `${gpu.vendor} ${gpu.index ?? position}`

const sampleOf = (gpu: Gpu, atUnix: number): GpuSample => [
  atUnix,
  gpu.memory_used_bytes ?? null,
  gpu.utilization_percent ?? null,
  gpu.temperature_celsius ?? null
]

/** The samples of one GPU: 24 bits of each value are more than a curve can show. */
class Series {
  #values = new Float32Array(4 * width)
  #count = 0
  /** Times are kept relative to it, so that they fit. */
  readonly #base: number

  constructor(atUnix: number) {
    this.#base = atUnix
  }

  #at(index: number): number {
    return this.#base + (this.#values[index * width] ?? 0)
  }

  get lastAt(): number {
    return this.#at(this.#count - 1)
  }

  push([atUnix, ...values]: GpuSample): void {
    const last = this.#count - 1
    // The latest sample always stays; it replaces one that is too near to the one before.
    if (last >= 1 && this.#at(last) - this.#at(last - 1) < minSpacing) this.#count = last
    if (this.#count === maxSamples) {
      this.#values.copyWithin(0, width)
      this.#count -= 1
    }
    if (this.#count * width === this.#values.length) {
      const larger = new Float32Array(Math.min(maxSamples * width, this.#values.length * 2))
      larger.set(this.#values)
      this.#values = larger
    }
    this.#values.set([atUnix - this.#base, ...values.map((value) => value ?? Number.NaN)], this.#count * width)
    this.#count += 1
  }

  /** Those since a moment. */
  since(unix: number): ReadonlyArray<GpuSample> {
    const samples: Array<GpuSample> = []
    const valueAt = (index: number) => {
      const value = this.#values[index] ?? Number.NaN
      return Number.isNaN(value) ? null : value
    }
    for (let index = 0; index < this.#count; index++) {
      const at = this.#at(index)
      const from = index * width
      if (at >= unix) samples.push([at, valueAt(from + 1), valueAt(from + 2), valueAt(from + 3)])
    }
    return samples
  }
}

/** The history of one node's GPUs. */
export class GpuHistory {
  readonly #series = new Map<string, Series>()
  readonly #budget: SeriesBudget

  constructor(budget: SeriesBudget = { left: maxSeries }) {
    this.#budget = budget
  }

  /** Records a report. A GPU that is no longer in it is forgotten when its samples are old, or when space is needed. */
  record(gpus: ReadonlyArray<Gpu>, atUnix: number): void {
    for (const [key, series] of this.#series) if (series.lastAt < atUnix - spanSeconds) this.#forget(key)
    gpus.slice(0, maxSeries).forEach((gpu, position) => this.#push(keyOf(gpu, position), sampleOf(gpu, atUnix)))
  }

  clear(): void {
    for (const key of [...this.#series.keys()]) this.#forget(key)
  }

  /** Takes over what is known elsewhere. */
  load({ gpus }: GpuHistoryJson): void {
    this.clear()
    for (const [key, samples] of Object.entries(gpus)) for (const sample of samples) this.#push(key, sample)
  }

  samples(key: string, nowUnix: number): ReadonlyArray<GpuSample> {
    return this.#series.get(key)?.since(nowUnix - spanSeconds) ?? []
  }

  toJson(nowUnix: number): GpuHistoryJson {
    return { gpus: Object.fromEntries([...this.#series.keys()].map((key) => [key, this.samples(key, nowUnix)])) }
  }

  #push(key: string, sample: GpuSample): void {
    const known = this.#series.get(key)
    // A clock that was set back starts a new series: the old samples would be in the future.
    if (known !== undefined && sample[0] >= known.lastAt) return known.push(sample)
    this.#forget(key)
    if (this.#series.size >= maxSeries) this.#forget(this.#leastRecent())
    if (this.#budget.left <= 0) return
    this.#budget.left -= 1
    const series = new Series(sample[0])
    this.#series.set(key, series)
    series.push(sample)
  }

  #forget(key: string | undefined): void {
    if (key !== undefined && this.#series.delete(key)) this.#budget.left += 1
  }

  #leastRecent(): string | undefined {
    let found: readonly [key: string, at: number] | undefined
    for (const [key, { lastAt }] of this.#series) if (found === undefined || lastAt < found[1]) found = [key, lastAt]
    return found?.[0]
  }
}
