/** From a node's answer to another reader: {@link ChatPump} for messages that come over the wire. */
import * as Effect from "effect/Effect"
import * as GrpcError from "../grpc/GrpcError.js"
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
  /**
   * The call ended well: done when the reader has the last message. Fails, with what has come sent, when the answer is
   * not complete, whatever the call's end said.
   */
  readonly finish: Effect.Effect<void, GrpcError.GrpcError>
  /** It did not; done when what has come was sent. */
  readonly flush: Effect.Effect<void>
}

const incomplete = Effect.suspend(() =>
  Effect.fail(GrpcError.fail(GrpcError.Status.UNAVAILABLE, "the node's answer ended before it was complete"))
)

/** How far the choices of an answer are: it is complete when each that began has its finish reason. */
const progress = () => {
  const begun = new Set<number>()
  const finishReasons = new Map<number, string>()
  return {
    finishReasons,
    take: ({ choices }: ChatCompletionResponse__Output) => {
      for (const { finish_reason, index } of choices) {
        begun.add(index)
        if (finish_reason !== "") finishReasons.set(index, finish_reason)
      }
    },
    isComplete: () => begun.size > 0 && finishReasons.size === begun.size
  }
}

export interface ChatCollector {
  /** As a relay's. */
  readonly open: () => (message: ChatCompletionResponse__Output) => void
  /** The call ended well: its whole answer, in however many messages it came. */
  readonly finish: Effect.Effect<ChatCompletionResponse, GrpcError.GrpcError>
}

/** For who wants the answer at once, also of a node that sends it in pieces all the same. */
export const collect = (): ChatCollector => {
  let first: ChatCompletionResponse__Output | undefined
  let usage: ChatCompletionResponse__Output["usage"] = null
  let pieces = 0
  const { finishReasons, isComplete, take } = progress()
  const texts = new Map<number, { content: string; reasoning: string }>()
  return {
    open: () => (message) => {
      first ??= message
      if (message.usage !== null) usage = message.usage
      pieces += message.pieces
      take(message)
      for (const { index, message: text, reasoning } of message.choices) {
        const known = texts.get(index) ?? { content: "", reasoning: "" }
        texts.set(index, known)
        known.content += text?.content ?? ""
        known.reasoning += reasoning
      }
    },
    finish: Effect.suspend(() =>
      first === undefined || !isComplete() ? incomplete : Effect.succeed({
        id: first.id,
        model: first.model,
        created: Number(first.created),
        object: "chat.completion",
        pieces,
        choices: [...texts].sort(([a], [b]) => a - b).map(([index, { content, reasoning }]) => ({
          index,
          message: { role: "assistant", content },
          reasoning,
          finish_reason: finishReasons.get(index) ?? ""
        })),
        usage
      })
    )
  }
}

export const make = (
  write: (message: ChatCompletionResponse, taken: () => void) => void
): ChatRelay => {
  let pump: ChatPump.ChatPump | undefined
  let whole: ChatCompletionResponse__Output | undefined
  let usage: ChatCompletionResponse__Output["usage"] = null
  const { finishReasons, isComplete, take } = progress()
  const flush = Effect.async<void>((resume) => {
    if (pump === undefined) return resume(Effect.void)
    pump.flush(() => resume(Effect.void))
  })

  return {
    open: (flow) => (message) => {
      if (message.usage !== null) usage = message.usage
      take(message)
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
      for (const { index, message: text, reasoning } of message.choices) {
        const content = text?.content ?? ""
        if (content === "" && reasoning === "") continue
        pump.push(index, content, reasoning, pieces)
        pieces = 0
      }
    },
    finish: Effect.suspend(() =>
      isComplete()
        ? Effect.async<void>((resume) => {
          const sent = () => resume(Effect.void)
          if (pump !== undefined) return pump.finish({ finishReasons, usage }, sent)
          if (whole === undefined) return sent()
          write({ ...whole, created: Number(whole.created) }, sent)
        })
        : Effect.zipRight(flush, incomplete)
    ),
    flush
  }
}
