import { assert, describe, it } from "@effect/vitest"
import * as Rate from "../../src/text/Rate.js"

describe("a rate", () => {
  it("is the mean of the last five seconds", () => {
    const rate = Rate.make()
    const at = 1_700_000_000_000
    rate.add(10, at)
    rate.add(5, at + 1000)
    assert.strictEqual(rate.perSecond(at + 1500), 3)
    assert.strictEqual(rate.perSecond(at + 5000), 1)
    assert.strictEqual(rate.perSecond(at + 6000), 0)
  })

  it("forgets what was counted when the clock was set back or the machine slept", () => {
    const rate = Rate.make()
    rate.add(10, 1_700_000_000_000)
    assert.strictEqual(rate.perSecond(1_600_000_000_000), 0)
    rate.add(10, 1_600_000_000_000)
    assert.strictEqual(rate.perSecond(1_600_000_000_000), 2)
    assert.strictEqual(rate.perSecond(1_700_000_000_000), 0)
  })
})
