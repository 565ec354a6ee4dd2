import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { Status } from "../../src/grpc/GrpcError.js"
import * as Inference from "../support/Inference.js"
import * as StandIns from "../support/engines/StandIns.js"

const { finishOf, request, textOf } = Inference

describe("a node's inference", () => {
  it.scopedLive("relays a chat as chunks that end with a finish reason", () =>
    Effect.gen(function*() {
      const vllm = yield* StandIns.scoped("vllm", { switches: { tokenMs: 2 } })
      const node = yield* Inference.node([Inference.engine("vllm", vllm.url)])
      const messages = yield* node.chat(request("Hello"))
      assert.strictEqual(textOf(messages), StandIns.answerText("Hello"))
      assert.strictEqual(finishOf(messages), "stop")
      assert.isAbove(messages.length, 8)
      for (const message of messages) {
        assert.strictEqual(message.object, "chat.completion.chunk")
        assert.strictEqual(message.model, "test/model")
        assert.strictEqual(message.id, messages[0]?.id)
        assert.strictEqual(message.choices[0]?.message?.role, "assistant")
      }
      assert.deepStrictEqual(
        messages.slice(0, -1).map(({ choices }) => choices[0]?.finish_reason),
        messages.slice(1).map(() => "")
      )
      assert.strictEqual(messages.at(-1)?.usage?.completion_tokens, 16)
    }))
})
void Status
