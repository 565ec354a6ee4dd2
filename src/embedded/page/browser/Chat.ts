/** A small chat to try a model: over the orchestrator's own OpenAI API, as any other client. */

interface Message {
  readonly role: "user" | "assistant"
  content: string
}

/** What of OpenAI's events is read here. */
interface ChunkEvent {
  readonly choices?: ReadonlyArray<{ readonly delta?: { readonly content?: string } }>
  readonly usage?: { readonly completion_tokens?: number } | null
  readonly error?: { readonly message?: string }
}

export interface Chat {
  /** Opens it for a model. */
  readonly offer: (model: string) => void
}

/** The data of an answer's events, as they come. */
async function* dataOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const reader = body.getReader()
  const decoder = new TextDecoder()
  let rest = ""
  while (true) {
    const { done, value } = await reader.read()
    if (done) return
    const events = (rest + decoder.decode(value, { stream: true })).split("\n\n")
    rest = events.pop() ?? ""
    for (const event of events) if (event.startsWith("data: ")) yield event.slice("data: ".length)
  }
}

const errorOf = async (response: Response): Promise<string> => {
  try {
    const body = await response.json() as ChunkEvent
    return body.error?.message ?? `status ${response.status}`
  } catch {
    return `status ${response.status}`
  }
}

export const make = (byId: (id: string) => HTMLElement): Chat => {
  const box = byId("chat")
  const log = byId("chat-log")
  const text = byId("chat-text") as HTMLTextAreaElement
  const send = byId("chat-send") as HTMLButtonElement
  const clear = byId("chat-clear")
  const figures = byId("chat-figures")
  let model = ""
  let messages: Array<Message> = []
  /** Of the answer that is being made. */
  let running: AbortController | undefined

  const show = (role: Message["role"], content: string) => {
    const item = document.createElement("li")
    item.dataset["role"] = role
    item.textContent = content
    log.append(item)
    log.hidden = false
    clear.hidden = false
    log.scrollTop = log.scrollHeight
    return item
  }

  const say = (line: string, isError = false) => {
    figures.textContent = line
    figures.hidden = line === ""
    figures.classList.toggle("problem", isError)
  }

  const reset = () => {
    running?.abort()
    messages = []
    log.replaceChildren()
    log.hidden = true
    clear.hidden = true
    say("")
  }

  const busy = (controller: AbortController | undefined) => {
    running = controller
    send.textContent = controller === undefined ? "Send" : "Stop"
    send.classList.toggle("stop", controller !== undefined)
  }

  const ask = async (content: string) => {
    const controller = new AbortController()
    const asked = messages
    asked.push({ role: "user", content })
    show("user", content)
    const item = show("assistant", "")
    item.classList.add("waiting")
    busy(controller)
    say("")
    const from = performance.now()
    let first: number | undefined
    let answer = ""
    let tokens = 0
    let whole = false
    try {
      const response = await fetch("/v1/chat/completions", {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model, messages: asked, stream: true, stream_options: { include_usage: true } }),
        signal: controller.signal
      })
      if (!response.ok || response.body === null) throw new Error(await errorOf(response))
      for await (const data of dataOf(response.body)) {
        if (data === "[DONE]") {
          whole = true
          break
        }
        const event = JSON.parse(data) as ChunkEvent
        if (event.error !== undefined) throw new Error(event.error.message ?? "the answer broke off")
        tokens = event.usage?.completion_tokens ?? tokens
        const piece = event.choices?.[0]?.delta?.content ?? ""
        if (piece === "") continue
        first ??= performance.now() - from
        item.classList.remove("waiting")
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
        answer += piece
        item.append(piece)
        if (atEnd) log.scrollTop = log.scrollHeight
      }
      if (!whole) throw new Error("the answer broke off")
      const seconds = (performance.now() - from - (first ?? 0)) / 1000
      say(
        [
          first === undefined
            ? ""
            : `first token after ${first < 1000 ? `${first.toFixed(0)} ms` : `${(first / 1000).toFixed(1)} s`}`,
          tokens > 0 ? `${tokens} tokens` : "",
          tokens > 1 && seconds > 0.05 ? `${((tokens - 1) / seconds).toFixed(1)} tokens/s` : ""
        ].filter((part) => part !== "").join(" · ")
      )
    } catch (error) {
      if (controller.signal.aborted) say("stopped")
      else say(error instanceof Error ? error.message : String(error), true)
    } finally {
      item.classList.remove("waiting")
      if (answer === "") {
        item.remove()
        // What was not answered is not part of the conversation.
        asked.pop()
      } else asked.push({ role: "assistant", content: answer })
      if (running === controller) busy(undefined)
    }
  }

  byId("chat-form").addEventListener("submit", (event) => {
    event.preventDefault()
    if (running !== undefined) return running.abort()
    const content = text.value.trim()
    if (content === "") return
    text.value = ""
    void ask(content)
  })
  text.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return
    event.preventDefault()
    if (running === undefined) (byId("chat-form") as HTMLFormElement).requestSubmit()
  })
  clear.addEventListener("click", () => {
    reset()
    text.focus()
  })
  byId("chat-close").addEventListener("click", () => {
    reset()
    box.hidden = true
  })

  return {
    offer: (wanted) => {
      if (wanted !== model) reset()
      model = wanted
      byId("chat-model").textContent = wanted
      box.hidden = false
      text.focus()
    }
  }
}
