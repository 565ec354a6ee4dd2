/** Which models are served, where, and how busy they are. */
import type { Served, ServedModel } from "../../dispatch/Served.js"
import { type Child, h, patchChildren } from "./Dom.js"
import * as Format from "./Format.js"

const intervalMillis = 2000
/** How many of the nodes that serve a model are named. */
const namedNodes = 3

/** How an engine's state reads beside a model. */
const states: Readonly<Record<string, string>> = {
  pulling: "downloading",
  starting: "starting",
  loading: "loading",
  unhealthy: "unhealthy",
  restarting: "restarting",
  failed: "failed",
  stopped: "stopped"
}

const nodesOf = (places: ReadonlyArray<ServedModel>): string => {
  const names = places.slice(0, namedNodes).map(({ engine_title, hostname, node_id }) =>
    `${engine_title} on ${hostname || Format.shortId(node_id)}`
  )
  return places.length > namedNodes ? `${names.join(", ")} and ${places.length - namedNodes} more` : names.join(", ")
}

const stat = (value: string, label: string): Child => h("span", { class: "stat" }, h("b", {}, value), ` ${label}`)

const sum = (places: ReadonlyArray<ServedModel>, part: (place: ServedModel) => number) =>
  places.reduce((all, place) => all + part(place), 0)

const rowOf = (model: string, places: ReadonlyArray<ServedModel>): Child => {
  const ready = places.filter(({ state }) => state === "ready")
  const other = places.find(({ state }) => state !== "ready")
  const progress = other?.progress === undefined ? "" : ` ${Math.round(other.progress * 100)} %`
  const state = ready.length > 0 ? "ready" : other?.state ?? ""
  const tokens = sum(places, ({ tokens_per_second }) => tokens_per_second)
  const errors = sum(places, ({ errors }) => errors)
  return h(
    "li",
    { class: "served", "data-state": state },
    h("span", { class: "served-name", title: model }, model),
    h(
      "span",
      { class: "served-where", title: places.map((place) => nodesOf([place])).join("\n") },
      nodesOf(ready.length > 0 ? ready : places)
    ),
    ready.length > 0
      ? h(
        "span",
        { class: "served-stats" },
        stat(String(sum(places, ({ in_flight }) => in_flight)), "in flight"),
        stat(tokens >= 100 ? tokens.toFixed(0) : tokens.toFixed(1), "tokens/s"),
        errors === 0 ? undefined : h("span", { class: "stat problem" }, h("b", {}, String(errors)), " failed")
      )
      : h(
        "span",
        { class: "served-stats", title: other?.detail },
        h("span", { class: "stat" }, `${states[state] ?? state}${progress}`)
      ),
    ready.length > 0
      ? h("button", { type: "button", class: "try", "data-model": model, "aria-label": `Try ${model}` }, "Try")
      : undefined
  )
}

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" })

/** Polls while the page is visible; `onTry` is called with the model whose button was pressed. */
export const follow = (section: HTMLElement, list: HTMLElement, onTry: (model: string) => void): void => {
  let shown = ""

  const draw = ({ served }: Served) => {
    const models = new Map<string, Array<ServedModel>>()
    for (const place of served) {
      const places = models.get(place.model)
      if (places === undefined) models.set(place.model, [place])
      else places.push(place)
    }
    const rows = [...models].sort(([a], [b]) => collator.compare(a, b)).map(([model, places]) => rowOf(model, places))
    section.hidden = rows.length === 0
    patchChildren(list, rows)
  }

  const ask = async () => {
    if (document.hidden) return
    try {
      const response = await fetch("/api/served", { signal: AbortSignal.timeout(5000) })
      const text = await response.text()
      if (!response.ok || text === shown) return
      shown = text
      // The server is our own: what it sends is of this type.
      draw(JSON.parse(text) as Served)
    } catch {
      // Whoever follows the orchestrator's events says that it is away.
    }
  }

  list.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest<HTMLElement>("[data-model]") : null
    const model = button?.dataset["model"]
    if (model !== undefined) onTry(model)
  })
  document.addEventListener("visibilitychange", () => void ask())
  setInterval(() => void ask(), intervalMillis)
  void ask()
}
