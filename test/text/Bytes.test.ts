import { assert, describe, it } from "@effect/vitest"
import * as Bytes from "../../src/text/Bytes.js"

describe("a number of bytes", () => {
  it("is written in the largest binary unit, with a decimal below 100", () => {
    const cases: ReadonlyArray<readonly [number, string]> = [
      [0, "0 B"],
      [1023, "1023 B"],
      [1024, "1.0 KiB"],
      [1536, "1.5 KiB"],
      [100 * 1024, "100 KiB"],
      [140 * 1024 ** 3, "140 GiB"],
      [1.5 * 1024 ** 5, "1.5 PiB"],
      [5000 * 1024 ** 5, "5000 PiB"]
    ]
    for (const [bytes, text] of cases) assert.strictEqual(Bytes.format(bytes), text)
  })
})
