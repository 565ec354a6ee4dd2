import { assert, describe, it } from "@effect/vitest"
import type { ChatCompletionResponse } from "../../src/proto/generated/orchion/v1/ChatCompletionResponse.js"
import * as ChatPump from "../../src/chat/ChatPump.js"

/** A pump into a list; the reader takes the next message when it is told to. */
const start = () => {
  const messages: Array<ChatCompletionResponse> = []
  const flow: Array<"pause" | "resume"> = []
  let take: (() => void) | undefined
  const pump = ChatPump.make({
    head: { id: "x", model: "m", created: 1 },
    write: (message, taken) => {
      assert.isUndefined(take, "one message at a time")
      messages.push(message)
      take = taken
    },
    failed: (error) => {
      throw error
    },
    pause: () => flow.push("pause"),
    resume: () => flow.push("resume")
  })
  return {
    pump,
    messages,
    flow,
    texts: () => messages.map(({ choices }) => choices?.[0]?.message?.content),
    take: () => {
      const taken = take
      take = undefined
      taken?.()
    }
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe("the pump of a chat", () => {
  it("sends each piece at once to a reader that keeps up", async () => {
    const { pump, take, texts } = start()
    for (const text of ["a", "b", "c"]) {
      pump.push(0, text, "", 1)
      await turn()
      take()
    }
    assert.deepStrictEqual(texts(), ["a", "b", "c"])
  })

  it("joins what waits for a reader that is slow, and what came at once", async () => {
    const { messages, pump, take, texts } = start()
    pump.push(0, "a", "", 1)
    pump.push(0, "b", "", 1)
    await turn()
    for (const text of ["c", "d", "e"]) pump.push(0, text, "", 1)
    await turn()
    assert.deepStrictEqual(texts(), ["ab"])
    take()
    assert.deepStrictEqual(texts(), ["ab", "cde"])
    assert.deepStrictEqual(messages.map(({ pieces }) => pieces), [2, 3])
  })

  it("pauses the source when much waits, and lets it go on when it is gone", async () => {
    const { flow, pump, take } = start()
    pump.push(0, "a", "", 1)
    await turn()
    for (let piece = 0; piece < 17; piece++) pump.push(0, "x".repeat(1024), "", 1)
    assert.deepStrictEqual(flow, ["pause"])
    take()
    take()
    assert.deepStrictEqual(flow, ["pause", "resume"])
  })

  it("ends with the finish reason, after everything that waited, and reports when that is taken", async () => {
    const { messages, pump, take } = start()
    let sent = false
    pump.push(0, "a", "", 1)
    await turn()
    pump.push(0, "b", "", 1)
    pump.finish({ finishReasons: new Map([[0, "stop"]]), usage: { prompt_tokens: 1, completion_tokens: 2 } }, () => {
      sent = true
    })
    take()
    assert.isFalse(sent)
    take()
    assert.isTrue(sent)
    assert.deepStrictEqual(messages.at(-1)?.choices, [
      { index: 0, message: { role: "assistant", content: "b" }, finish_reason: "stop" }
    ])
    assert.deepStrictEqual(messages.at(-1)?.usage, { prompt_tokens: 1, completion_tokens: 2 })
  })

  it("keeps choices apart, and thoughts from words", async () => {
    const { messages, pump } = start()
    pump.push(1, "b", "", 1)
    pump.push(0, "", "hm", 1)
    pump.push(1, "c", "", 1)
    await turn()
    assert.deepStrictEqual(messages[0]?.choices, [
      { index: 0, message: { role: "assistant", content: "" }, finish_reason: "", reasoning: "hm" },
      { index: 1, message: { role: "assistant", content: "bc" }, finish_reason: "" }
    ])
  })

  it("completes an answer without text", async () => {
    const { messages, pump } = start()
    pump.finish({ finishReasons: new Map([[0, "length"]]) }, () => {})
    await turn()
    assert.deepStrictEqual(messages.map(({ choices }) => choices?.map(({ finish_reason }) => finish_reason)), [[
      "length"
    ]])
  })

  it("fails once when its reader's side throws, and calls nothing after that", async () => {
    const errors: Array<unknown> = []
    const pump = ChatPump.make({
      head: { id: "x", model: "m", created: 1 },
      write: () => {
        throw new RangeError("Invalid string length")
      },
      failed: (error) => errors.push(error),
      pause: () => {},
      resume: () => {}
    })
    pump.push(0, "a", "", 1)
    await turn()
    pump.push(0, "b", "", 1)
    await turn()
    assert.strictEqual(errors.length, 1)
  })

  it("counts the messages taken, and knows whether one is not", async () => {
    const { pump, take } = start()
    assert.deepStrictEqual([pump.taken(), pump.isWaiting()], [0, false])
    pump.push(0, "a", "", 1)
    await turn()
    assert.deepStrictEqual([pump.taken(), pump.isWaiting()], [0, true])
    take()
    assert.deepStrictEqual([pump.taken(), pump.isWaiting()], [1, false])
  })

  it("sends out what waits before a failure", async () => {
    const { pump, take, texts } = start()
    let sent = 0
    pump.push(0, "a", "", 1)
    await turn()
    pump.push(0, "b", "", 1)
    pump.flush(() => sent += 1)
    take()
    assert.strictEqual(sent, 0)
    take()
    assert.strictEqual(sent, 1)
    assert.deepStrictEqual(texts(), ["a", "b"])
  })
})
