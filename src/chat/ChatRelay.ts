/** A node's answer, passed on to another reader or collected into one message. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as GrpcError from "../grpc/GrpcError.js"
import type {
  ChatCompletionResponse,
  ChatCompletionResponse__Output
} from "../proto/generated/orchion/v1/ChatCompletionResponse.js"
import * as AnswerProgress from "./AnswerProgress.js"
import type { AnswerHead, AnswerSink } from "./AnswerSink.js"
import * as ChatPump from "./ChatPump.js"
import * as StallWatch from "./StallWatch.js"
import * as WholeAnswer from "./WholeAnswer.js"

const { Status } = GrpcError

/** Slows the sender of the messages. */
export interface Flow {
  readonly pause: () => void
  readonly resume: () => void
}

/** What is called with the messages of a call. It may be opened again, for another call, as long as none has come. */
export type Open = (flow: Flow) => (message: ChatCompletionResponse__Output) => void

/** Asks for an answer and hands its messages to what `open` returns; ends with the call. */
export type Chat = (open: Open) => Effect.Effect<void, GrpcError.GrpcError>

export interface RelayOptions {
  /** How long the reader may stall. Default 2 minutes. */
  readonly readerTimeout?: Duration.DurationInput
}

const incomplete = GrpcError.fail(Status.UNAVAILABLE, "the node's answer ended before it was complete")

/** How long the rest of a failed answer may take to reach the reader. */
const flushTimeout = Duration.millis(100)

interface Answer {
  readonly open: Open
  /** Fails with what is wrong with a message, as soon as it comes. */
  readonly broken: Effect.Effect<never, GrpcError.GrpcError>
  /** The call ended well; done when the reader has the last message. */
  readonly finish: Effect.Effect<void, GrpcError.GrpcError>
  /** Done when the reader has what has come. */
  readonly flush: Effect.Effect<void>
  readonly watched: StallWatch.Watched
}

const errorOf = (error: unknown): Effect.Effect<never, GrpcError.GrpcError> =>
  error instanceof WholeAnswer.AnswerTooLarge
    ? Effect.fail(GrpcError.fail(Status.RESOURCE_EXHAUSTED, `the node's answer is too large: ${error.message}`))
    : Effect.die(error)

/** `sinkOf` is called with the first message. */
const answer = (
  sinkOf: (head: AnswerHead, flow: Flow, failed: (error: unknown) => void) => AnswerSink
): Answer => {
  let sink: AnswerSink | undefined
  let usage: ChatCompletionResponse__Output["usage"] = null
  let messages = 0
  let problem: Effect.Effect<never, GrpcError.GrpcError> | undefined
  let tell: ((problem: Effect.Effect<never, GrpcError.GrpcError>) => void) | undefined
  const { finishReasons, isWhole, take } = AnswerProgress.make()

  const fail = (error: Effect.Effect<never, GrpcError.GrpcError>) => {
    if (problem !== undefined) return
    problem = error
    tell?.(error)
  }
  const invalid = (index: number) =>
    Effect.fail(GrpcError.fail(Status.INTERNAL, `the node's answer has a choice with the index ${index}`))

  const push = (to: AnswerSink, { choices, pieces }: ChatCompletionResponse__Output) => {
    // Agents in the field do not send the number of joined pieces.
    let counted = pieces || 1
    for (const { finish_reason, index, message, reasoning } of choices) {
      if (!take(index, finish_reason)) return fail(invalid(index))
      const content = message?.content ?? ""
      if (content === "" && reasoning === "") continue
      to.push(index, content, reasoning, counted)
      counted = 0
    }
  }

  const inFlush = (run: (to: AnswerSink, done: () => void) => void) =>
    Effect.async<void>((resume) => {
      const done = () => resume(Effect.void)
      if (sink === undefined) done()
      else run(sink, done)
    })
  const flush = inFlush((to, done) => to.flush(done))

  return {
    open: (flow) => (message) => {
      if (problem !== undefined) return
      messages += 1
      if (message.usage !== null) usage = message.usage
      sink ??= sinkOf(
        { id: message.id, model: message.model, created: Number(message.created) },
        flow,
        (error) => fail(errorOf(error))
      )
      push(sink, message)
    },
    broken: Effect.async((resume) => {
      if (problem === undefined) tell = resume
      else resume(problem)
    }),
    finish: Effect.suspend(() =>
      problem
        ?? (isWhole() ? inFlush((to, done) => to.finish({ finishReasons, usage }, done)) : Effect.fail(incomplete))
    ),
    flush,
    watched: {
      progress: () => messages + (sink?.taken() ?? 0),
      waitsFor: () => sink?.isWaiting() === true ? "reader" : "source"
    }
  }
}

const slowReader = ({ after }: StallWatch.Stalled) =>
  GrpcError.fail(Status.CANCELLED, `the reader took nothing of the answer for ${Duration.format(after)}`)

/**
 * Passes an answer on in pieces. `write` gets one message at a time and calls `taken` when there is room for the next.
 * Fails when the call does, or when its answer is not whole, whatever the call's end said; what has come is sent before.
 */
export const relay = Effect.fn("ChatRelay.relay")(function*(
  chat: Chat,
  write: (message: ChatCompletionResponse, taken: () => void) => void,
  { readerTimeout = "2 minutes" }: RelayOptions = {}
) {
  const { broken, finish, flush, open, watched } = answer((head, flow, failed) =>
    ChatPump.make({ head, write, failed, ...flow })
  )
  const limits = { source: Duration.infinity, reader: Duration.decode(readerTimeout) }
  yield* chat(open).pipe(
    Effect.raceFirst(broken),
    Effect.zipRight(finish),
    Effect.tapError(() => flush),
    Effect.raceFirst(Effect.mapError(StallWatch.watch(watched, limits), slowReader)),
    Effect.onInterrupt(() => Effect.timeoutOption(Effect.interruptible(flush), flushTimeout))
  )
})

/**
 * Collects an answer into one message, also of a node that sends it in pieces all the same. Fails when it is not whole, or
 * too large.
 */
export const collect = Effect.fn("ChatRelay.collect")(function*(chat: Chat) {
  let whole: ChatCompletionResponse | undefined
  const { broken, finish, open } = answer((head, _, failed) =>
    WholeAnswer.make({
      head,
      failed,
      write: (message, taken) => {
        whole = message
        taken()
      }
    })
  )
  yield* Effect.zipRight(Effect.raceFirst(chat(open), broken), finish)
  return whole ?? (yield* incomplete)
})
