import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as OpenAiRequest from "../../../src/embedded/http/OpenAiRequest.js"

const chat = (message: Record<string, unknown>, more: Record<string, unknown> = {}) =>
  OpenAiRequest.chat(JSON.stringify({ model: "m", messages: [{ role: "user", content: "Hi", ...message }], ...more }))

describe("a chat request of OpenAI's API", () => {
  it("may hold fields of messages that engines ignore", () => {
    const hints = { name: "ann", refusal: null, annotations: [], tool_calls: [], function_call: null }
    const asked = Either.getOrThrow(chat(hints))
    assert.deepStrictEqual(asked.request.messages, [{ role: "user", content: "Hi" }])
  })

  it.each([
    ["tool_calls", [{ id: "1" }]],
    ["tool_call_id", "1"],
    ["function_call", { name: "f" }],
    ["audio", { id: "1" }]
  ])("is refused with the message's field %s, which would change the answer", (name, value) => {
    const asked = chat({ [name]: value })
    assert.strictEqual(Either.isLeft(asked) ? asked.left.param : "", `messages[0].${name}`)
  })

  it("is read or refused whatever it is", () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (body) => {
      OpenAiRequest.chat(body)
      OpenAiRequest.embeddings(body)
    }))
    fc.assert(fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (message) => {
      const asked = chat(message, message)
      if (Either.isRight(asked)) assert.isString(asked.right.request.model)
    }))
  })
})
