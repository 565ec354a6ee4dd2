import { assert, describe, it } from "@effect/vitest"
import * as fc from "effect/FastCheck"
import * as ChatEvents from "../../src/chat/ChatEvents.js"
import type { EngineError } from "../../src/chat/EngineError.js"

interface Heard {
  text: string
  reasoning: string
  end: ChatEvents.ChatEnd | undefined
  error: EngineError | undefined
}

/** What a listener hears when the bytes come in these parts. */
const read = (parts: Iterable<Uint8Array>, choices?: number): Heard => {
  const heard: Heard = { text: "", reasoning: "", end: undefined, error: undefined }
  const events = ChatEvents.make({
    delta: (_, content, reasoning) => {
      assert.isUndefined(heard.end ?? heard.error, "nothing comes after the end")
      heard.text += content
      heard.reasoning += reasoning
    },
    done: (end) => {
      assert.isUndefined(heard.end ?? heard.error, "there is one end")
      heard.end = end
    },
    failed: (error) => {
      assert.isUndefined(heard.end ?? heard.error, "there is one end")
      heard.error = error
    }
  }, { choices: choices ?? 1 })
  for (const part of parts) events.push(Buffer.from(part))
  events.end()
  return heard
}

const chunk = (content: string, finish: string | null = null) =>
  JSON.stringify({
    id: "x",
    object: "chat.completion.chunk",
    choices: [{ index: 0, delta: { content }, finish_reason: finish }]
  })

const event = (data: string) => `data: ${data}\n\n`

const answer = (texts: ReadonlyArray<string>) =>
  texts.map((text) => event(chunk(text))).join("") + event(chunk("", "stop"))
  + event(JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: texts.length } }))
  + event("[DONE]")

function* cut(bytes: Uint8Array, at: ReadonlyArray<number>): Iterable<Uint8Array> {
  let from = 0
  for (const to of [...at].map((part) => part % (bytes.length + 1)).sort((a, b) => a - b)) {
    yield bytes.subarray(from, to)
    from = to
  }
  yield bytes.subarray(from)
}

const texts = fc.array(fc.string({ unit: "grapheme" }), { maxLength: 20 })

describe("the events of a chat", () => {
  it("are complete only with as many choices as were asked for", () => {
    const bytes = (indices: ReadonlyArray<number>) =>
      Buffer.from(
        indices.map((index) =>
          event(JSON.stringify({ choices: [{ index, delta: { content: "a" }, finish_reason: "stop" }] }))
        ).join("") + event("[DONE]")
      )
    assert.strictEqual(read([bytes([0])], 2).error?.kind, "incomplete")
    assert.deepStrictEqual([...read([bytes([0, 1])], 2).end?.finishReasons.keys() ?? []], [0, 1])
  })

  it("may be empty, and have blanks about their end", () => {
    const bytes = Buffer.from(`data:\n\ndata: \n\n${event(chunk("a", "stop"))}data: [DONE] \n\n`)
    const heard = read([bytes])
    assert.isUndefined(heard.error)
    assert.strictEqual(heard.text, "a")
    assert.isDefined(heard.end)
  })

  it("say the same wherever they are split", () => {
    const bytes = Buffer.from(answer(["Grüße, ", "日本", "🙂", "\n\n", "data: x"]))
    for (let at = 0; at <= bytes.length; at++) {
      const heard = read(cut(bytes, [at]))
      assert.strictEqual(heard.text, "Grüße, 日本🙂\n\ndata: x", `split at ${at}`)
      assert.deepStrictEqual([...heard.end?.finishReasons ?? []], [[0, "stop"]])
      assert.deepStrictEqual(heard.end?.usage, { promptTokens: 3, completionTokens: 5 })
    }
    assert.strictEqual(
      read(
        bytes.map((byte) => byte).reduce<Array<Buffer>>((all, byte) => {
          all.push(Buffer.from([byte]))
          return all
        }, [])
      ).text,
      "Grüße, 日本🙂\n\ndata: x"
    )
  })

  it("say the same in any of the forms that events may have", () => {
    fc.assert(fc.property(
      texts,
      fc.constantFrom("\n", "\r\n", "\r"),
      fc.boolean(),
      fc.boolean(),
      fc.array(fc.nat(), { maxLength: 30 }),
      (texts, newline, bom, comments, cuts) => {
        const form = (bom ? "\uFEFF" : "")
          + answer(texts).replaceAll("data: ", comments ? ": a comment\nid: 7\nretry: 10\nunknown\ndata:" : "data: ")
            .replaceAll("\n", newline)
          // A CR at the very end could be the first half of a CRLF.
          + ": the end\n"
        const heard = read(cut(Buffer.from(form), cuts))
        assert.strictEqual(heard.text, texts.join(""))
        assert.isDefined(heard.end)
      }
    ))
  })

  it("may spread their data over several lines", () => {
    const data = JSON.stringify(JSON.parse(chunk("a b")), undefined, 1).replaceAll("\n", "\ndata: ")
    assert.strictEqual(read([Buffer.from(event(data) + event(chunk("", "stop")))]).text, "a b")
  })

  it("are a failure without a finish reason, whatever else says that they are over", () => {
    const whole = event(chunk("a"))
    for (const text of ["", whole, whole + event("[DONE]"), `${whole}data: [DO`, event("[DONE]")]) {
      const { end, error } = read([Buffer.from(text)])
      assert.isUndefined(end)
      assert.strictEqual(error?.kind, "incomplete")
    }
    // One choice of two is over.
    const two = event(JSON.stringify({ choices: [{ index: 1, delta: { content: "b" } }] })) + event(chunk("a", "stop"))
    assert.strictEqual(read([Buffer.from(two + event("[DONE]"))]).error?.kind, "incomplete")
  })

  it("are complete with a finish reason, also when the connection ends there", () => {
    const { end, error, text } = read([Buffer.from(event(chunk("a")) + event(chunk("b", "length")))])
    assert.isUndefined(error)
    assert.strictEqual(text, "ab")
    assert.deepStrictEqual([...end?.finishReasons ?? []], [[0, "length"]])
  })

  it("have an error in the engine's words, in each engine's format", () => {
    const cases: ReadonlyArray<readonly [string, string, string]> = [
      ["{\"error\":{\"message\":\"too\\nlong\",\"type\":\"x\",\"code\":400}}", "invalid-request", "too long"],
      ["{\"error\":{\"message\":\"no room\",\"code\":503}}", "overloaded", "no room"],
      ["{\"error\":\"the runner died\"}", "failed", "the runner died"],
      ["{\"error\":{}}", "failed", "{}"],
      ["{\"error\":true}", "failed", "true"]
    ]
    for (const [data, kind, reason] of cases) {
      const { end, error, text } = read([Buffer.from(event(chunk("a")) + event(data) + event("[DONE]"))])
      assert.strictEqual(text, "a")
      assert.isUndefined(end)
      assert.deepStrictEqual([error?.kind, error?.reason], [kind, reason])
    }
  })

  it("are an error where the engine reports one in band", () => {
    const object = JSON.stringify({ object: "error", message: "out of memory", code: 400 })
    assert.strictEqual(read([Buffer.from(event(object))]).error?.reason, "out of memory")
    const { end, error, text } = read([Buffer.from(event(chunk("a")) + event(chunk("", "error")) + event("[DONE]"))])
    assert.deepStrictEqual([text, end, error?.kind], ["a", undefined, "failed"])
  })

  it("end when they flood without text, and not for an engine that thinks in secret", () => {
    let now = 0
    const flood = (bytes: Buffer, times: number, perSecond: number) => {
      let error: EngineError | undefined
      const events = ChatEvents.make({
        delta: () => {},
        done: () => {},
        failed: (failure) => {
          error = failure
        }
      }, { now: () => now })
      for (let sent = 0; sent < times && error === undefined; sent++) {
        events.push(bytes)
        now += 1000 / perSecond
      }
      return error?.kind
    }
    assert.strictEqual(flood(Buffer.from(": comment\n\n".repeat(1000)), 5000, 1000), "invalid-response")
    assert.strictEqual(flood(Buffer.from(event(chunk("")).repeat(100)), 5000, 1000), "invalid-response")
    assert.strictEqual(flood(Buffer.alloc(1000, "\r"), 50_000, 10_000), "invalid-response")
    assert.isUndefined(flood(Buffer.from(event(chunk(""))), 100_000, 1000))
    assert.isUndefined(flood(Buffer.from(": keep-alive\n\n"), 100_000, 1))
    assert.isUndefined(flood(Buffer.from(event(chunk("a")).repeat(100)), 5000, 1000))
  })

  it("have no choices that cannot be, and no usage", () => {
    for (const index of [-1, 0.5, 1e9, "0", {}]) {
      const data = JSON.stringify({ choices: [{ index, delta: { content: "a" } }] })
      assert.strictEqual(read([Buffer.from(event(data))]).error?.kind, "invalid-response")
    }
    const usage = (value: unknown) =>
      read([Buffer.from(
        event(chunk("a", "stop")) + event(JSON.stringify({ usage: { prompt_tokens: value, completion_tokens: 3 } }))
          + event("[DONE]")
      )]).end?.usage
    for (const value of [-5, "9", null, {}, true]) {
      assert.deepStrictEqual(usage(value), { promptTokens: 0, completionTokens: 3 })
    }
    assert.deepStrictEqual(usage(1e300), { promptTokens: 2 ** 31 - 1, completionTokens: 3 })
  })

  it("may be nested as deeply as they like", () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000)
    for (const data of [deep, `{"error":${deep}}`, `{"choices":${deep}}`, `{"usage":${deep}}`]) {
      assert.isDefined(read([Buffer.from(event(data))]).error)
    }
  })

  it("keep what is thought apart from what is said", () => {
    const thought = (name: string) => JSON.stringify({ choices: [{ delta: { [name]: "hm", content: null } }] })
    const { reasoning, text } = read([
      Buffer.from(event(thought("reasoning_content")) + event(thought("reasoning")) + event(chunk("a", "stop")))
    ])
    assert.deepStrictEqual([text, reasoning], ["a", "hmhm"])
  })

  it("go on past bytes that are not UTF-8", () => {
    const bytes = Buffer.concat([
      Buffer.from("data: {\"choices\":[{\"delta\":{\"content\":\""),
      Buffer.from([0xff, 0xc3, 0x28, 0xe2, 0x82]),
      Buffer.from(`"}}]}\n\n${event(chunk("", "stop"))}`)
    ])
    assert.match(read([bytes]).text, /^\uFFFD/)
  })

  it("take no more memory than one event may have", () => {
    const part = Buffer.alloc(64 * 1024, "x")
    const endless = function*() {
      yield Buffer.from("data: ")
      for (let sent = 0; sent < 10 * 1024 * 1024; sent += part.length) yield part
    }
    const before = process.memoryUsage().heapUsed
    const { error } = read(endless())
    assert.strictEqual(error?.kind, "invalid-response")
    assert.isBelow(process.memoryUsage().heapUsed - before, 64 * 1024 * 1024)
    // A long one that ends is taken.
    const long = "y".repeat(2 * 1024 * 1024)
    assert.strictEqual(read([Buffer.from(event(chunk(long)) + event(chunk("", "stop")))]).text, long)
  })

  it("never throw, and always end, whatever comes", () => {
    fc.assert(fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (parts) => {
      const { end, error } = read(parts)
      assert.isTrue((end === undefined) !== (error === undefined))
    }))
    const pieces = fc.constantFrom(
      "data: ",
      "\n",
      "\n\n",
      "\r",
      "{\"choices\":[",
      "{\"choices\":[null,3,{}]}",
      "{\"choices\":[{\"index\":-1,\"delta\":3}]}",
      "null",
      "[]",
      "[DONE]",
      "{\"error\":null}",
      "{\"usage\":5}",
      chunk("a"),
      chunk("b", "stop")
    )
    fc.assert(fc.property(fc.array(pieces), (parts) => {
      const { end, error } = read(parts.map((part) => Buffer.from(part)))
      assert.isTrue((end === undefined) !== (error === undefined))
    }))
  })
})
