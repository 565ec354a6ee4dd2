import { assert, describe, it } from "@effect/vitest"
import type { ChatCompletionResponse } from "../../src/proto/generated/orchion/v1/ChatCompletionResponse.js"
import * as WholeAnswer from "../../src/chat/WholeAnswer.js"

const start = (limit?: number) => {
  const messages: Array<ChatCompletionResponse> = []
  const errors: Array<unknown> = []
  const answer = WholeAnswer.make({
    head: { id: "x", model: "m", created: 1 },
    write: (message, taken) => {
      messages.push(message)
      taken()
    },
    failed: (error) => errors.push(error),
    ...(limit === undefined ? {} : { limit })
  })
  return { answer, messages, errors }
}

const end = (...indices: ReadonlyArray<number>) => ({ finishReasons: new Map(indices.map((index) => [index, "stop"])) })

describe("a whole answer", () => {
  it("is one message with all of each choice's text, in the order of the choices", () => {
    const { answer, messages } = start()
    answer.push(1, "b", "", 1)
    answer.push(0, "", "hm", 1)
    answer.push(0, "a", "", 1)
    answer.push(1, "c", "", 1)
    let isSent = false
    answer.finish(end(1, 0), () => {
      isSent = true
    })
    assert.isTrue(isSent)
    assert.deepStrictEqual(messages, [{
      id: "x",
      model: "m",
      created: 1,
      object: "chat.completion",
      pieces: 4,
      choices: [
        { index: 0, message: { role: "assistant", content: "a" }, reasoning: "hm", finish_reason: "stop" },
        { index: 1, message: { role: "assistant", content: "bc" }, reasoning: "", finish_reason: "stop" }
      ],
      usage: null
    }])
  })

  it("fails once beyond its bound, which counts all choices and their reasoning, and sends nothing", () => {
    const { answer, errors, messages } = start(10)
    answer.push(0, "12345", "", 1)
    answer.push(1, "", "12345", 1)
    assert.deepStrictEqual(errors, [])
    for (let piece = 0; piece < 3; piece++) answer.push(2, "6", "", 1)
    answer.finish(end(0), () => assert.fail("nothing is sent"))
    assert.strictEqual(errors.length, 1)
    assert.instanceOf(errors[0], WholeAnswer.AnswerTooLarge)
    assert.deepStrictEqual(messages, [])
  })

  it("joins halves of surrogate pairs, and replaces those that stay alone", () => {
    const { answer, messages } = start()
    answer.push(0, "a\ud83d", "\udc00", 1)
    answer.push(0, "\ude42b\ud83d", "", 1)
    answer.finish(end(0), () => {})
    assert.deepInclude(messages[0]?.choices?.[0], {
      message: { role: "assistant", content: "a🙂b\ufffd" },
      reasoning: "\ufffd"
    })
  })

  it("takes little more memory than its text, however small its pieces are", () => {
    const before = process.memoryUsage().heapUsed
    const { answer } = start()
    for (let piece = 0; piece < 1 << 20; piece++) answer.push(0, "x", "", 1)
    assert.isBelow(process.memoryUsage().heapUsed - before, 24 << 20)
  })
})
