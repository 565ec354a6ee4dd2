import * as fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as SystemError from "../../src/text/SystemError.js"

const failure = (work: () => unknown): unknown => {
  try {
    work()
    return undefined
  } catch (error) {
    return error
  }
}

describe("an error of the operating system", () => {
  it("is described in words, without the call and the path", () => {
    const error = failure(() => fs.readFileSync("/not/there"))
    assert.strictEqual(SystemError.codeOf(error), "ENOENT")
    assert.strictEqual(SystemError.describe(error), "no such file or directory")
    assert.strictEqual(SystemError.describe(error, { ENOENT: "it is not installed" }), "it is not installed")
  })

  it("is its message when its code has no words, and never throws for what is no error", () => {
    assert.strictEqual(SystemError.describe(Object.assign(new Error("odd"), { code: "EODD" })), "odd")
    assert.strictEqual(SystemError.describe("text"), "text")
    assert.strictEqual(SystemError.describe(undefined), "undefined")
    assert.isUndefined(SystemError.codeOf({ code: "ENOENT" }))
    assert.isUndefined(SystemError.codeOf(Object.assign(new Error(""), { code: 2 })))
  })

  it("is found in a library's text", () => {
    assert.strictEqual(SystemError.codeIn("14 UNAVAILABLE: connect ECONNREFUSED 127.0.0.1:1"), "ECONNREFUSED")
    assert.isUndefined(SystemError.codeIn("nothing of the kind"))
    assert.strictEqual(SystemError.reasonOf("ECONNREFUSED"), "connection refused")
    assert.strictEqual(SystemError.reasonOf("EUNHEARD"), "EUNHEARD")
  })
})
