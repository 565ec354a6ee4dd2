import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Probe from "../../src/capabilities/Probe.js"

/** A probe that counts its runs, each of which takes as long as it is told to. */
const counting = (goodFor?: "1 minute") => {
  let runs = 0
  return Effect.map(
    Probe.make<number>({
      subject: "numbers",
      initial: 0,
      detect: () =>
        Effect.gen(function*() {
          runs++
          yield* Effect.sleep("3 seconds")
          return { facts: runs, findings: [], ...(goodFor === undefined ? {} : { goodFor }) }
        })
    }),
    (probe) => ({ probe, runs: () => runs })
  )
}

describe("Probe", () => {
  it.scoped("answers with what it knows while it looks again", () =>
    Effect.gen(function*() {
      const { probe } = yield* counting()
      yield* probe.start
      assert.strictEqual(probe.last().facts, 0)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(probe.last().facts, 1)
      yield* probe.start
      yield* TestClock.adjust("1 second")
      assert.strictEqual(probe.last().facts, 1)
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(probe.last().facts, 2)
    }))

  it.scoped("does not start a second run while one is under way, and all who wait get the same one", () =>
    Effect.gen(function*() {
      const { probe, runs } = yield* counting()
      const waiting = yield* Effect.forkAll([probe.run, probe.run, Effect.zipRight(probe.start, probe.run)])
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(waiting)
      assert.strictEqual(runs(), 1)
    }))

  it.scoped("keeps facts as long as they are good, until it must forget them", () =>
    Effect.gen(function*() {
      const { probe, runs } = yield* counting("1 minute")
      yield* probe.start
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.adjust("59 seconds")
      yield* probe.run
      assert.strictEqual(runs(), 1)
      yield* TestClock.adjust("1 second")
      yield* probe.start
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(runs(), 2)
      probe.forget()
      yield* probe.start
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(runs(), 3)
    }))

  it.scoped("looks again after a forgetting that came while it looked", () =>
    Effect.gen(function*() {
      const { probe, runs } = yield* counting("1 minute")
      yield* probe.start
      yield* TestClock.adjust("1 second")
      probe.forget()
      yield* TestClock.adjust("2 seconds")
      yield* probe.start
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(runs(), 2)
    }))

  it.scoped("looks again when the clock was set back", () =>
    Effect.gen(function*() {
      const { probe, runs } = yield* counting("1 minute")
      yield* TestClock.setTime(1_000_000)
      yield* probe.start
      yield* TestClock.adjust("3 seconds")
      yield* TestClock.setTime(500_000)
      yield* probe.start
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(runs(), 2)
    }))

  it.scoped("makes a finding of its own defects, and continues", () =>
    Effect.gen(function*() {
      let broken = true
      const probe = yield* Probe.make<string>({
        subject: "riddles",
        initial: "unknown",
        detect: () =>
          broken
            ? Effect.die(new TypeError("undefined is not a function"))
            : Effect.succeed({ facts: "solved", findings: [] })
      })
      yield* probe.run
      assert.strictEqual(probe.last().facts, "unknown")
      assert.strictEqual(probe.last().findings[0]?.code, "probe.failed")
      assert.include(probe.last().findings[0]?.message, "riddles")
      broken = false
      yield* TestClock.adjust("1 minute")
      yield* probe.run
      assert.deepStrictEqual(probe.last(), { facts: "solved", findings: [] })
    }).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))))

  it.effect("ends its run with the scope", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const interrupted = yield* Deferred.make<void>()
      const probe = yield* Scope.extend(
        Probe.make<number>({
          subject: "numbers",
          initial: 0,
          detect: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        }),
        scope
      )
      yield* probe.start
      yield* Effect.yieldNow()
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.await(interrupted)
      // Nobody is left to run it: nobody waits for it either.
      yield* probe.run
    }))
})
