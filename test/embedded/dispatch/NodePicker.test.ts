import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as NodePicker from "../../../src/embedded/dispatch/NodePicker.js"

const candidate = (id: string, more: Partial<NodePicker.Candidate> = {}): NodePicker.Candidate => ({
  id,
  isAvailable: true,
  serves: "ready",
  inFlight: 0,
  reported: 0,
  pickedAt: 0,
  ...more
})

const picked = (...candidates: ReadonlyArray<NodePicker.Candidate>) => NodePicker.pick(candidates)?.id

describe("the pick of a node", () => {
  const cases: ReadonlyArray<
    readonly [what: string, candidates: ReadonlyArray<NodePicker.Candidate>, id: string | undefined]
  > = [
    ["of nobody", [], undefined],
    ["by what was sent to it", [candidate("a", { inFlight: 1 }), candidate("b")], "b"],
    ["then by what it reports", [candidate("a", { reported: 2 }), candidate("b", { reported: 1 })], "b"],
    ["then by who was picked longest ago", [candidate("a", { pickedAt: 2 }), candidate("b", { pickedAt: 1 })], "b"],
    ["that serves before all others", [candidate("a", { serves: "unknown" }), candidate("b", { inFlight: 9 })], "b"],
    ["of those that can be reached", [candidate("a", { isAvailable: false }), candidate("b", { inFlight: 9 })], "b"],
    ["of nobody else while one has it and is not ready", [
      candidate("a", { serves: "unready" }),
      candidate("b", { serves: "unknown" }),
      candidate("c", { serves: "pullable" })
    ], undefined],
    ["of nobody else while the one that has it was asked already", [
      candidate("a", { isAvailable: false }),
      candidate("b", { serves: "unknown" })
    ], undefined],
    ["that has answered before one that says nothing", [
      candidate("a", { serves: "unknown" }),
      candidate("b", { serves: "answered", inFlight: 5 })
    ], "b"],
    ["that says nothing before one that could pull", [
      candidate("a", { serves: "pullable" }),
      candidate("b", { serves: "unknown", inFlight: 5 })
    ], "b"],
    ["that could pull when those that say nothing were asked", [
      candidate("a", { serves: "pullable" }),
      candidate("b", { serves: "unknown", isAvailable: false })
    ], "a"],
    ["never of one that does not have it", [candidate("a", { serves: "no" })], undefined]
  ]
  for (const [what, candidates, id] of cases) {
    it(`is ${what}`, () => assert.strictEqual(picked(...candidates), id))
  }

  it("is always an available node, the same whatever the order, and none of its kind is less busy", () => {
    const any = FastCheck.record({
      id: FastCheck.string(),
      isAvailable: FastCheck.boolean(),
      serves: FastCheck.constantFrom<NodePicker.Serves>("ready", "unready", "answered", "unknown", "pullable", "no"),
      inFlight: FastCheck.nat(5),
      reported: FastCheck.nat(5),
      pickedAt: FastCheck.nat()
    })
    FastCheck.assert(FastCheck.property(
      FastCheck.uniqueArray(any, { selector: ({ pickedAt }) => pickedAt, maxLength: 12 }),
      (candidates) => {
        const found = NodePicker.pick(candidates)
        assert.strictEqual(NodePicker.pick([...candidates].reverse()), found)
        if (found === undefined) return
        assert.isTrue(found.isAvailable)
        assert.notInclude(["unready", "no"], found.serves)
        for (const other of candidates) {
          if (other.isAvailable && other.serves === found.serves) assert.isAtLeast(other.inFlight, found.inFlight)
        }
      }
    ))
  })
})
