import { assert, describe, it } from "@effect/vitest"
import * as Arr from "effect/Array"
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Reconnect from "../../src/orchestrator/Reconnect.js"

const waits = (tries: number, random: Random.Random) =>
  Effect.flatMap(
    Reconnect.ReconnectPolicy,
    (policy) => Schedule.run(Reconnect.schedule(policy), 0, Arr.replicate(undefined, tries))
  ).pipe(
    Effect.map((delays) => Chunk.toReadonlyArray(delays).map(Duration.toMillis)),
    Effect.withRandom(random)
  )

describe("the waits between tries", () => {
  it.effect("double from 0.5 s up to 30 s, and stay there for as long as it takes", () =>
    Effect.gen(function*() {
      const found = yield* waits(3_000, Random.fixed([0.5]))
      assert.lengthOf(found, 3_000)
      assert.deepStrictEqual(found.slice(0, 7), [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000])
      assert.deepStrictEqual(new Set(found.slice(6)), new Set([30_000]))
    }))

  it.effect("are each jittered by a fifth either way, the longest too", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* waits(7, Random.fixed([0]))).map(Math.round), [
        400,
        800,
        1_600,
        3_200,
        6_400,
        12_800,
        24_000
      ])
      assert.deepStrictEqual((yield* waits(7, Random.fixed([1]))).map(Math.round), [
        600,
        1_200,
        2_400,
        4_800,
        9_600,
        19_200,
        36_000
      ])
    }))
})
