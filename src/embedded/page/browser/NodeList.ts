/** The list of nodes: their order, which are shown, and which are near enough to the window to be in the document. */
import { GpuHistory, type GpuHistoryJson } from "../../registry/GpuHistory.js"
import type { NodeJson } from "../../registry/NodeJson.js"
import { patchChildren } from "./Dom.js"
import * as NodeView from "./NodeView.js"

export type Shown = "all" | "live" | "stale"

export interface Counts {
  readonly live: number
  readonly stale: number
  /** Of those that the filter and the choice of state leave. */
  readonly shown: number
}

/** With no more nodes than this, each is shown with its details from the start. */
const fewNodes = 3
/** No more nodes than this are all in the document: for printing, and for the browser's own search. */
const alwaysDrawn = 50
/** Between two nodes, in pixels; as in the style sheet. */
const gap = 8

/** A node as it stands in the document. */
interface Box {
  readonly element: HTMLElement
  readonly details: HTMLDetailsElement
  readonly summary: HTMLElement
  readonly body: HTMLElement
}

interface Item {
  node: NodeJson
  searchable: string
  box: Box | undefined
  /** What is in the document is not what is known. */
  outdated: boolean
  /** Opened or closed by the user; by the number of nodes while undefined. */
  open: boolean | undefined
  /** When it was last in the document, in pixels. */
  height: number | undefined
  /** Not yet named by the snapshot that is arriving. */
  unconfirmed: boolean
  /** Of its GPUs; asked for when its details are first looked at. */
  history: GpuHistory | undefined
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" })

const before = (a: NodeJson, b: NodeJson): number =>
  collator.compare(a.hostname || a.id, b.hostname || b.id) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)

export interface NodeList {
  readonly set: (nodes: ReadonlyArray<NodeJson>) => void
  readonly seen: (id: string, lastSeenUnix: number) => void
  readonly remove: (ids: ReadonlyArray<string>) => void
  /** A snapshot begins: what is known stays on show, until the snapshot is complete and does not have it. */
  readonly beginSnapshot: () => void
  readonly endSnapshot: () => void
  readonly show: (state: Shown, text: string) => void
  /** Draws what depends on the time. */
  readonly tick: () => void
}

export interface NodeListOptions {
  readonly list: HTMLElement
  /** The orchestrator's clock, in seconds. */
  readonly nowUnix: () => number
  /** Is told the counts at most once per frame. */
  readonly onChange: (counts: Counts) => void
  /** How the GPUs of a node did before the page was opened; `undefined` when that cannot be found out. */
  readonly loadHistory: (id: string) => Promise<GpuHistoryJson | undefined>
}

/** Fills `list`. */
export const make = ({ list, loadHistory, nowUnix, onChange }: NodeListOptions): NodeList => {
  const items = new Map<string, Item>()
  const itemOf = new WeakMap<Element, Item>()
  /** Those that are in the document. */
  const drawn = new Set<Item>()
  /** All nodes in their order, and those of them that are shown. */
  let order: ReadonlyArray<Item> = []
  let matching: ReadonlyArray<Item> = []
  let shown: Shown = "all"
  let words: ReadonlyArray<string> = []
  /** Which of what is above is to be made anew in the next frame. */
  let unordered = false
  let unmatched = false
  let scheduled = false
  /** Of a node that was never in the document: the height of the last one that was measured, closed. */
  let usualHeight = 66

  const isOpen = (item: Item) => item.open ?? items.size <= fewNodes

  const matches = ({ node, searchable }: Item) =>
    (shown === "all" || node.stale === (shown === "stale")) && words.every((word) => searchable.includes(word))

  const drawSummary = (item: Item) => {
    if (item.box !== undefined) patchChildren(item.box.summary, NodeView.summary(item.node, nowUnix()))
  }

  const record = ({ history, node }: Item) => history?.record(node.capabilities?.gpus ?? [], node.last_seen_unix)

  const beginHistory = (item: Item) => {
    if (item.history !== undefined || (item.node.capabilities?.gpus ?? []).length === 0) return
    const history = new GpuHistory()
    item.history = history
    record(item)
    void loadHistory(item.node.id).then((past) => {
      if (past === undefined || item.history !== history) return
      history.load(past)
      record(item)
      item.outdated = true
      schedule()
    })
  }

  const draw = (item: Item, { body, details, element }: Box) => {
    element.dataset["state"] = item.node.stale ? "stale" : "live"
    drawSummary(item)
    if (details.open) beginHistory(item)
    // Of a node that is silent nothing is known after its last word.
    const untilUnix = item.node.stale ? item.node.last_seen_unix : nowUnix()
    patchChildren(body, details.open ? NodeView.details(item.node, { history: item.history, untilUnix }) : [])
    item.outdated = false
  }

  const resizes = new ResizeObserver((entries) => {
    for (const { borderBoxSize, target } of entries) {
      const item = itemOf.get(target)
      const height = borderBoxSize[0]?.blockSize
      if (item?.box === undefined || height === undefined || height === 0 || item.height === height) continue
      item.height = height
      if (!item.box.details.open) usualHeight = height
      schedule()
    }
  })

  const enter = (item: Item): Box => {
    const element = document.createElement("li")
    const details = document.createElement("details")
    const summary = document.createElement("summary")
    const body = document.createElement("div")
    element.className = "node"
    body.className = "body"
    details.open = isOpen(item)
    details.append(summary, body)
    element.append(details)
    // Told of by the click, because a `toggle` is also what opening it by program causes.
    summary.addEventListener("click", () => {
      item.open = !details.open
    })
    details.addEventListener("toggle", () => {
      item.outdated = true
      schedule()
    })
    const box = { element, details, summary, body }
    item.box = box
    itemOf.set(element, item)
    drawn.add(item)
    resizes.observe(element)
    return box
  }

  const leave = (item: Item) => {
    if (item.box === undefined) return
    resizes.unobserve(item.box.element)
    item.box.element.remove()
    item.box = undefined
    drawn.delete(item)
  }

  const heightOf = (item: Item) => (item.height ?? usualHeight) + gap

  /** Which nodes are in the window or within a window's height of it, and how much is before them and after them. */
  const nearby = () => {
    if (matching.length <= alwaysDrawn) return { first: 0, end: matching.length, above: 0, below: 0 }
    const top = -list.getBoundingClientRect().top - innerHeight
    const bottom = top + 3 * innerHeight
    let first = 0
    let end = 0
    let above = 0
    let offset = 0
    let total = 0
    matching.forEach((item, index) => {
      const height = heightOf(item)
      if (total + height <= top && index < matching.length - 1) {
        first = index + 1
        above = total + height
      }
      total += height
      if (total - height < bottom) {
        end = index + 1
        offset = total
      }
    })
    return end <= first
      ? { first, end: first + 1, above, below: 0 }
      : { first, end, above, below: total - offset }
  }

  const place = () => {
    const { above, below, end, first } = nearby()
    const near = new Set(matching.slice(first, end))
    for (const item of [...drawn]) if (!near.has(item)) leave(item)
    // Moves only what is out of place, so that nothing loses its focus.
    let next = list.firstElementChild
    let position = first
    for (const item of near) {
      position += 1
      const entered = item.box === undefined
      const box = item.box ?? enter(item)
      if (box.details.open !== isOpen(item)) box.details.open = isOpen(item)
      if (entered || item.outdated) draw(item, box)
      if (box.element === next) next = next.nextElementSibling
      else list.insertBefore(box.element, next)
      box.element.setAttribute("aria-posinset", String(position))
      box.element.setAttribute("aria-setsize", String(matching.length))
    }
    list.style.paddingTop = `${above}px`
    list.style.paddingBottom = `${below}px`
  }

  const update = () => {
    scheduled = false
    const changed = unordered || unmatched
    if (unordered) order = [...items.values()].sort((a, b) => before(a.node, b.node))
    if (changed) matching = order.filter(matches)
    unordered = false
    unmatched = false
    place()
    if (!changed) return
    const stale = order.filter(({ node }) => node.stale).length
    onChange({ live: order.length - stale, stale, shown: matching.length })
  }

  const schedule = () => {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(update)
  }

  addEventListener("scroll", schedule, { passive: true })
  addEventListener("resize", schedule)

  const set = (node: NodeJson) => {
    const existing = items.get(node.id)
    const item = existing ?? {
      node,
      searchable: "",
      box: undefined,
      outdated: true,
      open: undefined,
      height: undefined,
      unconfirmed: false,
      history: undefined
    }
    items.set(node.id, item)
    if (existing === undefined || existing.node.hostname !== node.hostname) unordered = true
    unmatched = true
    item.node = node
    record(item)
    item.searchable = NodeView.searchable(node)
    item.unconfirmed = false
    item.outdated = true
  }

  const remove = (id: string) => {
    const item = items.get(id)
    if (item === undefined) return
    leave(item)
    items.delete(id)
    unordered = true
  }

  return {
    set: (nodes) => {
      nodes.forEach(set)
      schedule()
    },
    seen: (id, lastSeenUnix) => {
      const item = items.get(id)
      if (item === undefined) return
      item.node = { ...item.node, last_seen_unix: lastSeenUnix }
      drawSummary(item)
    },
    remove: (ids) => {
      ids.forEach(remove)
      schedule()
    },
    beginSnapshot: () => {
      for (const item of items.values()) {
        item.unconfirmed = true
        // What was missed is asked for again.
        item.history = undefined
      }
    },
    endSnapshot: () => {
      for (const [id, item] of items) if (item.unconfirmed) remove(id)
      // Even when nothing changed: that there are no nodes is known only now.
      unmatched = true
      schedule()
    },
    show: (state, filter) => {
      shown = state
      words = filter.trim().toLowerCase().split(/\s+/)
      unmatched = true
      schedule()
    },
    tick: () => {
      for (const item of drawn) drawSummary(item)
    }
  }
}
