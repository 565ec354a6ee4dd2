/** The server-sent events of a streamed chat completion, read as they come: split anywhere, bounded in memory and time. */
import * as ServerSentEvents from "../text/ServerSentEvents.js"
import * as AnswerProgress from "./AnswerProgress.js"
import * as EngineError from "./EngineError.js"

/** The largest event, in characters: far more than any delta. */
const maxEvent = 4 * 1024 * 1024

/**
 * The bytes that an engine may send without text, such as comments and empty pieces. The budget refills over time:
 * enough for an engine that reasons silently at a thousand tokens a second, too little for a flood.
 */
const maxEmptyBytes = 8 * 1024 * 1024
const emptyBytesPerSecond = 256 * 1024

const maxCount = 2 ** 31 - 1

/** In tokens. */
export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** The content of the events, in order. Nothing follows `failed` or `done`. */
export interface ChatListener {
  /** A piece of a choice's text, or of the reasoning before it; one of the two may be empty. */
  readonly delta: (index: number, content: string, reasoning: string) => void
  readonly done: (end: ChatEnd) => void
  readonly failed: (error: EngineError.EngineError) => void
}

export interface ChatEnd {
  /** By the index of the choice: why it ended. */
  readonly finishReasons: ReadonlyMap<number, string>
  readonly usage: Usage | undefined
}

export interface ChatEvents {
  readonly push: (bytes: Buffer) => void
  /** The answer ended, as expected or with an error. */
  readonly end: () => void
  /** There are all choices, each with its end. */
  readonly isWhole: () => boolean
}

export interface ChatEventsOptions {
  /** How many were asked for. Default 1. */
  readonly choices?: number
  /** Milliseconds since any fixed time. */
  readonly now?: () => number
}

interface Choice {
  readonly index?: unknown
  readonly delta?: {
    readonly content?: unknown
    readonly reasoning_content?: unknown
    readonly reasoning?: unknown
  } | null
  readonly finish_reason?: unknown
}

interface Event {
  readonly choices?: unknown
  readonly usage?: unknown
  readonly error?: unknown
  readonly object?: unknown
}

const text = (value: unknown): string => typeof value === "string" ? value : ""

const count = (value: unknown): number =>
  typeof value === "number" && value >= 0 ? Math.min(maxCount, Math.floor(value)) : 0

/** The usage of an answer; hostile values are 0. */
export const usageOf = (value: unknown): Usage | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const { completion_tokens, prompt_tokens } = value as Readonly<Record<string, unknown>>
  return { promptTokens: count(prompt_tokens), completionTokens: count(completion_tokens) }
}

/** Without one there is a single choice; what is no number is refused by {@link AnswerProgress}. */
const indexOf = (value: unknown): number =>
  value === undefined || value === null ? 0 : typeof value === "number" ? value : -1

/**
 * An answer is whole when {@link AnswerProgress} says so, and then `[DONE]` or the end comes. Any other end is a failure,
 * never a short answer.
 */
export const make = (listener: ChatListener, { choices = 1, now = () => 0 }: ChatEventsOptions = {}): ChatEvents => {
  const progress = AnswerProgress.make(choices)
  let isOver = false
  let usage: Usage | undefined
  let hasText = false
  let emptyBytes = 0
  let emptyAt = 0

  const fail = (error: EngineError.EngineError) => {
    if (isOver) return
    isOver = true
    events.stop()
    listener.failed(error)
  }
  const invalid = (reason: string) => fail(EngineError.make("invalid-response", reason))

  const finish = () => {
    if (!progress.isWhole()) return fail(EngineError.make("incomplete", "the answer ended before it was complete"))
    isOver = true
    events.stop()
    listener.done({ finishReasons: progress.finishReasons, usage })
  }

  const takeChoice = (choice: Choice) => {
    const reason = text(choice.finish_reason)
    if (reason === "error") return fail(EngineError.make("failed", "it ended the answer with an error"))
    const index = indexOf(choice.index)
    if (!progress.take(index, reason)) return invalid(`a choice with the index ${String(choice.index).slice(0, 40)}`)
    const { delta } = choice
    if (delta === undefined || delta === null) return
    const content = text(delta.content)
    const reasoning = text(delta.reasoning_content) || text(delta.reasoning)
    if (content === "" && reasoning === "") return
    hasText = true
    listener.delta(index, content, reasoning)
  }

  const take = (data: string) => {
    if (isOver) return
    // Few are anything but an object.
    if (data.charCodeAt(0) !== 123) {
      const said = data.trim()
      if (said === "") return
      if (said === "[DONE]") return finish()
    }
    let event: Event
    try {
      event = JSON.parse(data)
    } catch {
      return invalid(`an event that is not JSON: ${data.slice(0, 80)}`)
    }
    if (typeof event !== "object" || event === null) return invalid("an event that is no object")
    if (EngineError.isInBand(event)) return fail(EngineError.ofEvent(event))
    if (event.usage !== undefined && event.usage !== null) usage = usageOf(event.usage) ?? usage
    if (!Array.isArray(event.choices)) return
    for (const choice of event.choices as ReadonlyArray<Choice | null>) {
      if (choice === null || typeof choice !== "object") continue
      takeChoice(choice)
      if (isOver) return
    }
  }

  /** These bytes had no text among them. */
  const countEmpty = (bytes: number) => {
    const at = now()
    emptyBytes = Math.max(0, emptyBytes - Math.max(0, at - emptyAt) / 1000 * emptyBytesPerSecond) + bytes
    emptyAt = at
    if (emptyBytes > maxEmptyBytes) invalid("a flood of events without text")
  }

  const events = ServerSentEvents.make({
    maxLength: maxEvent,
    onData: take,
    onTooLarge: () => invalid("an event without an end")
  })

  return {
    push: (bytes) => {
      if (isOver) return
      hasText = false
      events.push(bytes)
      if (!hasText && !isOver) countEmpty(bytes.length)
    },
    end: () => {
      // An event without the empty line behind it was cut off, and is none.
      if (!isOver) finish()
    },
    isWhole: progress.isWhole
  }
}
