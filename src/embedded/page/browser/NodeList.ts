/** The list of nodes: their order, which are shown, and which are near enough to the window to be in the document. */
import type { GpuHistoryJson } from "../../registry/GpuHistory.js"
import type { NodeJson } from "../../registry/NodeJson.js"
import * as NodeItem from "./NodeItem.js"
import * as NodeOrder from "./NodeOrder.js"
import * as NodeWindow from "./NodeWindow.js"
import * as Totals from "./Totals.js"

/** With no more nodes than this, each is shown with its details from the start. */
const fewNodes = 3
/** No more nodes than this are all in the document: for printing, and for the browser's own search. */
const alwaysDrawn = 50
/** Between two nodes, in pixels; as in the style sheet. */
const gap = 8

type Item = NodeItem.Item

export interface NodeList {
  readonly set: (nodes: ReadonlyArray<NodeJson>) => void
  readonly seen: (id: string, lastSeenUnix: number) => void
  readonly remove: (ids: ReadonlyArray<string>) => void
  /** A snapshot begins: what is known stays on show, until the snapshot is complete and does not have it. */
  readonly beginSnapshot: () => void
  readonly endSnapshot: () => void
  readonly show: (choice: NodeOrder.Choice, text: string) => void
  readonly sort: (order: NodeOrder.OrderName) => void
  /** Draws what depends on the time. */
  readonly tick: () => void
}

export interface NodeListOptions {
  readonly list: HTMLElement
  /** The orchestrator's clock, in seconds. */
  readonly nowUnix: () => number
  /** Called at most once per frame; `shown` is how many nodes the filter and the choice leave. */
  readonly onChange: (totals: Totals.Totals, shown: number) => void
  /** The stats of a node's GPUs before the page was opened; `undefined` when they cannot be had. */
  readonly loadHistory: (id: string) => Promise<GpuHistoryJson | undefined>
}

/** All nodes, and those of them that are shown, in their order. */
interface Listing {
  readonly items: Map<string, Item>
  matching: ReadonlyArray<Item>
  choice: NodeOrder.Choice
  order: NodeOrder.OrderName
  words: ReadonlyArray<string>
  /** The list is rebuilt in the next frame. */
  changed: boolean
}

const matchingOf = ({ choice, items, order, words }: Listing): ReadonlyArray<Item> => {
  const compare = NodeOrder.compare(order)
  return [...items.values()]
    .filter(({ node, searchable }) =>
      NodeOrder.isChosen(choice, node) && words.every((word) => searchable.includes(word))
    )
    .sort((a, b) => compare(a.node, b.node))
}

/** The part of the listing that is in the document. */
const makeDrawing = (listing: Listing, { list, loadHistory, nowUnix }: NodeListOptions, schedule: () => void) => {
  const drawn = new Set<Item>()
  const itemOf = new WeakMap<Element, Item>()
  /** Of a node that was never in the document: the height of the last one that was measured, closed. */
  let usualHeight = 66
  const isOpen = (item: Item) => item.open ?? listing.items.size <= fewNodes

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
  const enter = (item: Item) => {
    const box = NodeItem.enter(item, isOpen(item), schedule)
    itemOf.set(box.element, item)
    drawn.add(item)
    resizes.observe(box.element)
    return box
  }
  const leave = (item: Item) => {
    if (item.box === undefined) return
    resizes.unobserve(item.box.element)
    item.box.element.remove()
    item.box = undefined
    drawn.delete(item)
  }
  const near = (): NodeWindow.Near => {
    const { matching } = listing
    if (matching.length <= alwaysDrawn) return { first: 0, end: matching.length, above: 0, below: 0 }
    // A window's height before and after the window.
    const top = -list.getBoundingClientRect().top - innerHeight
    return NodeWindow.near(matching.map(({ height }) => (height ?? usualHeight) + gap), top, top + 3 * innerHeight)
  }
  const place = () => {
    const { above, below, end, first } = near()
    const nearItems = new Set(listing.matching.slice(first, end))
    for (const item of [...drawn]) if (!nearItems.has(item)) leave(item)
    // Moves only what is out of place, so that nothing loses its focus.
    let next = list.firstElementChild
    let position = first
    for (const item of nearItems) {
      position += 1
      const entered = item.box === undefined
      const box = item.box ?? enter(item)
      if (box.details.open !== isOpen(item)) box.details.open = isOpen(item)
      if (entered || item.outdated) {
        NodeItem.draw(item, box, { nowUnix: nowUnix(), loadHistory, onLoaded: schedule })
      }
      if (box.element === next) next = next.nextElementSibling
      else list.insertBefore(box.element, next)
      box.element.setAttribute("aria-posinset", String(position))
      box.element.setAttribute("aria-setsize", String(listing.matching.length))
    }
    list.style.paddingTop = `${above}px`
    list.style.paddingBottom = `${below}px`
  }
  return {
    place,
    leave,
    drawSummaries: () => {
      for (const item of drawn) NodeItem.drawSummary(item, nowUnix())
    }
  }
}

/** Fills `list`. */
export const make = (options: NodeListOptions): NodeList => {
  const listing: Listing = {
    items: new Map(),
    matching: [],
    choice: "all",
    order: "problems",
    words: [],
    changed: false
  }
  const { items } = listing
  let scheduled = false
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    requestAnimationFrame(() => {
      scheduled = false
      const { changed } = listing
      listing.changed = false
      if (changed) listing.matching = matchingOf(listing)
      drawing.place()
      if (changed) options.onChange(Totals.of([...items.values()].map(({ node }) => node)), listing.matching.length)
    })
  }
  const change = () => {
    listing.changed = true
    schedule()
  }
  const drawing = makeDrawing(listing, options, schedule)
  addEventListener("scroll", schedule, { passive: true })
  addEventListener("resize", schedule)

  const remove = (id: string) => {
    const item = items.get(id)
    if (item === undefined) return
    drawing.leave(item)
    items.delete(id)
  }
  return {
    set: (nodes) => {
      for (const node of nodes) {
        const item = items.get(node.id) ?? NodeItem.make(node)
        items.set(node.id, item)
        NodeItem.update(item, node)
      }
      change()
    },
    seen: (id, lastSeenUnix) => {
      const item = items.get(id)
      if (item === undefined) return
      item.node = { ...item.node, last_seen_unix: lastSeenUnix }
      NodeItem.drawSummary(item, options.nowUnix())
    },
    remove: (ids) => {
      ids.forEach(remove)
      change()
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
      change()
    },
    show: (choice, filter) => {
      listing.choice = choice
      listing.words = filter.trim().toLowerCase().split(/\s+/)
      change()
    },
    sort: (order) => {
      listing.order = order
      change()
    },
    tick: drawing.drawSummaries
  }
}
