import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Figures from "../../src/capabilities/Figures.js"

describe("Figures", () => {
  it("reads decimals with a point or a comma, and with a unit", () => {
    assert.strictEqual(Figures.decimal("75.21"), 75.21)
    assert.strictEqual(Figures.decimal(" 75,21 W "), 75.21)
    assert.strictEqual(Figures.decimal("81559 MiB"), 81559)
    assert.strictEqual(Figures.decimal("33°C"), 33)
  })

  it("takes nothing for a figure that is not plainly one", () => {
    for (const text of ["", "[N/A]", "-1", "1e9", "0x10", "1.2.3", "NaN", "Infinity", "12 apples", "٣", undefined]) {
      assert.isUndefined(Figures.decimal(text), text)
      assert.isUndefined(Figures.wholeNumber(text), text)
    }
    assert.isUndefined(Figures.wholeNumber("9999999999999999"))
  })

  it("never makes a negative, endless or missing number of a text", () => {
    FastCheck.assert(FastCheck.property(FastCheck.oneof(FastCheck.string(), FastCheck.double().map(String)), (text) => {
      for (const value of [Figures.decimal(text), Figures.wholeNumber(text), Figures.positiveInteger(text)]) {
        assert.isTrue(value === undefined || (Number.isFinite(value) && value >= 0))
      }
      const shown = Figures.printable(text, 10)

      assert.isTrue(
        shown === undefined || (shown.length > 0 && shown.length <= 10 && !/[\u0000-\u001f\u007f]/.test(shown))
      )
    }))
  })

  it("reads lists of processors, and refuses endless ones", () => {
    assert.deepStrictEqual(Figures.rangeList("0-3,8,10-11\n"), [0, 1, 2, 3, 8, 10, 11])
    assert.deepStrictEqual(Figures.rangeList("3-1"), [])
    assert.deepStrictEqual(Figures.rangeList("0-999999"), [])
    assert.deepStrictEqual(Figures.rangeList(""), [])
  })

  it("leaves out what is undefined", () => {
    assert.deepStrictEqual(Figures.known({ a: 1, b: undefined, c: 0 }), { a: 1, c: 0 })
  })
})
