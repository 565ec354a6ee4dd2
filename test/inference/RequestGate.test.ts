import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import { Status } from "../../src/grpc/GrpcError.js"
import * as RequestGate from "../../src/inference/RequestGate.js"

const grace = Duration.seconds(30)

describe("the gate of requests", () => {
  it.effect("admits nothing while it drains, and ends with the last request in flight", () =>
    Effect.gen(function*() {
      const gate = yield* RequestGate.make
      const end = yield* Deferred.make<string>()
      const running = yield* Effect.fork(gate.admit(Deferred.await(end)))
      yield* Effect.yieldNow()
      const draining = yield* Effect.fork(gate.drain(grace))
      yield* Effect.yieldNow()
      const error = yield* Effect.flip(gate.admit(Effect.void))
      assert.strictEqual(error.code, Status.UNAVAILABLE)
      assert.strictEqual((yield* Fiber.poll(draining))._tag, "None")
      yield* Deferred.succeed(end, "done")
      assert.strictEqual(yield* Fiber.join(running), "done")
      yield* Fiber.join(draining)
      yield* gate.drain(grace)
    }))

  it.effect("cancels what is in flight when the grace period is over", () =>
    Effect.gen(function*() {
      const gate = yield* RequestGate.make
      const running = yield* Effect.fork(gate.admit(Effect.never))
      yield* Effect.yieldNow()
      const draining = yield* Effect.fork(gate.drain(grace))
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual((yield* Fiber.poll(running))._tag, "None")
      yield* TestClock.adjust("1 second")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(running)))
      yield* Fiber.join(draining)
    }))
})
