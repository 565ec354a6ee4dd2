import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { cut, oneLine, printable } from "../../src/text/Printable.js"

/** What must never reach a terminal or a log line. */
const obeyed = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/

/** Text that is mostly what a terminal obeys. */
const hostile = FastCheck.string({
  unit: FastCheck.oneof(
    FastCheck.constantFrom(
      "\u001b",
      "[",
      "]",
      "31m",
      "\u009b",
      "\u009d",
      "\u0007",
      "\u001b\\",
      "\u202e",
      "\u2066",
      "\n",
      "\r",
      "\ud83d",
      "\ude00"
    ),
    FastCheck.string({ minLength: 1, maxLength: 1, unit: "binary" })
  ),
  maxLength: 60
})

describe("text from elsewhere", () => {
  it("keeps nothing that a terminal obeys, on one line, and is well-formed", () => {
    FastCheck.assert(
      FastCheck.property(hostile, (text) => {
        for (const shown of [printable(text), oneLine(text)]) {
          assert.notMatch(shown, obeyed)
          assert.isTrue(shown.isWellFormed())
        }
      }),
      { numRuns: 5_000 }
    )
  })

  it("loses colours, titles and hyperlinks with their parameters, and keeps its words", () => {
    assert.strictEqual(printable("\u001b[1;31mred\u001b[0m"), "red")
    assert.strictEqual(printable("\u001b]0;title\u0007text"), "text")
    assert.strictEqual(printable("\u001b]8;;http://x\u001b\\link\u001b]8;;\u001b\\"), "link")
    assert.strictEqual(printable("a\r\nb\tc"), "a b c")
    assert.strictEqual(printable("user\u202etxt.exe"), "usertxt.exe")
  })

  it("is cleaned in linear time, whatever it is made of", () => {
    for (const unit of ["\u001b[", "\u001b]", "\u001b", "\u009b1;", "\u001b]\u001b\\", "\r", " ", "\u202e", "\ud83d"]) {
      const text = unit.repeat(Math.ceil(1024 ** 2 / unit.length))
      const startedAt = performance.now()
      printable(text)
      oneLine(text)
      // A quadratic scan of a mebibyte takes minutes.
      assert.isBelow(performance.now() - startedAt, 2_000, JSON.stringify(unit))
    }
  })

  it("is cut between characters, with a mark", () => {
    assert.strictEqual(cut("abc", 3), "abc")
    assert.strictEqual(cut("abcd", 3), "abc…")
    assert.strictEqual(cut("a\ud83d\ude00b", 2), "a…")
    FastCheck.assert(FastCheck.property(FastCheck.string({ unit: "grapheme" }), FastCheck.nat(20), (text, length) => {
      const shown = cut(text, length)
      assert.isAtMost(shown.length, length + 1)
      assert.isTrue(shown.isWellFormed())
    }))
  })
})
