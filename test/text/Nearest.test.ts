import { assert, describe, it } from "vitest"
import { distance, nearest } from "../../src/text/Nearest.js"

describe("the distance of two names", () => {
  it.each([
    ["", "", 0],
    ["dev", "dev", 0],
    ["dve", "dev", 1],
    ["dev", "", 3],
    ["", "dev", 3],
    ["agent-prot", "agent-port", 1],
    ["kitten", "sitting", 3]
  ])("of %j and %j is %j", (a, b, expected) => {
    assert.strictEqual(distance(a, b), expected)
    assert.strictEqual(distance(b, a), expected)
  })
})

describe("the nearest name", () => {
  const names = ["dev", "orchestrator", "capabilities", "port"]
  it.each([
    ["dve", "dev"],
    ["DEV", "dev"],
    ["prot", "port"],
    ["capabilites", "capabilities"],
    ["orchestartor", "orchestrator"],
    ["serve", undefined],
    ["x", undefined],
    ["", undefined],
    ["d".repeat(100_000), undefined]
  ])("to %.20j is %j", (name, expected) => assert.strictEqual(nearest(name, names), expected))
})
