/** The page: follows the orchestrator's events and shows its nodes. */
import type { GpuHistoryJson } from "../../registry/GpuHistory.js"
import * as Chat from "./Chat.js"
import * as Connection from "./Connection.js"
import * as NodeList from "./NodeList.js"
import type * as NodeOrder from "./NodeOrder.js"
import * as Served from "./Served.js"
import * as Totals from "./Totals.js"

const byId = (id: string): HTMLElement => {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no element ${id}`)
  return element
}

const filter = byId("filter") as HTMLInputElement
const banner = byId("banner")
const choices = [...document.querySelectorAll<HTMLButtonElement>("[data-show]")]

/** The orchestrator's clock minus the browser's, in milliseconds. */
let clockOffset = 0
let choice: NodeOrder.Choice = "all"
/** A whole snapshot has arrived. */
let ready = false
let connected = false

const setText = (id: string, text: string) => {
  const element = byId(id)
  if (element.textContent !== text) element.textContent = text
}

const number = new Intl.NumberFormat("en")

let totals = Totals.of([])
let shown = 0

/** The page's title, which a person sees in a tab far away from it. */
const titleOf = (all: number): string => {
  if (!connected && ready) return "Orchion: connection lost"
  if (all === 0) return "Orchion"
  const { live, problems, stale } = totals
  return `Orchion: ${live} live${stale === 0 ? "" : `, ${stale} stale`}${
    problems - stale > 0 ? `, ${problems} with problems` : ""
  }`
}

const drawFrame = () => {
  const all = totals.live + totals.stale
  setText("count-all", number.format(all))
  setText("count-live", number.format(totals.live))
  setText("count-stale", number.format(totals.stale))
  setText("count-problems", number.format(totals.problems))
  setText("totals", all < 2 ? "" : Totals.parts(totals).join(" · "))
  byId("totals").hidden = all < 2
  byId("tools").hidden = all === 0
  byId("columns").hidden = shown === 0
  byId("empty").hidden = !(ready && connected && all === 0)
  byId("nothing").hidden = !(all > 0 && shown === 0)
  document.title = titleOf(all)
}

const list = NodeList.make({
  list: byId("nodes"),
  nowUnix: () => (Date.now() + clockOffset) / 1000,
  onChange: (changed, matching) => {
    totals = changed
    shown = matching
    drawFrame()
  },
  loadHistory: async (id) => {
    try {
      const answer = await fetch(`/api/history?node=${encodeURIComponent(id)}`)
      // The server is our own: what it sends is of this type.
      return answer.ok ? await answer.json() as GpuHistoryJson : undefined
    } catch {
      return undefined
    }
  }
})

const show = (chosen: NodeOrder.Choice) => {
  choice = chosen
  for (const button of choices) button.setAttribute("aria-pressed", String(button.dataset["show"] === chosen))
  list.show(chosen, filter.value)
}

const link = (state: "connecting" | "connected" | "lost", word: string) => {
  byId("link").dataset["link"] = state
  setText("link-word", word)
}

Connection.follow({
  hello: ({ grpc_port, loopback, now_ms, reachable_host, version }) => {
    clockOffset = now_ms - Date.now()
    connected = true
    // Another machine cannot use the name by which this one reaches itself.
    const isLocal = /^(localhost|127\..*|\[::1\])$/.test(location.hostname)
    const address = `${isLocal && reachable_host !== undefined ? reachable_host : location.hostname}:${grpc_port}`
    const command = `node-agent --orchestrator ${address}`
    setText("address", address)
    setText("command", command)
    byId("copy-command").dataset["copy"] = command
    byId("loopback").hidden = !loopback
    setText("version", `Orchion ${version}`)
    link("connected", "connected")
    banner.hidden = true
    document.body.classList.remove("outdated")
  },
  reset: list.beginSnapshot,
  ready: () => {
    ready = true
    list.endSnapshot()
  },
  nodes: list.set,
  removed: list.remove,
  seen: (seen) => {
    for (const [id, lastSeenUnix] of seen) list.seen(id, lastSeenUnix)
  },
  idle: ({ now_ms }) => {
    clockOffset = now_ms - Date.now()
  }
}, () => {
  connected = false
  link("lost", "connection lost")
  banner.textContent = ready
    ? "Connection to the orchestrator lost. This page shows the last known state; reconnecting."
    : "The orchestrator does not answer; reconnecting."
  banner.hidden = false
  document.body.classList.add("outdated")
  drawFrame()
})

setInterval(list.tick, 1000)

const chat = Chat.make(byId)
Served.follow(byId("models"), byId("models-list"), chat.offer)

for (const button of choices) {
  button.addEventListener("click", () => show(button.dataset["show"] as NodeOrder.Choice))
}
filter.addEventListener("input", () => list.show(choice, filter.value))
const order = byId("order") as HTMLSelectElement
order.addEventListener("change", () => list.sort(order.value as NodeOrder.OrderName))
byId("show-all").addEventListener("click", () => {
  filter.value = ""
  show("all")
})

addEventListener("keydown", (event) => {
  if (
    event.key === "/" && !(event.target instanceof HTMLInputElement) && !(event.target instanceof HTMLTextAreaElement)
    && !byId("tools").hidden
  ) {
    event.preventDefault()
    filter.focus()
  }
})

document.addEventListener("click", (event) => {
  const button = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-copy]") : null
  const text = button?.dataset["copy"]
  if (button === null || text === undefined) return
  // Browsers offer the clipboard only to pages that came over TLS or from this machine.
  if (!("clipboard" in navigator)) {
    const code = button.previousElementSibling
    if (code !== null) getSelection()?.selectAllChildren(code)
    return
  }
  void navigator.clipboard.writeText(text).then(() => {
    button.classList.add("copied")
    setTimeout(() => button.classList.remove("copied"), 1500)
  }, () => {})
})
