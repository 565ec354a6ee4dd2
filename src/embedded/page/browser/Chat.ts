/** A small chat to try a model. */
import * as ChatAnswer from "./ChatAnswer.js"

export interface Chat {
  /** Opens it for a model. */
  readonly offer: (model: string) => void
}

const makeLog = (byId: (id: string) => HTMLElement) => {
  const log = byId("chat-log")
  const clear = byId("chat-clear")
  const stats = byId("chat-stats")
  return {
    add: (role: ChatAnswer.Message["role"], content: string) => {
      const item = document.createElement("li")
      item.dataset["role"] = role
      item.textContent = content
      log.append(item)
      log.hidden = false
      clear.hidden = false
      log.scrollTop = log.scrollHeight
      return {
        item,
        /** Scrolls along only for a person who is at the end. */
        append: (text: string) => {
          const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 40
          item.append(text)
          if (atEnd) log.scrollTop = log.scrollHeight
        }
      }
    },
    clear: () => {
      log.replaceChildren()
      log.hidden = true
      clear.hidden = true
    },
    say: (line: string, isError = false) => {
      stats.textContent = line
      stats.hidden = line === ""
      stats.classList.toggle("problem", isError)
    }
  }
}

export const make = (byId: (id: string) => HTMLElement): Chat => {
  const box = byId("chat")
  const text = byId("chat-text") as HTMLTextAreaElement
  const send = byId("chat-send") as HTMLButtonElement
  const log = makeLog(byId)
  let model = ""
  let messages: Array<ChatAnswer.Message> = []
  /** Of the answer that is being made. */
  let running: AbortController | undefined

  const busy = (controller: AbortController | undefined) => {
    running = controller
    send.textContent = controller === undefined ? "Send" : "Stop"
    send.classList.toggle("stop", controller !== undefined)
  }
  const reset = () => {
    running?.abort()
    messages = []
    log.clear()
    log.say("")
  }
  const ask = async (content: string) => {
    const controller = new AbortController()
    const asked = messages
    asked.push({ role: "user", content })
    log.add("user", content)
    const shown = log.add("assistant", "")
    shown.item.classList.add("waiting")
    busy(controller)
    log.say("")
    let answer = ""
    try {
      const stats = await ChatAnswer.ask(model, asked, controller.signal, (piece) => {
        shown.item.classList.remove("waiting")
        answer += piece
        shown.append(piece)
      })
      log.say(ChatAnswer.describe(stats))
    } catch (error) {
      if (controller.signal.aborted) log.say("stopped")
      else log.say(error instanceof Error ? error.message : String(error), true)
    } finally {
      shown.item.classList.remove("waiting")
      if (answer === "") {
        shown.item.remove()
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
  byId("chat-clear").addEventListener("click", () => {
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
