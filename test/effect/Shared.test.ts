import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Shared from "../../src/effect/Shared.js"

/** Shared numbers, in the order they were made, and which of them are closed. */
const counted = (idleTimeToLive: Shared.SharedOptions<string, number, string, never>["idleTimeToLive"]) =>
  Effect.gen(function*() {
    const closed: Array<number> = []
    let made = 0
    const shared = yield* Shared.make({
      lookup: (_key: string) =>
        Effect.acquireRelease(
          Effect.sync(() => ++made),
          (number) => Effect.sync(() => closed.push(number))
        ),
      idleTimeToLive
    })
    /** A lease, and how it is given back. */
    const take = (key = "key") =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const lease = yield* Scope.extend(shared.lease(key), scope)
        return { ...lease, leave: Scope.close(scope, Exit.void) }
      })
    return { take, closed, made: () => made }
  })

describe("a shared resource", () => {
  it.scoped("is made once for all who use it at a time, and is another for each key", () =>
    Effect.gen(function*() {
      const { made, take } = yield* counted("1 minute")
      const leases = yield* Effect.all([take(), take(), take("other"), take()], { concurrency: "unbounded" })
      assert.deepStrictEqual(leases.map(({ value }) => value).sort(), [1, 1, 1, 2])
      assert.strictEqual(made(), 2)
    }))

  it.scoped("is closed after its idle time, counted from the last use", () =>
    Effect.gen(function*() {
      const { closed, take } = yield* counted("1 minute")
      yield* (yield* take()).leave
      yield* TestClock.adjust("40 seconds")
      const again = yield* take()
      assert.strictEqual(again.value, 1)
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(closed, [])
      yield* again.leave
      yield* TestClock.adjust("59 seconds")
      assert.deepStrictEqual(closed, [])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(closed, [1])
      assert.strictEqual((yield* take()).value, 2)
    }))

  it.scoped("is closed by its last user where it is not kept", () =>
    Effect.gen(function*() {
      const { closed, take } = yield* counted(0)
      const [one, two] = [yield* take(), yield* take()]
      yield* one.leave
      assert.deepStrictEqual(closed, [])
      yield* two.leave
      assert.deepStrictEqual(closed, [1])
    }))

  it.effect("is closed with its owner, where it is kept for ever", () =>
    Effect.gen(function*() {
      const { closed, take } = yield* Effect.scoped(Effect.tap(counted(Duration.infinity), ({ closed, take }) =>
        Effect.gen(function*() {
          yield* (yield* take()).leave
          yield* TestClock.adjust("365 days")
          assert.deepStrictEqual(closed, [])
          assert.strictEqual((yield* take()).value, 1)
        })))
      assert.deepStrictEqual(closed, [1])
      assert.isFunction(take)
    }))
})

describe("a shared resource that is discarded while it is used", () => {
  it.scoped("is closed when its last user leaves, and its replacement lives on", () =>
    Effect.gen(function*() {
      const { closed, take } = yield* counted("1 minute")
      const [one, two] = [yield* take(), yield* take()]
      yield* one.discard
      const next = yield* take()
      assert.strictEqual(next.value, 2)
      yield* one.leave
      assert.deepStrictEqual(closed, [])
      yield* two.leave
      assert.deepStrictEqual(closed, [1])
      // Long after the first one's time to live would have been over.
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(closed, [1])
      assert.strictEqual((yield* take()).value, 2)
    }))

  it.scoped("does not take its replacement along when it is discarded again, late", () =>
    Effect.gen(function*() {
      const { closed, take } = yield* counted("1 minute")
      const old = yield* take()
      yield* old.discard
      const next = yield* take()
      yield* old.discard
      yield* old.leave
      assert.deepStrictEqual(closed, [1])
      assert.strictEqual((yield* take()).value, next.value)
    }))

  it.effect("is closed with its owner, and its replacement too", () =>
    Effect.gen(function*() {
      const { closed } = yield* Effect.scoped(Effect.tap(counted(Duration.infinity), ({ take }) =>
        Effect.gen(function*() {
          yield* (yield* take()).discard
          yield* take()
        })))
      assert.deepStrictEqual([...closed].sort(), [1, 2])
    }))

  it.scoped("may discard itself", () =>
    Effect.gen(function*() {
      let made = 0
      const shared = yield* Shared.make({
        lookup: (_key: string, discard) => Effect.as(discard, ++made),
        idleTimeToLive: Duration.infinity
      })
      const lease = Effect.map(Effect.scoped(shared.lease("key")), ({ value }) => value)
      assert.deepStrictEqual([yield* lease, yield* lease], [1, 2])
    }))
})

describe("a shared resource that cannot be made", () => {
  it.scoped("fails all who wait for it, and is tried again for the next", () =>
    Effect.gen(function*() {
      let tries = 0
      const go = yield* Deferred.make<void>()
      const shared = yield* Shared.make({
        lookup: (_key: string) =>
          Effect.zipRight(
            Deferred.await(go),
            Effect.suspend(() => ++tries === 1 ? Effect.fail("no") : Effect.succeed(tries))
          ),
        idleTimeToLive: Duration.infinity
      })
      const lease = Effect.scoped(Effect.map(shared.lease("key"), ({ value }) => value))
      const waiting = yield* Effect.forkAll([Effect.flip(lease), Effect.flip(lease)])
      yield* Effect.yieldNow()
      yield* Deferred.succeed(go, undefined)
      assert.deepStrictEqual(yield* Fiber.join(waiting), ["no", "no"])
      assert.strictEqual(yield* lease, 2)
    }))

  it.scoped("is given up when the last one who waits leaves, and not before", () =>
    Effect.gen(function*() {
      let interrupted = 0
      const shared = yield* Shared.make({
        lookup: (_key: string) => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)),
        idleTimeToLive: 0
      })
      const lease = Effect.scoped(shared.lease("key"))
      const [one, two] = [yield* Effect.fork(lease), yield* Effect.fork(lease)]
      yield* Effect.yieldNow()
      yield* Fiber.interrupt(one)
      assert.strictEqual(interrupted, 0)
      yield* Fiber.interrupt(two)
      assert.strictEqual(interrupted, 1)
    }))
})

describe("keys", () => {
  it.scoped("share when they have the same identity", () =>
    Effect.gen(function*() {
      const shared = yield* Shared.make({
        lookup: (key: { readonly id: number; readonly text: string }) => Effect.succeed(key.text),
        identity: ({ id }) => id,
        idleTimeToLive: "1 minute"
      })
      const take = (id: number, text: string) => Effect.map(shared.lease({ id, text }), ({ value }) => value)
      assert.deepStrictEqual([yield* take(1, "a"), yield* take(1, "b"), yield* take(2, "c")], ["a", "a", "c"])
    }))
})
