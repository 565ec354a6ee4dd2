/** The page: follows the orchestrator's events and shows its nodes. */
import type { GpuHistoryJson } from "../../registry/GpuHistory.js"
import * as Chat from "./Chat.js"
import * as Connection from "./Connection.js"
import * as NodeList from "./NodeList.js"
import * as Served from "./Served.js"

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
let shown: NodeList.Shown = "all"
/** A whole snapshot has arrived. */
let ready = false
let connected = false

const setText = (id: string, text: string) => {
  const element = byId(id)
  if (element.textContent !== text) element.textContent = text
}

const number = new Intl.NumberFormat("en")

let counts: NodeList.Counts = { live: 0, stale: 0, shown: 0 }

const drawFrame = () => {
  const all = counts.live + counts.stale
  setText("count-all", number.format(all))
  setText("count-live", number.format(counts.live))
  setText("count-stale", number.format(counts.stale))
  byId("tools").hidden = all === 0
  byId("columns").hidden = counts.shown === 0
  byId("empty").hidden = !(ready && connected && all === 0)
  byId("nothing").hidden = !(all > 0 && counts.shown === 0)
  const state = counts.stale === 0 ? `${counts.live} live` : `${counts.live} live, ${counts.stale} stale`
  document.title = !connected && ready ? "Orchion: connection lost" : all === 0 ? "Orchion" : `Orchion: ${state}`
}

const list = NodeList.make({
  list: byId("nodes"),
  nowUnix: () => (Date.now() + clockOffset) / 1000,
  onChange: (changed) => {
    counts = changed
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

const show = (state: NodeList.Shown) => {
  shown = state
  for (const choice of choices) choice.setAttribute("aria-pressed", String(choice.dataset["show"] === state))
  list.show(state, filter.value)
}

const link = (state: "connecting" | "connected" | "lost", word: string) => {
  byId("link").dataset["link"] = state
  setText("link-word", word)
}

Connection.follow({
  hello: ({ grpc_port, loopback, now_ms, version }) => {
    clockOffset = now_ms - Date.now()
    connected = true
    const address = `${location.hostname}:${grpc_port}`
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
    ? "The connection to the orchestrator is lost. What you see is how it was then; it is tried again by itself."
    : "The orchestrator does not answer. It is tried again by itself."
  banner.hidden = false
  document.body.classList.add("outdated")
  drawFrame()
})

setInterval(list.tick, 1000)

const chat = Chat.make(byId)
Served.follow(byId("models"), byId("models-list"), chat.offer)

for (const choice of choices) {
  choice.addEventListener("click", () => show(choice.dataset["show"] as NodeList.Shown))
}
filter.addEventListener("input", () => list.show(shown, filter.value))
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
