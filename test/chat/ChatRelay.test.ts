import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as ChatRelay from "../../src/chat/ChatRelay.js"
import * as GrpcError from "../../src/grpc/GrpcError.js"
import type {
  ChatCompletionResponse,
  ChatCompletionResponse__Output
} from "../../src/proto/generated/orchion/v1/ChatCompletionResponse.js"

const message = (content: string, finish_reason = "", index = 0): ChatCompletionResponse__Output => ({
  id: "x",
  model: "m",
  created: "1",
  object: "chat.completion.chunk",
  pieces: 1,
  usage: null,
  choices: [{ index, message: { role: "assistant", content }, finish_reason, reasoning: "" }]
})

/** A call that hands over these messages and ends. */
const chat = (...messages: ReadonlyArray<ChatCompletionResponse__Output>): ChatRelay.Chat => (open) =>
  Effect.sync(() => {
    const take = open({ pause: () => {}, resume: () => {} })
    for (const each of messages) take(each)
  })

const reader = () => {
  const messages: Array<ChatCompletionResponse> = []
  return {
    messages,
    text: () => messages.map(({ choices }) => choices?.[0]?.message?.content ?? "").join(""),
    write: (message: ChatCompletionResponse, taken: () => void) => {
      messages.push(message)
      queueMicrotask(taken)
    }
  }
}

describe("a node's answer", () => {
  it.effect("reaches its reader with its end", () =>
    Effect.gen(function*() {
      const { messages, text, write } = reader()
      yield* ChatRelay.relay(chat(message("a"), message("b", "stop")), write)
      assert.strictEqual(text(), "ab")
      assert.strictEqual(messages.at(-1)?.choices?.[0]?.finish_reason, "stop")
    }))

  it.effect("is no answer without its end, and what has come reaches the reader all the same", () =>
    Effect.gen(function*() {
      const { text, write } = reader()
      const error = yield* Effect.flip(ChatRelay.relay(chat(message("a")), write))
      assert.strictEqual(error.code, GrpcError.Status.UNAVAILABLE)
      assert.strictEqual(text(), "a")
      assert.strictEqual((yield* Effect.flip(ChatRelay.collect(chat(message("a"))))).code, GrpcError.Status.UNAVAILABLE)
      assert.strictEqual((yield* Effect.flip(ChatRelay.collect(chat()))).code, GrpcError.Status.UNAVAILABLE)
    }))

  it.effect("has halves of surrogate pairs joined, which no message can hold", () =>
    Effect.gen(function*() {
      const { text, write } = reader()
      yield* ChatRelay.relay(
        (open) =>
          Effect.gen(function*() {
            const take = open({ pause: () => {}, resume: () => {} })
            for (const each of [message("a\ud83d"), message("\ude42"), message("b\ud83d", "stop")]) {
              take(each)
              yield* Effect.yieldNow()
            }
          }),
        write
      )
      assert.strictEqual(text(), "a🙂b\ufffd")
    }))

  it.effect("that has no end fails beyond the bound of what is collected, and its call is cancelled", () =>
    Effect.gen(function*() {
      let isCancelled = false
      const piece = message("x".repeat(1 << 20))
      const error = yield* Effect.flip(ChatRelay.collect((open) =>
        Effect.suspend(() => {
          const take = open({ pause: () => {}, resume: () => {} })
          return Effect.forever(Effect.zipRight(Effect.sync(() => take(piece)), Effect.yieldNow()))
        }).pipe(Effect.onInterrupt(() => Effect.sync(() => isCancelled = true)))
      ))
      assert.strictEqual(error.code, GrpcError.Status.RESOURCE_EXHAUSTED)
      assert.include(error.details, "8.0 MiB")
      assert.isTrue(isCancelled)
    }))

  it.effect("has no choices beyond those that can be kept", () =>
    Effect.gen(function*() {
      for (const index of [-1, 1 << 30]) {
        const error = yield* Effect.flip(ChatRelay.collect(chat(message("a", "stop", index))))
        assert.strictEqual(error.code, GrpcError.Status.INTERNAL)
      }
    }))

  it.effect("is given up when its reader takes nothing for two minutes", () =>
    Effect.gen(function*() {
      const fiber = yield* Effect.fork(
        Effect.flip(ChatRelay.relay((open) =>
          Effect.zipRight(
            Effect.sync(() => open({ pause: () => {}, resume: () => {} })(message("a"))),
            Effect.never
          ), () => {}))
      )
      yield* TestClock.adjust("119 seconds")
      assert.strictEqual((yield* Fiber.poll(fiber))._tag, "None")
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* Fiber.join(fiber)).code, GrpcError.Status.CANCELLED)
    }))

  it.effect("fails alone when writing it throws", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(ChatRelay.relay(chat(message("a", "stop")), () => {
        throw new RangeError("Invalid string length")
      }))
      assert.isTrue(Exit.isFailure(exit))
    }))
})
