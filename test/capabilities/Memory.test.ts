import { assert, describe, it } from "@effect/vitest"
import * as FastCheck from "effect/FastCheck"
import { parseVmStat } from "../../src/capabilities/MacOs.js"
import { parseMeminfo } from "../../src/capabilities/Memory.js"
import { fixture } from "./Support.js"

const KiB = 1024

describe("Memory", () => {
  it("reads totals, what is available and swap in bytes", () => {
    assert.deepStrictEqual(
      parseMeminfo("MemTotal: 100 kB\nMemFree: 10 kB\nMemAvailable: 60 kB\nSwapTotal: 20 kB\nSwapFree: 5 kB\n"),
      { totalBytes: 100 * KiB, availableBytes: 60 * KiB, swapTotalBytes: 20 * KiB, swapFreeBytes: 5 * KiB }
    )
  })

  it("knows that there is no swap, which is not the same as not knowing", () => {
    assert.strictEqual(parseMeminfo("MemTotal: 1 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n").swapTotalBytes, 0)
    assert.isFalse("swapTotalBytes" in parseMeminfo("MemTotal: 1 kB\n"))
  })

  it("adds up what is available where the kernel does not", () => {
    const { availableBytes } = parseMeminfo("MemTotal: 100 kB\nMemFree: 10 kB\nBuffers: 5 kB\nCached: 20 kB\n")
    assert.strictEqual(availableBytes, 35 * KiB)
  })

  it("knows what a Mac's programs can still get", () => {
    const total = 36 * 1024 ** 3
    const memory = parseVmStat(
      fixture("apple/vm_stat.txt"),
      "vm.swapusage: total = 2048.00M  used = 1024.50M  free = 1023.50M  (encrypted)\n",
      total
    )
    const used = (180_562 + 322_110 + 632_530 - 4_011) * 16_384
    assert.deepStrictEqual(memory, {
      availableBytes: total - used,
      swapTotalBytes: 2048 * 1024 ** 2,
      swapFreeBytes: 1023.5 * 1024 ** 2
    })
    assert.deepStrictEqual(parseVmStat("", "", total), {})
  })

  it("makes nothing impossible of any text", () => {
    const figure = FastCheck.oneof(
      FastCheck.nat().map(String),
      FastCheck.string(),
      FastCheck.constant("99999999999999999999")
    )
    const text = FastCheck.array(
      FastCheck.tuple(FastCheck.constantFrom("MemTotal", "MemFree", "MemAvailable", "SwapTotal", "SwapFree"), figure)
        .map(([key, value]) => `${key}: ${value} kB`)
    ).map((lines) => lines.join("\n"))
    FastCheck.assert(FastCheck.property(text, (meminfo) => {
      const memory = parseMeminfo(meminfo)
      for (const bytes of Object.values(memory)) assert.isTrue(Number.isSafeInteger(bytes) && bytes >= 0)
      assert.isTrue((memory.availableBytes ?? 0) <= (memory.totalBytes ?? Infinity))
      assert.isTrue((memory.swapFreeBytes ?? 0) <= (memory.swapTotalBytes ?? Infinity))
      assert.notStrictEqual(memory.totalBytes, 0)
    }))
  })
})
