/** Where the pieces of an answer go: on to a reader as they come (`ChatPump`), or into one message (`WholeAnswer`). */
import type { ChatCompletionResponse } from "../proto/generated/orchion/v1/ChatCompletionResponse.js"

/** What the messages of an answer have in common. */
export interface AnswerHead {
  readonly id: string
  readonly model: string
  /** Seconds since 1970. */
  readonly created: number
}

/** How an answer ends. */
export interface AnswerEnd {
  /** By the index of the choice. */
  readonly finishReasons: ReadonlyMap<number, string>
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null
}

export interface AnswerSinkOptions {
  readonly head: AnswerHead
  /** Sends a message; `taken` is called when there is room for the next one. */
  readonly write: (message: ChatCompletionResponse, taken: () => void) => void
  /** The sink has failed: the answer is too large (`AnswerTooLarge`), or `write` threw. Called once. */
  readonly failed: (error: unknown) => void
}

export interface AnswerSink {
  /** `pieces` is how many of the engine's it is made of. */
  readonly push: (index: number, content: string, reasoning: string, pieces: number) => void
  /** Sends the last message, after everything that waits; `sent` is called when the reader has taken it. */
  readonly finish: (end: AnswerEnd, sent: () => void) => void
  /** Sends what waits, for an answer that breaks off; `sent` is called when the reader has taken it. */
  readonly flush: (sent: () => void) => void
  /** How many messages the reader has taken. */
  readonly taken: () => number
  /** The reader was sent a message that it has not taken. */
  readonly isWaiting: () => boolean
}
