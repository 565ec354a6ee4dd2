/** The server-sent events of a streamed chat completion, read as they come: split anywhere, with memory bounded. */
import { StringDecoder } from "node:string_decoder"
import { createParser } from "eventsource-parser"
import { EngineError, ofEvent } from "./EngineError.js"

/** Of one event, in characters: far more than any delta, and less than would hurt. */
const maxEvent = 4 * 1024 * 1024

export interface Usage {
  readonly promptTokens: number
  readonly completionTokens: number
}

/** What the events say, in their order. After `failed` or `done` there is nothing more. */
export interface ChatListener {
  /** A piece of a choice's text, or of what is thought before it; one of the two may be empty. */
  readonly delta: (index: number, content: string, reasoning: string) => void
  readonly done: (end: ChatEnd) => void
  readonly failed: (error: EngineError) => void
}

export interface ChatEnd {
  /** By the index of the choice: why it ended. */
  readonly finishReasons: ReadonlyMap<number, string>
  readonly usage: Usage | undefined
}

export interface ChatEvents {
  readonly push: (bytes: Buffer) => void
  /** The answer is over: that was either expected or an error. */
  readonly end: () => void
  /** There are all choices, each with its end. */
  readonly complete: () => boolean
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
}

const text = (value: unknown): string => typeof value === "string" ? value : ""

const count = (value: unknown): number => typeof value === "number" && value >= 0 ? Math.floor(value) : 0

export const usageOf = (value: unknown): Usage | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const { completion_tokens, prompt_tokens } = value as Readonly<Record<string, unknown>>
  return { promptTokens: count(prompt_tokens), completionTokens: count(completion_tokens) }
}

/**
 * An answer is complete when as many choices as were asked for began and every one has a finish reason, and then
 * `[DONE]` or the end comes. Any other end is a failure, never a short answer.
 */
export const make = (listener: ChatListener, choices = 1): ChatEvents => {
  let over = false
  let first = true
  let usage: Usage | undefined
  const finishReasons = new Map<number, string>()
  const begun = new Set<number>()
  const decoder = new StringDecoder("utf8")

  const fail = (error: EngineError) => {
    if (over) return
    over = true
    listener.failed(error)
  }
  const garbled = (reason: string) => fail(new EngineError({ kind: "garbled", reason }))
  const isComplete = () => begun.size >= Math.max(1, choices) && begun.size === finishReasons.size
  const finish = () => {
    if (!isComplete()) {
      return fail(new EngineError({ kind: "cut-off", reason: "the answer ended before it was complete" }))
    }
    over = true
    listener.done({ finishReasons, usage })
  }

  const take = (data: string) => {
    const said = data.trim()
    if (over || said === "") return
    if (said === "[DONE]") return finish()
    let event: Event
    try {
      event = JSON.parse(data)
    } catch {
      return garbled(`an event that is not JSON: ${said.slice(0, 80)}`)
    }
    if (typeof event !== "object" || event === null) return garbled("an event that is no object")
    if (event.error !== undefined && event.error !== null) return fail(ofEvent(event))
    if (event.usage !== undefined && event.usage !== null) usage = usageOf(event.usage) ?? usage
    if (!Array.isArray(event.choices)) return
    for (const choice of event.choices as ReadonlyArray<Choice | null>) {
      if (choice === null || typeof choice !== "object") continue
      const index = count(choice.index)
      begun.add(index)
      const delta = choice.delta
      if (delta !== undefined && delta !== null) {
        const content = text(delta.content)
        const reasoning = text(delta.reasoning_content) || text(delta.reasoning)
        if (content !== "" || reasoning !== "") listener.delta(index, content, reasoning)
      }
      if (typeof choice.finish_reason === "string" && choice.finish_reason !== "") {
        finishReasons.set(index, choice.finish_reason)
      }
    }
  }

  const parser = createParser({
    maxBufferSize: maxEvent,
    onEvent: ({ data }) => take(data),
    onError: ({ type }) => {
      // Fields that are not known are to be passed over, as are bad values of those that are not used here.
      if (type === "max-buffer-size-exceeded") garbled("an event without an end")
    }
  })

  return {
    push: (bytes) => {
      if (over) return
      const characters = decoder.write(bytes)
      if (characters === "") return
      parser.feed(first && characters.startsWith("\uFEFF") ? characters.slice(1) : characters)
      first = false
    },
    end: () => {
      // An event without the empty line behind it was cut off, and is none.
      if (!over) finish()
    },
    complete: isComplete
  }
}
