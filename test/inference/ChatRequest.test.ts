import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as ChatRequest from "../../src/inference/ChatRequest.js"
import { Status } from "../../src/grpc/GrpcError.js"
import type { ChatCompletionRequest__Output } from "../../src/proto/generated/orchion/v1/ChatCompletionRequest.js"

const request = (more: Partial<ChatCompletionRequest__Output> = {}): ChatCompletionRequest__Output => ({
  model: "m",
  messages: [{ role: "user", content: "Hi" }],
  temperature: 0,
  stream: true,
  max_tokens: 0,
  options_json: "",
  greedy: false,
  ...more
})

const bodyOf = (asked: ChatCompletionRequest__Output): Record<string, unknown> =>
  JSON.parse(Either.getOrThrow(ChatRequest.toEngine(asked)).bodyFor("engine:latest"))

const refusal = (asked: ChatCompletionRequest__Output): string => {
  const made = ChatRequest.toEngine(asked)
  if (Either.isRight(made)) return assert.fail("it is not refused")
  assert.strictEqual(made.left.code, Status.INVALID_ARGUMENT)
  return made.left.details
}

describe("what an engine is asked", () => {
  it("names the model as the engine does, whatever the options say", () => {
    const body = bodyOf(request({ options_json: "{\"top_p\":0.5,\"__proto__\":{\"a\":1}}" }))
    assert.deepInclude(body, { model: "engine:latest", top_p: 0.5, stream: true })
  })

  it("has no halves of surrogate pairs, and every text that only looks like one", () => {
    const body = bodyOf(request({
      messages: [{ role: "user", content: "a\ud83d\\ud83d 🙂 \\\\\ud83d" }],
      options_json: "{\"stop\":\"\\ud83d\"}"
    }))
    assert.deepStrictEqual(body["messages"], [{ role: "user", content: "a\ufffd\\ud83d 🙂 \\\\\ufffd" }])
    assert.strictEqual(body["stop"], "\ufffd")
  })

  it("is nothing that has no bound", () => {
    assert.match(refusal(request({ model: "x".repeat(10_000_000) })), /10000000 characters; give at most 1000/)
    assert.match(refusal(request({ options_json: "{\"n\":5000}" })), /n cannot be 5000; give a number up to 1024/)
    assert.match(refusal(request({ options_json: `{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}` })), /too deeply/)
    assert.isBelow(refusal(request({ messages: [{ role: "x".repeat(1_000_000), content: "" }] })).length, 400)
  })

  it("is JSON or an error for every request, within a tenth of a second for each megabyte", () => {
    const text = fc.oneof(fc.string({ unit: "binary" }), fc.constantFrom("", "\ud83d", "user", "{}", "\\\"\n"))
    fc.assert(fc.property(
      fc.record({
        model: text,
        messages: fc.array(fc.record({ role: fc.oneof(text, fc.constant("user")), content: text }), { maxLength: 4 }),
        temperature: fc.float(),
        max_tokens: fc.integer(),
        greedy: fc.boolean(),
        options_json: fc.oneof(
          text,
          fc.json(),
          fc.dictionary(text, fc.jsonValue()).map((value) => JSON.stringify(value))
        )
      }),
      (given) => {
        const made = ChatRequest.toEngine(request(given))
        if (Either.isLeft(made)) {
          assert.notMatch(made.left.details, /["\\\n]/)
          return
        }
        const body = JSON.parse(made.right.bodyFor("m"))
        assert.deepInclude(body, { model: "m", stream: true })
        assert.isTrue(made.right.choices <= 1024)
      }
    ))
    for (const content of ["\\", "\ud83d", "\\ud83d", "\"", "a"]) {
      const long = content.repeat((1 << 20) / content.length)
      const times = [1, 2, 3].map(() => {
        const from = process.cpuUsage()
        ChatRequest.toEngine(request({ messages: [{ role: "user", content: long }] }))
        const { system, user } = process.cpuUsage(from)
        return (system + user) / 1000
      })
      assert.isBelow(Math.min(...times), 200, JSON.stringify(content))
    }
  })
})
