/** A node of the list: what is known of it, and its elements while it is in the document. */
import { GpuHistory, type GpuHistoryJson } from "../../registry/GpuHistory.js"
import type { NodeJson } from "../../registry/NodeJson.js"
import { patchChildren } from "./Dom.js"
import * as NodeDetails from "./NodeDetails.js"
import * as NodeSummary from "./NodeSummary.js"

/** A node as it stands in the document. */
export interface Box {
  readonly element: HTMLElement
  readonly details: HTMLDetailsElement
  readonly summary: HTMLElement
  readonly body: HTMLElement
}

export interface Item {
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
  /** Of its GPUs; asked for when its details are first opened. */
  history: GpuHistory | undefined
}

export const make = (node: NodeJson): Item => ({
  node,
  searchable: "",
  box: undefined,
  outdated: true,
  open: undefined,
  height: undefined,
  unconfirmed: false,
  history: undefined
})

export const record = ({ history, node }: Item): void =>
  history?.record(node.capabilities?.gpus ?? [], node.last_seen_unix)

export const update = (item: Item, node: NodeJson): void => {
  item.node = node
  record(item)
  item.searchable = NodeDetails.searchable(node)
  item.unconfirmed = false
  item.outdated = true
}

export const drawSummary = (item: Item, nowUnix: number): void => {
  if (item.box !== undefined) patchChildren(item.box.summary, NodeSummary.of(item.node, nowUnix))
}

/** Asks for the history of a node whose details are open, once; `onLoaded` is called when there is something to draw. */
const beginHistory = (
  item: Item,
  load: (id: string) => Promise<GpuHistoryJson | undefined>,
  onLoaded: () => void
): void => {
  if (item.history !== undefined || (item.node.capabilities?.gpus ?? []).length === 0) return
  const history = new GpuHistory()
  item.history = history
  record(item)
  void load(item.node.id).then((past) => {
    if (past === undefined || item.history !== history) return
    history.load(past)
    record(item)
    item.outdated = true
    onLoaded()
  })
}

export interface DrawOptions {
  readonly nowUnix: number
  readonly loadHistory: (id: string) => Promise<GpuHistoryJson | undefined>
  readonly onLoaded: () => void
}

export const draw = (item: Item, { body, details, element }: Box, options: DrawOptions): void => {
  element.dataset["state"] = NodeSummary.stateOf(item.node)
  drawSummary(item, options.nowUnix)
  if (details.open) beginHistory(item, options.loadHistory, options.onLoaded)
  // Nothing is known of a silent node after its last report.
  const untilUnix = item.node.stale ? item.node.last_seen_unix : options.nowUnix
  patchChildren(body, details.open ? NodeDetails.of(item.node, { history: item.history, untilUnix }) : [])
  item.outdated = false
}

/** The elements of a node; `onToggle` is called when its details were opened or closed. */
export const enter = (item: Item, isOpen: boolean, onToggle: () => void): Box => {
  const element = document.createElement("li")
  const details = document.createElement("details")
  const summary = document.createElement("summary")
  const body = document.createElement("div")
  element.className = "node"
  body.className = "body"
  details.open = isOpen
  details.append(summary, body)
  element.append(details)
  // By the click, because a `toggle` is also what opening it by program causes.
  summary.addEventListener("click", () => {
    item.open = !details.open
  })
  details.addEventListener("toggle", () => {
    item.outdated = true
    onToggle()
  })
  item.box = { element, details, summary, body }
  return item.box
}
