import { assert, describe, it } from "@effect/vitest"
import * as StatusLines from "../../src/cli/StatusLines.js"

/** A terminal of which only what it shows is kept. */
const screen = (columns: number) => {
  let lines = [""]
  let row = 0
  return {
    columns: () => columns,
    write: (text: string) => {
      for (const part of text.match(/\u001b\[\d*[A-Z]|\r|\n|[^\u001b\r\n]+/g) ?? []) {
        const up = /^\u001b\[(\d+)A$/.exec(part)
        if (up !== null) row -= Number(up[1])
        else if (part === "\u001b[0J") lines = [...lines.slice(0, row), ""]
        else if (part === "\n") lines[++row] ??= ""
        else if (part !== "\r") lines[row] = `${lines[row] ?? ""}${part}`
      }
    },
    shows: () => lines.slice(0, -1)
  }
}

describe("status lines", () => {
  it("stay below what is logged", () => {
    const terminal = screen(40)
    const status = StatusLines.make(terminal)
    status.log("first\n")
    status.show(["a 1", "b 1"])
    status.log("second\n")
    status.show(["a 2"])
    assert.deepStrictEqual(terminal.shows(), ["first", "second", "a 2"])
    status.show([])
    status.log("third\n")
    assert.deepStrictEqual(terminal.shows(), ["first", "second", "third"])
  })

  it("never wrap, and hold nothing that a terminal obeys", () => {
    const terminal = screen(30)
    const status = StatusLines.make(terminal)
    status.show(["x".repeat(100), "\u001b[2J\ngone"])
    assert.deepStrictEqual(terminal.shows(), [`${"x".repeat(28)}…`, " gone"])
  })
})
