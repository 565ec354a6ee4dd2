/**
 * Connects an answer that arrives in pieces with a reader of messages: while the reader is busy, pieces are joined into
 * one message, and the source is paused when too much waits. A reader that keeps up gets each piece immediately.
 */
import type { ChatCompletionResponse } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { AnswerEnd, AnswerSink, AnswerSinkOptions } from "./AnswerSink.js"

/** When this much waits, in UTF-16 code units, the source is paused until it is gone. */
const pauseAt = 16 * 1024

export interface ChatPumpOptions extends AnswerSinkOptions {
  readonly pause: () => void
  readonly resume: () => void
}

interface Text {
  content: string
  reasoning: string
}

/** The first half of a surrogate pair at the end of a text: its other half may come with the next piece. */
const halfAtEnd = (text: string): string => {
  const last = text.charCodeAt(text.length - 1)
  return last >= 0xd800 && last < 0xdc00 ? text.slice(-1) : ""
}

const messageOf = (index: number, text: Text | undefined, finishReason: string) => ({
  index,
  message: { role: "assistant", content: text?.content ?? "" },
  finish_reason: finishReason,
  ...(text === undefined || text.reasoning === "" ? {} : { reasoning: text.reasoning })
})

const byIndex = <A>(entries: Iterable<readonly [number, A]>) => [...entries].sort(([a], [b]) => a - b)

// One state machine in one closure: its parts run for every token, and share their state.
// eslint-disable-next-line max-lines-per-function
export const make = ({ failed, head, pause, resume, write }: ChatPumpOptions): AnswerSink => {
  let waiting = new Map<number, Text>()
  /** Halves of surrogate pairs that wait for their other half. */
  const halves = new Map<number, Text>()
  let size = 0
  let pieces = 0
  let taken = 0
  let isBusy = false
  let isScheduled = false
  let isPaused = false
  let isBroken = false
  let end: AnswerEnd | undefined
  let sent: (() => void) | undefined

  /** An exception in a callback would end the process. */
  const guarded = (run: () => void) => () => {
    if (isBroken) return
    try {
      run()
    } catch (error) {
      isBroken = true
      failed(error)
    }
  }

  const onTaken = guarded(() => {
    isBusy = false
    taken += 1
    if (size > 0 || end !== undefined) send()
    else tellSent()
    if (isPaused && size === 0) {
      isPaused = false
      resume()
    }
  })

  const tellSent = () => {
    const tell = sent
    sent = undefined
    tell?.()
  }

  /** Well-formed, but for a half at its end, which stays behind until the rest of the pair comes or the answer ends. */
  const wellFormed = (index: number, text: Text, isLast: boolean): Text => {
    if (text.content.isWellFormed() && text.reasoning.isWellFormed()) return text
    const half = isLast
      ? { content: "", reasoning: "" }
      : { content: halfAtEnd(text.content), reasoning: halfAtEnd(text.reasoning) }
    if (half.content !== "" || half.reasoning !== "") halves.set(index, half)
    const before = (whole: string, end: string) => whole.slice(0, whole.length - end.length).toWellFormed()
    return { content: before(text.content, half.content), reasoning: before(text.reasoning, half.reasoning) }
  }

  const takeWaiting = (isLast: boolean): Map<number, Text> => {
    const texts = waiting
    waiting = new Map()
    size = 0
    if (isLast) { for (const [index, half] of halves) if (!texts.has(index)) texts.set(index, half) }
    for (const [index, text] of texts) texts.set(index, wellFormed(index, text, isLast))
    return texts
  }

  const send = () => {
    const last = end
    const texts = takeWaiting(last !== undefined)
    const base = { ...head, object: "chat.completion.chunk", pieces }
    pieces = 0
    end = undefined
    isBusy = true
    write(last === undefined ? { ...base, choices: choicesOf(texts) } : lastMessage(base, texts, last), onTaken)
  }

  /** At the end of the current tick: the events of one read from the engine are sent as one message. */
  const schedule = () => {
    if (isBusy || isScheduled) return
    isScheduled = true
    queueMicrotask(sendScheduled)
  }
  const sendScheduled = guarded(() => {
    isScheduled = false
    if (!isBusy && (size > 0 || end !== undefined)) send()
  })

  return {
    push: (index, content, reasoning, more) => {
      pieces += more
      const text = waiting.get(index)
      if (text === undefined) {
        const half = halves.size === 0 ? undefined : halves.get(index)
        if (half === undefined) waiting.set(index, { content, reasoning })
        else {
          halves.delete(index)
          waiting.set(index, { content: half.content + content, reasoning: half.reasoning + reasoning })
        }
      } else {
        text.content += content
        text.reasoning += reasoning
      }
      size += content.length + reasoning.length
      if (size >= pauseAt && !isPaused) {
        isPaused = true
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
      if (!isBusy && size === 0) tellSent()
      else schedule()
    },
    taken: () => taken,
    isWaiting: () => isBusy
  }
}

const choicesOf = (texts: ReadonlyMap<number, Text>) =>
  byIndex(texts).map(([index, text]) => messageOf(index, text, ""))

const lastMessage = (
  base: ChatCompletionResponse,
  texts: ReadonlyMap<number, Text>,
  { finishReasons, usage }: AnswerEnd
): ChatCompletionResponse => {
  const unfinished = [...texts.keys()].filter((index) => !finishReasons.has(index))
  const choices = byIndex([
    ...[...finishReasons].map(([index, reason]) => [index, messageOf(index, texts.get(index), reason)] as const),
    ...unfinished.map((index) => [index, messageOf(index, texts.get(index), "")] as const)
  ])
  return {
    ...base,
    choices: choices.map(([, choice]) => choice),
    ...(usage === undefined || usage === null ? {} : { usage })
  }
}
