import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as TestClock from "effect/TestClock"
import * as Backoff from "../../src/effect/Backoff.js"

const options = { base: "1 second", cap: "10 seconds" } as const

describe("a backoff", () => {
  it("doubles from its base up to its cap, whatever the attempt", () => {
    const seconds = (attempt: number) => Duration.toSeconds(Backoff.wait(options, attempt))
    assert.deepStrictEqual([1, 2, 3, 4, 5, 6, 1_000, 1e9].map(seconds), [1, 2, 4, 8, 10, 10, 10, 10])
    assert.deepStrictEqual([0, -5].map(seconds), [1, 1])
  })

  it.effect("reports each error with the next wait, before the wait, and ends with the first success", () =>
    Effect.gen(function*() {
      const told: Array<readonly [error: string, waitMillis: number, at: number]> = []
      let tries = 0
      const fiber = yield* Backoff.untilItSucceeds(
        Effect.suspend(() => ++tries < 6 ? Effect.fail(`try ${tries}`) : Effect.succeed("there")),
        {
          ...options,
          onFailure: (error, wait) =>
            Effect.map(
              Clock.currentTimeMillis,
              (at) => void told.push([error, Math.round(Duration.toMillis(wait)), at])
            )
        }
      ).pipe(Effect.withRandom(Random.fixed([0.5])), Effect.fork)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* Fiber.join(fiber), "there")
      assert.deepStrictEqual(told, [
        ["try 1", 1_000, 0],
        ["try 2", 2_000, 1_000],
        ["try 3", 4_000, 3_000],
        ["try 4", 8_000, 7_000],
        ["try 5", 10_000, 15_000]
      ])
    }))
})
