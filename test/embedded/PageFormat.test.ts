import { assert, describe, it } from "@effect/vitest"
import * as Format from "../../src/embedded/page/browser/Format.js"

const gib = 1024 ** 3

describe("numbers on the page", () => {
  it("give bytes in the largest unit that leaves a whole", () => {
    assert.strictEqual(Format.bytes(0), "0 B")
    assert.strictEqual(Format.bytes(1023), "1023 B")
    assert.strictEqual(Format.bytes(1536), "1.5 KiB")
    assert.strictEqual(Format.bytes(141 * gib), "141 GiB")
    assert.strictEqual(Format.bytes(1511 * gib), "1.5 TiB")
    assert.strictEqual(Format.bytes(2 ** 62), "4096 PiB")
  })

  it("give a part in the unit of the whole, unless it is too small for it", () => {
    assert.strictEqual(Format.bytesOf(2.2 * gib, 141 * gib), "2.2 of 141 GiB")
    assert.strictEqual(Format.bytesOf(0, 8 * gib), "0 of 8 GiB")
    assert.strictEqual(Format.bytesOf(307 * gib, 1511 * gib), "307 GiB of 1.5 TiB")
  })

  it("give a duration in its two largest units", () => {
    assert.strictEqual(Format.duration(0), "0 s")
    assert.strictEqual(Format.duration(59.9), "59 s")
    assert.strictEqual(Format.duration(60), "1 min")
    assert.strictEqual(Format.duration(3661), "1 h 1 min")
    assert.strictEqual(Format.duration(1_234_567), "14 d 6 h")
  })

  it("count the seconds since something was, as long as they matter", () => {
    assert.strictEqual(Format.ago(-3), "0 s ago")
    assert.strictEqual(Format.ago(75), "1 min 15 s ago")
    assert.strictEqual(Format.ago(1234), "20 min ago")
  })

  it("shorten an id only when that spares something", () => {
    assert.strictEqual(Format.shortId("node-7"), "node-7")
    assert.strictEqual(Format.shortId("2d3f1c9a-5a0e-4a8e-9a51-0d1f0cc2be11"), "2d3f1c9a…")
  })

  it("count in words", () => {
    assert.strictEqual(Format.count(1, "core"), "1 core")
    assert.strictEqual(Format.count(8, "core"), "8 cores")
  })
})
