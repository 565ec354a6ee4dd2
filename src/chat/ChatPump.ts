/**
 * Between an answer that comes in pieces and a reader that takes messages: pieces that wait while the reader is busy are
 * joined into one message, and the source is paused when they become many. A reader that keeps up gets each at once.
 */
import type { ChatCompletionResponse } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"

/** When so many characters wait, the source is paused; when they have gone, it goes on. */
const mostWaiting = 16 * 1024

export interface ChatPumpOptions {
  readonly id: string
  readonly model: string
  /** Seconds since 1970. */
  readonly created: number
  /** Sends a message; `taken` is called when there is room for the next one. */
  readonly write: (message: ChatCompletionResponse, taken: () => void) => void
  readonly pause: () => void
  readonly resume: () => void
}

/** How an answer ends. */
export interface ChatPumpEnd {
  readonly finishReasons: ReadonlyMap<number, string>
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
}

export interface ChatPump {
  /** `pieces` is how many of the engine's it is made of. */
  readonly push: (index: number, content: string, reasoning: string, pieces: number) => void
  /** The last message goes out, behind all that waits; `sent` is called when the reader has taken it. */
  readonly finish: (end: ChatPumpEnd, sent: () => void) => void
  /** What waits goes out; `sent` is called when the reader has taken it. For an answer that breaks off. */
  readonly flush: (sent: () => void) => void
}

interface Text {
  content: string
  reasoning: string
}

const messageOf = (index: number, text: Text | undefined, finishReason: string) => ({
  index,
  message: { role: "assistant", content: text?.content ?? "" },
  finish_reason: finishReason,
  ...(text === undefined || text.reasoning === "" ? {} : { reasoning: text.reasoning })
})

const byIndex = <A>(entries: Iterable<readonly [number, A]>) => [...entries].sort(([a], [b]) => a - b)

export const make = ({ created, id, model, pause, resume, write }: ChatPumpOptions): ChatPump => {
  let waiting = new Map<number, Text>()
  /** In characters. */
  let size = 0
  let pieces = 0
  let busy = false
  let scheduled = false
  let paused = false
  let end: ChatPumpEnd | undefined
  let sent: (() => void) | undefined

  const taken = () => {
    busy = false
    if (size > 0 || end !== undefined) send()
    else done()
    if (paused && size === 0) {
      paused = false
      resume()
    }
  }

  const done = () => {
    const tell = sent
    sent = undefined
    tell?.()
  }

  const send = () => {
    const texts = waiting
    const last = end
    const base = { id, model, created, object: "chat.completion.chunk", pieces }
    waiting = new Map()
    size = 0
    pieces = 0
    end = undefined
    busy = true
    if (last === undefined) {
      const choices = byIndex(texts).map(([index, text]) => messageOf(index, text, ""))
      return write({ ...base, choices }, taken)
    }
    const unfinished = [...texts.keys()].filter((index) => !last.finishReasons.has(index))
    const choices = byIndex([
      ...[...last.finishReasons].map(([index, reason]) => [index, messageOf(index, texts.get(index), reason)] as const),
      ...unfinished.map((index) => [index, messageOf(index, texts.get(index), "")] as const)
    ])
    write({
      ...base,
      choices: choices.map(([, choice]) => choice),
      ...(last.usage === undefined || last.usage === null ? {} : { usage: last.usage })
    }, taken)
  }

  /** At the end of what now runs: the events of one read from the engine go out as one message. */
  const schedule = () => {
    if (busy || scheduled) return
    scheduled = true
    queueMicrotask(() => {
      scheduled = false
      if (!busy && (size > 0 || end !== undefined)) send()
    })
  }

  return {
    push: (index, content, reasoning, more) => {
      pieces += more
      const text = waiting.get(index)
      if (text === undefined) waiting.set(index, { content, reasoning })
      else {
        text.content += content
        text.reasoning += reasoning
      }
      size += content.length + reasoning.length
      if (size >= mostWaiting && !paused) {
        paused = true
        pause()
      }
      schedule()
    },
    finish: (last, tell) => {
      end = last
      sent = tell
      schedule()
    },
    flush: (tell) => {
      sent = tell
      if (!busy && size === 0) done()
      else schedule()
    }
  }
}
