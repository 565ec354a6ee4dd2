import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import * as Redactor from "../../src/text/Redactor.js"

const redacted = (secrets: ReadonlyArray<string>, text: string) => Redactor.make(secrets).redact(text)

describe("a secret", () => {
  const secret = "p@ss \"word\"/+ü"
  it.each([
    ["as it is", secret],
    ["in JSON", JSON.stringify({ token: secret })],
    ["in JSON within JSON", JSON.stringify(JSON.stringify({ token: secret }))],
    ["in a URL", `https://me:${encodeURIComponent(secret)}@host/`],
    ["in a form", encodeURIComponent(secret).replaceAll("%20", "+")],
    ["in Base64", Buffer.from(secret).toString("base64")],
    ["in Base64 for URLs", Buffer.from(secret).toString("base64url")],
    ["behind something else in Base64", Buffer.from(`user:${secret}`).toString("base64")],
    ["between others in Base64", Buffer.from(`{"a":"x","b":"${secret}"}`).toString("base64")]
  ])("is removed %s", (_, text) => {
    const shown = redacted([secret], `before ${text} after`)
    assert.match(shown, /^before .*\*\*\*.* after$/)
    assert.notInclude(shown, "word")
    assert.notInclude(shown, encodeURIComponent(secret).slice(4))
    assert.notInclude(shown, Buffer.from(secret).toString("base64").slice(4, 12))
  })

  it("of several lines is removed line by line", () => {
    const key = "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----"
    assert.strictEqual(redacted([key], "key: MIIEvQIBADAN"), "key: ***")
    assert.strictEqual(redacted([key], `key: ${key}`), "key: ***")
  })

  it("is not looked for when it is too short to be distinguished from other text", () => {
    assert.strictEqual(redacted(["1", "abc"], "INFO 11 abc"), "INFO 11 abc")
  })

  it("that overlaps another is removed with it", () => {
    assert.strictEqual(redacted(["abcdef", "defghi"], "-abcdefghi-"), "-***-")
    assert.strictEqual(redacted(["abcdef", "abcdefghi"], "-abcdefghi-"), "-***-")
  })

  it("that is the beginning of another is kept back until it is known which of them it is", () => {
    const stream = Redactor.make(["abcdef", "abcdefghi"]).stream()
    assert.deepStrictEqual([stream.push("-abcdef"), stream.push("gh"), stream.push("i-"), stream.flush()], [
      "-",
      "",
      "***-",
      ""
    ])
  })

  it.prop("in pieces is removed wherever they are split", {
    secret: FastCheck.string({ minLength: 6, maxLength: 30 }),
    before: FastCheck.string({ maxLength: 20 }),
    after: FastCheck.string({ maxLength: 20 }),
    at: FastCheck.array(FastCheck.nat(60), { maxLength: 6 })
  }, ({ after, at, before, secret }) => {
    const text = `${before}${secret}${after}`
    const cuts = [...new Set([0, ...at.map((cut) => Math.min(cut, text.length)), text.length])].sort((a, b) => a - b)
    const redactor = Redactor.make([secret])
    const stream = redactor.stream()
    const pieces = cuts.slice(1).map((end, index) => stream.push(text.slice(cuts[index], end)))
    assert.strictEqual([...pieces, stream.flush()].join(""), redactor.redact(text))
  })
})

it("takes no longer than the text is long", () => {
  const redactor = Redactor.make(["a".repeat(1000), "aaaaaaab", "\\\\\\\\\\\\"])
  const millisOf = (text: string) => {
    const from = performance.now()
    redactor.redact(text)
    return performance.now() - from
  }
  for (const part of ["a", "aaaaaaa", "\\", "x"]) {
    const long = part.repeat(2 ** 20 / part.length)
    // The best of several: a busy machine is no slow search.
    assert.isBelow(Math.min(...[0, 1, 2, 3].map(() => millisOf(long))), 400, part)
  }
})
