import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { unifiedMemory } from "../../../src/capabilities/gpu/UnifiedMemory.js"

const GiB = 1024 ** 3

describe("UnifiedMemory", () => {
  const total = (own: number, shared: number | undefined, system: number | undefined) =>
    (unifiedMemory({
      ownTotal: own * GiB,
      ownUsed: GiB,
      sharedTotal: shared === undefined ? undefined : shared * GiB,
      sharedUsed: 2 * GiB
    }, system === undefined ? undefined : system * GiB).totalBytes ?? Number.NaN) / GiB

  it("adds up what is set aside and what may be taken, and counts pools that overlap once", () => {
    assert.deepStrictEqual(
      [
        // A small carve-out, most of the system's memory mapped.
        total(0.5, 108, 125),
        // 16 GiB of 64 set aside.
        total(16, 23.5, 47),
        // 96 GiB of 128 set aside: the system has what is left.
        total(96, 15.5, 31),
        // One memory of 128 GiB, seen twice.
        total(126, 96, 126),
        total(64, 120, 126),
        // No more can be taken than there is.
        total(0.5, 500, 125),
        total(0.5, undefined, 125),
        total(8, 8, undefined)
      ],
      [108.5, 39.5, 111.5, 126, 120, 125, 0.5, 16]
    )
  })

  it("never reports more in use than there is", () => {
    const bytes = FastCheck.option(FastCheck.nat(), { nil: undefined })
    FastCheck.assert(
      FastCheck.property(bytes, bytes, bytes, bytes, bytes, (ownTotal, ownUsed, sharedTotal, sharedUsed, system) => {
        const { totalBytes, usedBytes } = unifiedMemory({ ownTotal, ownUsed, sharedTotal, sharedUsed }, system)
        assert.isTrue(totalBytes !== undefined || usedBytes === undefined)
        assert.isAtMost(usedBytes ?? 0, totalBytes ?? 0)
      })
    )
  })
})
