import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { known } from "../../src/node/Fields.js"
import * as Numbers from "../../src/capabilities/Numbers.js"

describe("Numbers", () => {
  it("reads decimals with a point or a comma, and with a unit", () => {
    assert.strictEqual(Numbers.decimal("75.21"), 75.21)
    assert.strictEqual(Numbers.decimal(" 75,21 W "), 75.21)
    assert.strictEqual(Numbers.decimal("81559 MiB"), 81559)
    assert.strictEqual(Numbers.decimal("33°C"), 33)
  })

  it("takes nothing for a number that is not plainly one", () => {
    for (const text of ["", "[N/A]", "-1", "1e9", "0x10", "1.2.3", "NaN", "Infinity", "12 apples", "٣", undefined]) {
      assert.isUndefined(Numbers.decimal(text), text)
      assert.isUndefined(Numbers.wholeNumber(text), text)
    }
    assert.isUndefined(Numbers.wholeNumber("9999999999999999"))
  })

  it("never makes a negative, endless or missing number of a text", () => {
    FastCheck.assert(FastCheck.property(FastCheck.oneof(FastCheck.string(), FastCheck.double().map(String)), (text) => {
      for (const value of [Numbers.decimal(text), Numbers.wholeNumber(text), Numbers.positiveInteger(text)]) {
        assert.isTrue(value === undefined || (Number.isFinite(value) && value >= 0))
      }
    }))
  })

  it("reads lists of processors, and refuses endless ones", () => {
    assert.deepStrictEqual(Numbers.rangeList("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11])
    assert.deepStrictEqual(Numbers.rangeList("3-1"), [])
    assert.deepStrictEqual(Numbers.rangeList("0-999999"), [])
    assert.deepStrictEqual(Numbers.rangeList(""), [])
  })

  it("leaves out what is undefined", () => {
    assert.deepStrictEqual(known({ a: 1, b: undefined, c: 0 }), { a: 1, c: 0 })
  })
})
