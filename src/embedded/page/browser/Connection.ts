/** The stream of events from the orchestrator: opened again and again until it is there. */
import type { ServerEvents } from "../../http/ServerEvents.js"

export type Handlers = { readonly [Name in keyof ServerEvents]: (data: ServerEvents[Name]) => void }

/** The orchestrator says something every 10 s at the least. */
const silenceMillis = 25_000
const firstRetryMillis = 500
const lastRetryMillis = 5_000
/** A hidden page closes its connection: browsers allow only six per server. */
const hiddenMillis = 60_000

type Timer = ReturnType<typeof setTimeout>

/** `onLost` is called when the connection is lost; it is then retried automatically. */
export const follow = (handlers: Handlers, onLost: () => void): void => {
  let source: EventSource | undefined
  let silence: Timer | undefined
  let retry: Timer | undefined
  let hidden: Timer | undefined
  let delay = firstRetryMillis

  const close = () => {
    source?.close()
    source = undefined
    clearTimeout(silence)
    clearTimeout(retry)
  }

  const lose = () => {
    close()
    onLost()
    retry = setTimeout(open, delay)
    delay = Math.min(delay * 1.6, lastRetryMillis)
  }

  const alive = () => {
    clearTimeout(silence)
    silence = setTimeout(lose, silenceMillis)
  }

  const open = () => {
    close()
    const current = new EventSource("/api/events")
    source = current
    alive()
    const on = <Name extends keyof ServerEvents>(name: Name) =>
      current.addEventListener(name, (event: MessageEvent<string>) => {
        alive()
        delay = firstRetryMillis
        // The server is our own: what it sends is of this type.
        handlers[name](JSON.parse(event.data) as ServerEvents[Name])
      })
    on("hello")
    on("reset")
    on("ready")
    on("nodes")
    on("removed")
    on("seen")
    on("idle")
    current.onerror = lose
  }

  const openNow = () => {
    delay = firstRetryMillis
    open()
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(hidden)
    if (document.hidden) hidden = setTimeout(close, hiddenMillis)
    else if (source === undefined) openNow()
  })
  addEventListener("online", () => {
    if (source === undefined) openNow()
  })
  addEventListener("pagehide", close)
  addEventListener("pageshow", (event) => {
    if (event.persisted) openNow()
  })
  open()
}
