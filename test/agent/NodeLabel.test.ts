import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as TestClock from "effect/TestClock"
import * as NodeLabel from "../../src/agent/NodeLabel.js"
import * as Source from "../../src/config/Source.js"
import * as Running from "./Running.js"

describe("a node's label", () => {
  it("is a key and a value", () => {
    for (const text of ["zone=rack-3", "a=", "team/owner=Vision & Co", "url=http://x/?a=b", "k8s.io/role=gpu"]) {
      const label = NodeLabel.format.parse(text)
      assert.isTrue(Either.isRight(label), text)
      if (Either.isRight(label)) assert.strictEqual(NodeLabel.format.print(label.right), text)
    }
  })

  it("is refused without a key, with white space in it, and with control characters", () => {
    const refused = [
      "",
      "zone",
      "=x",
      " zone=x",
      "zo ne=x",
      "zone=a\nb",
      "zone=\u001b[31m",
      "-a=b",
      `${"k".repeat(64)}=v`
    ]
    for (const text of [...refused, `k=${"v".repeat(254)}`]) {
      assert.isTrue(Either.isLeft(NodeLabel.format.parse(text)), text)
    }
  })

  it("is read from any text without a throw, and prints as it was written", () => {
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit: "binary" }), (text) => {
      const label = NodeLabel.format.parse(text)
      if (Either.isRight(label)) assert.strictEqual(NodeLabel.format.print(label.right), text)
    }))
  })

  it.scoped("is reported, the last of several with one key", () =>
    Effect.gen(function*() {
      const agent = yield* Running.start({
        sources: [Source.commandLine({ label: ["zone=a", "owner=vision", "zone=b"] })]
      })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(agent.orchestrator.calls[0]?.registration?.report.labels, { zone: "b", owner: "vision" })
    }))
})
