/** The small curves of a GPU: its recent memory, load and temperature. */
import type { GpuSample } from "../../registry/GpuHistory.js"
import { type Element, h } from "./Dom.js"
import * as Format from "./Format.js"

/** A drawing's size, in units of its own: it is stretched to the place that it has. */
const width = 100
const height = 24
/** What is known of less time than this is drawn as if it were so much. */
const leastSeconds = 60

/** The time that curves are drawn for: seconds since 1970. */
export interface Span {
  readonly from: number
  readonly to: number
}

/** One span for the curves of several GPUs, until a moment; `undefined` when nothing is known of any. */
export const spanOf = (gpus: ReadonlyArray<ReadonlyArray<GpuSample>>, untilUnix: number): Span | undefined => {
  const firsts = gpus.flatMap((samples) => samples.slice(0, 1).map(([at]) => at))
  const lasts = gpus.flatMap((samples) => samples.slice(-1).map(([at]) => at))
  if (firsts.length === 0) return undefined
  const to = Math.max(untilUnix, ...lasts)
  return { from: Math.min(to - leastSeconds, ...firsts), to }
}

type Point = readonly [atUnix: number, value: number]

interface Scale extends Span {
  readonly low: number
  readonly high: number
}

const coordinate = (value: number) => Number(value.toFixed(2))

const placed = ([at, value]: Point, { from, high, low, to }: Scale): string => {
  const x = ((at - from) / (to - from)) * width
  const part = Math.min(1, Math.max(0, (value - low) / (high - low)))
  // Half a unit of room above and below, for the width of the line.
  return `${coordinate(x)} ${coordinate(0.5 + (1 - part) * (height - 1))}`
}

/** What lies between two looks that did not know the figure. */
const stretches = (samples: ReadonlyArray<GpuSample>, figure: 1 | 2 | 3): ReadonlyArray<ReadonlyArray<Point>> => {
  const found: Array<Array<Point>> = []
  let current: Array<Point> | undefined
  for (const sample of samples) {
    const value = sample[figure]
    if (value === null) {
      current = undefined
    } else if (current === undefined) {
      current = [[sample[0], value]]
      found.push(current)
    } else {
      current.push([sample[0], value])
    }
  }
  return found
}

/** `the last 15 min`. */
export const lastOf = ({ from, to }: Span): string => `the last ${Format.duration(60 * Math.round((to - from) / 60))}`

interface Figure {
  readonly name: string
  readonly of: 1 | 2 | 3
  /** The ends of the scale; what is higher or lower widens it. */
  readonly low: number
  readonly high: number
  readonly show: (least: number, most: number) => string
}

const curve = (samples: ReadonlyArray<GpuSample>, { from, to }: Span, figure: Figure) => {
  const parts = stretches(samples, figure.of)
  const values = parts.flat().map(([, value]) => value)
  if (values.length < 2) return undefined
  const [least, most] = [Math.min(...values), Math.max(...values)]
  const scale = { from, to, low: Math.min(figure.low, least), high: Math.max(figure.high, most) }
  const range = figure.show(least, most)
  const lines = parts.map((points) => `M${points.map((point) => placed(point, scale)).join("L")}`)
  const areas = parts.map((points, index) => {
    const [start, end] = [points[0], points.at(-1)].map((point) => placed([point?.[0] ?? 0, scale.low], scale))
    return `${lines[index]}L${end}L${start}Z`
  })
  return h(
    "span",
    { class: "curve" },
    h("span", { class: "small" }, `${figure.name} `, h("span", { class: "range" }, range)),
    h(
      "svg",
      {
        viewBox: `0 0 ${width} ${height}`,
        preserveAspectRatio: "none",
        role: "img",
        "aria-label": `${figure.name} in ${lastOf({ from, to })}: ${range}`
      },
      h("path", { class: "area", d: areas.join("") }),
      h("path", { class: "line", d: lines.join("") })
    )
  )
}

const fromTo = (show: (value: number) => string) => (least: number, most: number): string => {
  const [a, b] = [show(least), show(most)]
  const [[figure, unit], [, other]] = [a.split(" "), b.split(" ")]
  return a === b ? a : unit === other ? `${figure} to ${b}` : `${a} to ${b}`
}

/** The curves of a GPU; `undefined` while too little is known for any. */
export const draw = (
  samples: ReadonlyArray<GpuSample>,
  memoryTotalBytes: number | undefined,
  span: Span
): Element | undefined => {
  const last = samples.at(-1)
  if (last === undefined) return undefined
  // The last sample holds until another one arrives.
  const held: ReadonlyArray<GpuSample> = span.to > last[0]
    ? [...samples, [span.to, last[1], last[2], last[3]]]
    : samples
  const curves = [
    curve(held, span, { name: "Memory", of: 1, low: 0, high: memoryTotalBytes ?? 1, show: fromTo(Format.bytes) }),
    curve(held, span, { name: "Busy", of: 2, low: 0, high: 100, show: fromTo((value) => `${Math.round(value)} %`) }),
    curve(held, span, {
      name: "Temp.",
      of: 3,
      low: 20,
      high: 90,
      show: fromTo((value) => `${Math.round(value)} °C`)
    })
  ].filter((element) => element !== undefined)
  return curves.length === 0 ? undefined : h("span", { class: "curves" }, ...curves)
}
