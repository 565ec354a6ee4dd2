/** An answer collected into one message, however many pieces it comes in. Bounded: what is larger fails. */
import * as Data from "effect/Data"
import * as Bytes from "../text/Bytes.js"
import * as TextBuilder from "../text/TextBuilder.js"
import type { AnswerSink, AnswerSinkOptions } from "./AnswerSink.js"

/** The largest answer that is collected, in UTF-16 code units over all its choices: some two million tokens. */
export const maxLength = 8 * 1024 * 1024

/** The answer has no end, or is too large to be collected. */
export class AnswerTooLarge extends Data.TaggedError("AnswerTooLarge")<{ readonly limit: number }> {
  override get message(): string {
    return `more than ${Bytes.format(this.limit)} of text; set max_tokens, or ask for a stream`
  }
}

interface Text {
  readonly content: TextBuilder.TextBuilder
  readonly reasoning: TextBuilder.TextBuilder
}

export interface WholeAnswerOptions extends AnswerSinkOptions {
  /** Default {@link maxLength}. */
  readonly limit?: number
}

export const make = ({ failed, head, limit = maxLength, write }: WholeAnswerOptions): AnswerSink => {
  const texts = new Map<number, Text>()
  let length = 0
  let pieces = 0
  let taken = 0
  let isBroken = false
  let isWaiting = false
  return {
    push: (index, content, reasoning, more) => {
      if (isBroken) return
      pieces += more
      length += content.length + reasoning.length
      if (length > limit) {
        isBroken = true
        texts.clear()
        return failed(new AnswerTooLarge({ limit }))
      }
      let text = texts.get(index)
      if (text === undefined) {
        text = { content: TextBuilder.make(), reasoning: TextBuilder.make() }
        texts.set(index, text)
      }
      text.content.append(content)
      text.reasoning.append(reasoning)
    },
    finish: ({ finishReasons, usage }, sent) => {
      if (isBroken) return
      isWaiting = true
      write({
        ...head,
        object: "chat.completion",
        pieces,
        choices: [...finishReasons].sort(([a], [b]) => a - b).map(([index, finish_reason]) => ({
          index,
          message: { role: "assistant", content: (texts.get(index)?.content.text() ?? "").toWellFormed() },
          reasoning: (texts.get(index)?.reasoning.text() ?? "").toWellFormed(),
          finish_reason
        })),
        usage: usage ?? null
      }, () => {
        isWaiting = false
        taken += 1
        sent()
      })
    },
    flush: (sent) => sent(),
    taken: () => taken,
    isWaiting: () => isWaiting
  }
}
