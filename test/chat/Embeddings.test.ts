import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as fc from "effect/FastCheck"
import * as Embeddings from "../../src/chat/Embeddings.js"

const item = (embedding: unknown, index?: unknown) => index === undefined ? { embedding } : { embedding, index }

describe("the embeddings of an answer", () => {
  it("stand where their index says, else where they come", () => {
    assert.deepStrictEqual(
      Embeddings.inOrder([item([2], 1), item([1], 0)], 2),
      Either.right([[1], [2]])
    )
    assert.deepStrictEqual(Embeddings.inOrder([item([1]), item([2])], 2), Either.right([[1], [2]]))
  })

  it.each<readonly [string, unknown, number, RegExp]>([
    ["too few", [item([1], 0)], 2, /1 embeddings for 2 inputs/],
    ["too many", [item([1], 0), item([1], 1)], 1, /2 embeddings for 1 inputs/],
    ["none", undefined, 1, /no embeddings/],
    ["an index beyond", [item([1], 1)], 1, /the index 1/],
    ["an index below", [item([1], -1)], 1, /the index -1/],
    ["an index that is no number", [item([1], "0")], 1, /the index 0/],
    ["an index twice", [item([1], 0), item([1], 0)], 2, /two embeddings with the index 0/],
    ["not a number", [item([Number.NaN], 0)], 1, /no list of numbers/],
    ["beyond all numbers", [item([Infinity], 0)], 1, /no list of numbers/],
    ["text", [item(["1"], 0)], 1, /no list of numbers/],
    ["nothing in one", [item([], 0)], 1, /no list of numbers/],
    ["a hole", [null], 1, /no list of numbers/]
  ])("are refused with %s", (_, data, count, reason) => {
    const found = Embeddings.inOrder(data, count)
    assert.match(Either.isLeft(found) ? found.left : "", reason)
  })

  it("are checked whatever they are", () => {
    fc.assert(fc.property(fc.anything(), fc.nat(5), (data, count) => {
      const found = Embeddings.inOrder(data, count)
      if (Either.isRight(found)) assert.strictEqual(found.right.length, count)
    }))
  })
})
