/**
 * How the GPUs of a node did of late, for the small curves of the page: the orchestrator keeps it, and the page goes on
 * with it. Of thousands of nodes it must not take much, so that the figures are packed.
 */
import type { CapabilitiesJson } from "./NodeJson.js"

type Gpu = CapabilitiesJson["gpus"][number]

/** One look at a GPU; what is unknown is `null`. The time is the orchestrator's: seconds since 1970. */
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

/** So much of the past is kept. */
export const spanSeconds = 15 * 60
/** Samples that are nearer to each other are thinned out. */
const leastApart = 15
const most = spanSeconds / leastApart
const width = 4

/** What a GPU is known by from report to report. */
export const keyOf = (gpu: Gpu, position: number): string =>
  gpu.uuid ?? gpu.pci_address ?? `${gpu.vendor} ${gpu.index ?? position}`

const sampleOf = (gpu: Gpu, atUnix: number): GpuSample => [
  atUnix,
  gpu.memory_used_bytes ?? null,
  gpu.utilization_percent ?? null,
  gpu.temperature_celsius ?? null
]

/** The samples of one GPU: 24 bits of each figure are more than a curve can show. */
class Series {
  #figures = new Float32Array(4 * width)
  #count = 0
  /** Times are kept relative to it, so that they fit. */
  readonly #base: number

  constructor(atUnix: number) {
    this.#base = atUnix
  }

  #at(index: number): number {
    return this.#base + (this.#figures[index * width] ?? 0)
  }

  get lastAt(): number {
    return this.#at(this.#count - 1)
  }

  push([atUnix, ...figures]: GpuSample): void {
    const last = this.#count - 1
    // The latest sample always stands; what stood too near to the one before makes place for it.
    if (last >= 1 && this.#at(last) - this.#at(last - 1) < leastApart) this.#count = last
    if (this.#count === most) {
      this.#figures.copyWithin(0, width)
      this.#count -= 1
    }
    if (this.#count * width === this.#figures.length) {
      const larger = new Float32Array(Math.min(most * width, this.#figures.length * 2))
      larger.set(this.#figures)
      this.#figures = larger
    }
    this.#figures.set([atUnix - this.#base, ...figures.map((figure) => figure ?? Number.NaN)], this.#count * width)
    this.#count += 1
  }

  /** Those since a moment. */
  since(unix: number): ReadonlyArray<GpuSample> {
    const samples: Array<GpuSample> = []
    const figure = (index: number) => {
      const value = this.#figures[index] ?? Number.NaN
      return Number.isNaN(value) ? null : value
    }
    for (let index = 0; index < this.#count; index++) {
      const at = this.#at(index)
      const from = index * width
      if (at >= unix) samples.push([at, figure(from + 1), figure(from + 2), figure(from + 3)])
    }
    return samples
  }
}

/** The history of one node's GPUs. */
export class GpuHistory {
  readonly #series = new Map<string, Series>()

  /** Notes a report. A GPU that is not in it any more is forgotten when its samples are old. */
  record(gpus: ReadonlyArray<Gpu>, atUnix: number): void {
    gpus.forEach((gpu, position) => this.#push(keyOf(gpu, position), sampleOf(gpu, atUnix)))
    for (const [key, series] of this.#series) if (series.lastAt < atUnix - spanSeconds) this.#series.delete(key)
  }

  /** Takes over what is known elsewhere. */
  load({ gpus }: GpuHistoryJson): void {
    this.#series.clear()
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
    // A clock that was set back begins anew: its old samples would be in the future.
    const series = known === undefined || sample[0] < known.lastAt ? new Series(sample[0]) : known
    if (series !== known) this.#series.set(key, series)
    series.push(sample)
  }
}
