import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as NodeRegistry from "../../../src/embedded/registry/NodeRegistry.js"
import { watched } from "../Watched.js"

const described = (id: string, hostname = `host-of-${id}`) => ({ id, hostname, agentAddress: "10.0.0.1:50052" })

/** The ids of what a change tells. */
const told = ({ nodes, removed, reset, seen }: NodeRegistry.RegistryChanges) => ({
  reset,
  removed,
  nodes: nodes.map(({ id }) => id),
  seen: seen.map(({ id }) => id)
})

const withRegistry = (options?: NodeRegistry.NodeRegistryOptions) =>
<A, E>(
  use: (registry: NodeRegistry.NodeRegistry) => Effect.Effect<A, E>
) => Effect.scoped(Effect.flatMap(watched(NodeRegistry.make(options)), use))

const usual = withRegistry()

const staleness = (registry: NodeRegistry.NodeRegistry, id: string) =>
  Effect.map(registry.get(id), Option.map(({ stale }) => stale))

describe("NodeRegistry", () => {
  it.effect("lists nodes in the order of their first registration, with the orchestrator's own times", () =>
    Effect.zipRight(
      TestClock.setTime(1_700_000_000_900),
      usual((registry) =>
        Effect.gen(function*() {
          yield* registry.register(described("b"))
          yield* TestClock.adjust("5 seconds")
          yield* registry.register(described("a"))
          yield* registry.register(described("b", "renamed"))
          assert.deepStrictEqual(yield* registry.list, [
            {
              id: "b",
              hostname: "renamed",
              agent_address: "10.0.0.1:50052",
              last_seen_unix: 1_700_000_005,
              registered_unix: 1_700_000_005,
              stale: false
            },
            {
              id: "a",
              hostname: "host-of-a",
              agent_address: "10.0.0.1:50052",
              last_seen_unix: 1_700_000_005,
              registered_unix: 1_700_000_005,
              stale: false
            }
          ])
        })
      )
    ))

  it.effect("replaces all that was known of a node that registers again", () =>
    usual((registry) =>
      Effect.gen(function*() {
        const capabilities = {
          cpu: "8 cores",
          memory: "",
          os: "",
          gpu_type: "",
          gpu_vram_total: "",
          gpu_vram_available: "",
          power_usage: "",
          gpu_vram_used: "",
          gpu_temperature: "",
          gpu_power_usage: "",
          agent_version: "",
          labels: {},
          gpus: [],
          disks: [],
          findings: [],
          engines: []
        }
        yield* registry.register({ ...described("a"), capabilities })
        yield* registry.update("a", { ...capabilities, cpu: "16 cores" })
        assert.strictEqual(Option.getOrThrow(yield* registry.get("a")).capabilities?.cpu, "16 cores")
        yield* registry.register(described("a"))
        assert.isFalse("capabilities" in Option.getOrThrow(yield* registry.get("a")))
      })
    ))

  it.effect("does not know a node that never registered", () =>
    usual((registry) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(registry.heartbeat("ghost"))
        assert.strictEqual(error._tag, "UnknownNode")
        assert.strictEqual(error.nodeId, "ghost")
        assert.isTrue(Option.isNone(yield* registry.get("ghost")))
      })
    ))

  it.effect("marks a node stale when it was silent for the timeout, to the millisecond", () =>
    withRegistry({ heartbeatTimeout: "30 seconds" })((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        yield* TestClock.adjust("12 seconds")
        yield* registry.heartbeat("a")
        yield* TestClock.adjust("29999 millis")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(false))
        yield* TestClock.adjust("1 millis")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(true))
      })
    ))

  it.effect("watches each node for itself, whenever it registered", () =>
    withRegistry({ heartbeatTimeout: "10 seconds" })((registry) =>
      Effect.gen(function*() {
        yield* TestClock.adjust("7 seconds")
        yield* registry.register(described("a"))
        yield* TestClock.adjust("6 seconds")
        yield* registry.register(described("b"))
        yield* TestClock.adjust("4 seconds")
        assert.deepStrictEqual((yield* registry.list).map(({ stale }) => stale), [true, false])
        yield* TestClock.adjust("6 seconds")
        assert.deepStrictEqual((yield* registry.list).map(({ stale }) => stale), [true, true])
      })
    ))

  it.effect("takes a stale node back at its next heartbeat, update or registration", () =>
    withRegistry({ heartbeatTimeout: "10 seconds" })((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(true))
        yield* registry.heartbeat("a")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(false))
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(true))
        yield* registry.register(described("a"))
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(false))
      })
    ))

  it.effect("drops a node that has been stale for long enough, and not before", () =>
    withRegistry({ heartbeatTimeout: "30 seconds", dropAfter: "10 minutes" })((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        yield* TestClock.adjust("629999 millis")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.some(true))
        yield* TestClock.adjust("10 millis")
        assert.deepStrictEqual(yield* staleness(registry, "a"), Option.none())
        assert.strictEqual((yield* Effect.flip(registry.heartbeat("a")))._tag, "UnknownNode")
      })
    ))

  it.effect("refuses one node too many, and still lets those it has register again", () =>
    withRegistry({ maxNodes: 2 })((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        yield* registry.register(described("b"))
        const error = yield* Effect.flip(registry.register(described("c")))
        assert.strictEqual(error._tag, "RegistryFull")
        assert.include(error.message, "no more than 2 nodes")
        yield* registry.register(described("a"))
      })
    ))

  it.effect("gives a subscriber everything first, then what changed since it last asked", () =>
    withRegistry({ heartbeatTimeout: "10 seconds", dropAfter: "10 seconds" })((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        const { next } = yield* registry.subscribe
        assert.deepStrictEqual(told(yield* next), { reset: true, removed: [], nodes: ["a"], seen: [] })
        yield* registry.register(described("b"))
        yield* registry.heartbeat("a")
        assert.deepStrictEqual(told(yield* next), { reset: false, removed: [], nodes: ["b"], seen: ["a"] })
        yield* TestClock.adjust("10 seconds")
        const stale = yield* next
        assert.deepStrictEqual(told(stale), { reset: false, removed: [], nodes: ["a", "b"], seen: [] })
        assert.isTrue(stale.nodes.every((node) => node.stale))
        yield* registry.heartbeat("b")
        assert.deepStrictEqual(told(yield* next), { reset: false, removed: [], nodes: ["b"], seen: [] })
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(told(yield* next), { reset: false, removed: ["a"], nodes: ["b"], seen: [] })
      })
    ))

  it.effect("gives a slow subscriber a thousand changes of a node as one", () =>
    usual((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        const { next } = yield* registry.subscribe
        yield* next
        yield* Effect.replicateEffect(registry.heartbeat("a"), 1000)
        yield* TestClock.adjust("5 seconds")
        yield* registry.heartbeat("a")
        const changes = yield* next
        assert.deepStrictEqual(told(changes), { reset: false, removed: [], nodes: [], seen: ["a"] })
        assert.strictEqual(changes.seen[0]?.last_seen_unix, 5)
      })
    ))

  it.effect("waits while nothing changes, and gives up its place when it is interrupted", () =>
    usual((registry) =>
      Effect.gen(function*() {
        const { next } = yield* registry.subscribe
        yield* next
        const waiting = yield* Effect.fork(next)
        yield* Effect.yieldNow()
        assert.isTrue(Option.isNone(yield* Fiber.poll(waiting)))
        yield* Fiber.interrupt(waiting)
        yield* registry.register(described("a"))
        assert.deepStrictEqual(told(yield* next).nodes, ["a"])
      })
    ))

  it.effect("does not report a removal when the node is there again", () =>
    withRegistry({ heartbeatTimeout: "1 second", dropAfter: "1 second" })((registry) =>
      Effect.gen(function*() {
        yield* registry.register(described("a"))
        const { next } = yield* registry.subscribe
        yield* next
        yield* TestClock.adjust("3 seconds")
        yield* registry.register(described("a"))
        assert.deepStrictEqual(told(yield* next), { reset: false, removed: [], nodes: ["a"], seen: [] })
      })
    ))

  it.effect("sends everything again to a subscriber that missed more removals than are remembered", () =>
    withRegistry({ heartbeatTimeout: "1 second", dropAfter: "1 second" })((registry) =>
      Effect.gen(function*() {
        const { next } = yield* registry.subscribe
        yield* next
        yield* Effect.forEach(Array.from({ length: 5000 }, (_, index) => described(`node-${index}`)), registry.register)
        const near = yield* registry.subscribe
        assert.strictEqual((yield* near.next).nodes.length, 5000)
        yield* TestClock.adjust("3 seconds")
        yield* registry.register(described("last"))
        assert.deepStrictEqual(told(yield* next), { reset: true, removed: [], nodes: ["last"], seen: [] })
      })
    ))

  it.effect("lets many follow it at once, each at its own pace", () =>
    usual((registry) =>
      Effect.gen(function*() {
        const [quick, slow] = yield* Effect.all([registry.subscribe, registry.subscribe])
        yield* quick.next
        yield* slow.next
        for (const id of ["a", "b", "c"]) {
          yield* registry.register(described(id))
          assert.deepStrictEqual(told(yield* quick.next).nodes, [id])
        }
        assert.deepStrictEqual(told(yield* slow.next).nodes, ["a", "b", "c"])
      })
    ))

  it.effect("wakes everyone who waits for a change, and streams the changes as they come", () =>
    usual((registry) =>
      Effect.gen(function*() {
        const first = yield* Effect.forEach([1, 2, 3], () => Deferred.make<void>())
        const fibers = yield* Effect.forEach(first, (started) =>
          Effect.fork(
            registry.changes.pipe(
              Stream.tap(() => Deferred.succeed(started, undefined)),
              Stream.take(2),
              Stream.runCollect
            )
          ))
        yield* Effect.forEach(first, Deferred.await)
        yield* registry.register(described("a"))
        const collected = yield* Effect.forEach(fibers, Fiber.join)
        for (const changes of collected) {
          assert.deepStrictEqual(Chunk.toReadonlyArray(changes).map(told), [
            { reset: true, removed: [], nodes: [], seen: [] },
            { reset: false, removed: [], nodes: ["a"], seen: [] }
          ])
        }
      })
    ))

  it.effect("ends its watch with its scope", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(usual((registry) => Effect.as(registry.register(described("a")), registry)))
      if (Exit.isFailure(exit)) return assert.fail("the registry did not start")
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* staleness(exit.value, "a"), Option.some(false))
      assert.deepStrictEqual(yield* TestClock.sleeps(), Chunk.empty())
    }))
})
