/** From a node's answer to another reader: {@link ChatPump} for messages that come over the wire. */
import type { ChatCompletionResponse } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { ChatCompletionResponse__Output } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"
import * as ChatPump from "./ChatPump.js"

/** Slows who sends the messages. */
interface Flow {
  readonly pause: () => void
  readonly resume: () => void
}

export interface ChatRelay {
  /** Takes the messages of a call. May be opened again, for another call, as long as none has come. */
  readonly open: (flow: Flow) => (message: ChatCompletionResponse__Output) => void
  /** The call ended well; `sent` is called when the reader has the last message. */
  readonly finish: (sent: () => void) => void
  /** It did not; what has come goes out. */
  readonly flush: (sent: () => void) => void
}

export const make = (
  write: (message: ChatCompletionResponse, taken: () => void) => void
): ChatRelay => {
  let pump: ChatPump.ChatPump | undefined
  let whole: ChatCompletionResponse__Output | undefined
  let usage: ChatCompletionResponse__Output["usage"] = null
  const finishReasons = new Map<number, string>()

  return {
    open: (flow) => (message) => {
      if (message.usage !== null) usage = message.usage
      if (message.object === "chat.completion") {
        whole = message
        return
      }
      pump ??= ChatPump.make({
        id: message.id,
        model: message.model,
        created: Number(message.created),
        write,
        ...flow
      })
      // Agents in the field do not tell how many it joins.
      let pieces = message.pieces || 1
      for (const { finish_reason, index, message: text, reasoning } of message.choices) {
        if (finish_reason !== "") finishReasons.set(index, finish_reason)
        const content = text?.content ?? ""
        if (content === "" && reasoning === "") continue
        pump.push(index, content, reasoning, pieces)
        pieces = 0
      }
    },
    finish: (sent) => {
      if (pump !== undefined) return pump.finish({ finishReasons, usage }, sent)
      if (whole === undefined) return sent()
      write({ ...whole, created: Number(whole.created) }, sent)
    },
    flush: (sent) => pump === undefined ? sent() : pump.flush(sent)
  }
}
