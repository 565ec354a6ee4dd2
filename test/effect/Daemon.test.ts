import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as Daemon from "../../src/effect/Daemon.js"

const { Daemons } = Daemon

interface Line {
  readonly text: string
  readonly cause: string
  readonly annotations: ReadonlyArray<readonly [string, unknown]>
}

const collect = () => {
  const lines: Array<Line> = []
  const logger = Logger.make<unknown, void>(({ annotations, cause, message }) => {
    lines.push({
      text: [message].flat().map(String).join(" "),
      cause: Cause.pretty(cause),
      annotations: [...annotations]
    })
  })
  return { lines, layer: Logger.replace(Logger.defaultLogger, logger) }
}

describe("a daemon's loop", () => {
  it.scoped("that dies is logged with its cause and name, and its owner dies with it", () =>
    Effect.gen(function*() {
      const log = collect()
      yield* Effect.gen(function*() {
        const { join } = yield* Daemons
        yield* Daemon.start("sweep", Effect.delay(Effect.die(new Error("the table is gone")), "5 seconds"))
        yield* Daemon.start("beat", Effect.never)
        const owner = yield* Effect.fork(join)
        yield* TestClock.adjust("4 seconds")
        assert.isNull(yield* Fiber.poll(owner).pipe(Effect.map((exit) => exit._tag === "None" ? null : exit)))
        yield* TestClock.adjust("1 second")
        const exit = yield* Fiber.await(owner)
        assert.isTrue(Exit.isFailure(exit))
        assert.match(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "", /the table is gone/)
      }).pipe(Effect.provide(Layer.merge(Daemons.layer, log.layer)))
      assert.deepStrictEqual(log.lines.map(({ annotations, text }) => [text, annotations]), [
        ["The sweep loop died", [["loop", "sweep"]]]
      ])
      assert.match(log.lines[0]?.cause ?? "", /the table is gone/)
    }))

  it.scoped("that died before anybody joined is not missed", () =>
    Effect.gen(function*() {
      const log = collect()
      const exit = yield* Effect.gen(function*() {
        const { join } = yield* Daemons
        const fiber = yield* Daemon.start("sweep", Effect.die("gone"))
        yield* Fiber.await(fiber)
        return yield* Effect.exit(join)
      }).pipe(Effect.provide(Layer.merge(Daemons.layer, log.layer)))
      assert.isTrue(Exit.isFailure(exit))
      assert.lengthOf(log.lines, 1)
    }))

  it.scoped("ends with its caller's scope, silently, and its owner lives on", () =>
    Effect.gen(function*() {
      const log = collect()
      yield* Effect.gen(function*() {
        const { join } = yield* Daemons
        const scope = yield* Scope.make()
        let isReleased = false
        yield* Scope.extend(
          Daemon.start("sweep", Effect.onInterrupt(Effect.never, () => Effect.sync(() => isReleased = true))),
          scope
        )
        const owner = yield* Effect.fork(join)
        yield* TestClock.adjust("1 second")
        yield* Scope.close(scope, Exit.void)
        assert.isTrue(isReleased)
        assert.strictEqual((yield* Fiber.poll(owner))._tag, "None")
      }).pipe(Effect.provide(Layer.merge(Daemons.layer, log.layer)))
      assert.deepStrictEqual(log.lines, [])
    }))

  it.scoped("that comes to its end is no failure", () =>
    Effect.gen(function*() {
      const { join } = yield* Daemons
      const fiber = yield* Daemon.start("sweep", Effect.succeed(7))
      assert.strictEqual(yield* Fiber.join(fiber), 7)
      const owner = yield* Effect.fork(join)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual((yield* Fiber.poll(owner))._tag, "None")
    }).pipe(Effect.provide(Daemons.layer)))

  it.scoped("of one room ends the other rooms that were built together with it", () =>
    Effect.gen(function*() {
      class Lower extends Context.Tag("Lower")<Lower, { readonly fails: Effect.Effect<void> }>() {}
      const lower = Layer.scoped(
        Lower,
        Effect.as(Daemon.start("lower", Effect.delay(Effect.die("lost"), "1 second")), { fails: Effect.void })
      )
      const exit = yield* Effect.gen(function*() {
        yield* Lower
        const { join } = yield* Daemons
        const owner = yield* Effect.fork(join)
        yield* TestClock.adjust("1 second")
        return yield* Fiber.await(owner)
      }).pipe(
        Effect.provide(Layer.merge(Layer.provide(lower, Daemons.layer), Daemons.layer)),
        Effect.provide(collect().layer)
      )
      assert.isTrue(Exit.isFailure(exit))
    }))
})
