import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import type { EventStreamOptions } from "../../../src/embedded/http/EventStream.js"
import * as Dispatcher from "../../../src/embedded/dispatch/Dispatcher.js"
import * as HttpApi from "../../../src/embedded/http/HttpApi.js"
import * as HttpListener from "../../../src/net/HttpListener.js"
import type { CapabilitiesJson } from "../../../src/embedded/registry/NodeJson.js"
import * as NodeRegistry from "../../../src/embedded/registry/NodeRegistry.js"
import * as EventSource from "../EventSource.js"
import * as Running from "../Running.js"
import { watched } from "../Watched.js"

const liveClock = Clock.make()

const hello = {
  version: "1.2.3",
  grpc_port: 50051,
  loopback: true,
  heartbeat_timeout_ms: 30_000,
  drop_after_ms: 600_000
}

const start = (
  options: {
    readonly registry?: NodeRegistry.NodeRegistryOptions
    readonly events?: EventStreamOptions
    readonly maxFollowers?: number
  } = {}
) =>
  Effect.gen(function*() {
    const registry = yield* watched(NodeRegistry.make(options.registry))
    const dispatcher = yield* watched(Dispatcher.make(registry))
    // The registry goes by the test's clock, what waits for sockets by the real one.
    const { port } = yield* Effect.withClock(liveClock)(Effect.orDie(HttpListener.make(
      { host: "127.0.0.1", port: 0 },
      yield* HttpApi.make({
        registry,
        dispatcher,
        names: { bindAddress: "127.0.0.1", hostname: "box" },
        hello: () => hello,
        events: { coalesce: "20 millis", ...options.events },
        ...(options.maxFollowers === undefined ? {} : { maxFollowers: options.maxFollowers })
      })
    )))
    return { registry, port }
  })

const described = (id: string) => ({ id, hostname: `host-of-${id}`, agentAddress: "10.0.0.1:50052" })

const namesOf = (events: ReadonlyArray<EventSource.Event>) => events.map(({ name }) => name)

/** Capabilities that are 20 kB of JSON and count how often they were turned into it. */
const counted = () => {
  let made = 0
  const json = {
    toJSON: () => {
      made += 1
      return { cpu: "x".repeat(20_000) }
    }
  }
  // Only its JSON form is ever looked at.
  return { capabilities: json as unknown as CapabilitiesJson, made: () => made }
}

describe("the stream of events", () => {
  it.scopedLive("begins with who it is and every node there is, and says when that is all", () =>
    Effect.gen(function*() {
      const { port, registry } = yield* start()
      yield* Effect.forEach(["a", "b"], (id) => registry.register(described(id)))
      const source = yield* EventSource.open(port)
      assert.strictEqual(source.status, 200)
      assert.strictEqual(source.headers["content-type"], "text/event-stream; charset=utf-8")
      assert.strictEqual(source.headers["cache-control"], "no-store")
      const [first, reset, nodes, ready] = yield* source.until("ready")
      assert.strictEqual(first?.name, "hello")
      assert.deepInclude(first?.data, hello)
      assert.deepStrictEqual(reset, { name: "reset", data: { nodes: 2 } })
      assert.strictEqual(nodes?.name, "nodes")
      assert.deepStrictEqual(nodes?.data, [...yield* registry.list])
      assert.deepStrictEqual(ready, { name: "ready", data: {} })
    }))

  it.scopedLive("says that it is complete also when there are no nodes", () =>
    Effect.gen(function*() {
      const { port } = yield* start()
      const source = yield* EventSource.open(port)
      assert.deepStrictEqual(namesOf(yield* source.until("ready")), ["hello", "reset", "ready"])
    }))

  it.scoped("reports nodes that register, send heartbeats, become stale, return and are dropped", () =>
    Effect.gen(function*() {
      const { port, registry } = yield* start()
      const source = yield* EventSource.open(port)
      yield* source.until("ready")
      yield* registry.register(described("a"))
      const came = yield* source.next
      assert.isTrue(came.name === "nodes" && came.data[0]?.id === "a")
      yield* TestClock.adjust("5 seconds")
      yield* registry.heartbeat("a")
      assert.deepStrictEqual(yield* source.next, { name: "seen", data: [["a", 5]] })
      yield* TestClock.adjust("30 seconds")
      const silent = yield* source.next
      assert.isTrue(silent.name === "nodes" && silent.data[0]?.stale)
      yield* registry.heartbeat("a")
      const back = yield* source.next
      assert.isTrue(back.name === "nodes" && back.data[0]?.stale === false && back.data[0].last_seen_unix === 35)
      yield* TestClock.adjust("30 seconds")
      yield* source.next
      yield* TestClock.adjust("11 minutes")
      assert.deepStrictEqual(yield* source.next, { name: "removed", data: ["a"] })
    }))

  it.scopedLive("sends changes within a short time as one", () =>
    Effect.gen(function*() {
      const { port, registry } = yield* start({ events: { coalesce: "1 second" } })
      yield* registry.register(described("a"))
      const source = yield* EventSource.open(port)
      yield* source.until("ready")
      yield* Effect.replicateEffect(registry.heartbeat("a"), 1000)
      yield* registry.register(described("b"))
      yield* registry.register(described("c"))
      const nodes = yield* source.next
      assert.isTrue(nodes.name === "nodes" && nodes.data.length === 2)
      const seen = yield* source.next
      assert.isTrue(seen.name === "seen" && seen.data.length === 1)
    }))

  it.scopedLive("says now and then that nothing happens, so that both sides notice when the other is gone", () =>
    Effect.gen(function*() {
      const { port } = yield* start({ events: { idle: "20 millis" } })
      const source = yield* EventSource.open(port)
      yield* source.until("ready")
      const idle = yield* source.next
      assert.isTrue(idle.name === "idle" && Math.abs(idle.data.now_ms - Date.now()) < 5000)
      assert.strictEqual((yield* source.next).name, "idle")
    }))

  it.scopedLive("sends thousands of nodes in many events", () =>
    Effect.gen(function*() {
      const { port, registry } = yield* start()
      yield* Effect.forEach(Array.from({ length: 5000 }, (_, index) => described(`n${index}`)), registry.register)
      const source = yield* EventSource.open(port)
      const events = yield* source.until("ready")
      const ids = events.flatMap((event) => event.name === "nodes" ? event.data.map(({ id }) => id) : [])
      assert.strictEqual(new Set(ids).size, 5000)
      assert.isAbove(events.length, 50)
    }))

  it.scopedLive("makes no more events than a client that stopped reading has taken, and then the latest state only", () =>
    Effect.gen(function*() {
      const { port, registry } = yield* start()
      const { capabilities, made } = counted()
      yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, index) => described(`n${index}`)),
        (node) => registry.register({ ...node, capabilities })
      )
      const source = yield* EventSource.open(port)
      yield* source.stopReading
      // 40 MB in all: what the system's own buffers hold of it is made, and no more.
      let before = -1
      while (made() !== before) {
        before = made()
        yield* Effect.sleep("100 millis")
      }
      assert.isBelow(made(), 1500)
      yield* Effect.replicateEffect(registry.heartbeat("n1"), 1000)
      yield* source.goOnReading
      yield* source.until("ready")
      const after = yield* source.next
      assert.isTrue(after.name === "seen" && after.data.length === 1)
    }))

  it.scopedLive("gives up a client that does not read, and its place goes to the next", () =>
    Effect.gen(function*() {
      const { port, registry } = yield* start({ events: { patience: "300 millis" }, maxFollowers: 1 })
      const { capabilities } = counted()
      yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, index) => described(`n${index}`)),
        (node) => registry.register({ ...node, capabilities })
      )
      const slow = yield* EventSource.open(port)
      yield* slow.stopReading
      const refused = yield* Running.get(port, "/api/events")
      assert.strictEqual(refused.status, 503)
      assert.strictEqual(refused.headers["retry-after"], "5")
      assert.isString(JSON.parse(refused.body).error)
      const second = yield* EventSource.open(port).pipe(
        Effect.filterOrFail(({ status }) => status === 200),
        Effect.retry({ while: () => true })
      )
      yield* second.next
      yield* slow.goOnReading
      assert.strictEqual(yield* Effect.flip(slow.until("ready")), "ended")
    }))

  it.scopedLive("has a place free again when a client leaves", () =>
    Effect.gen(function*() {
      const { port } = yield* start({ maxFollowers: 1 })
      yield* Effect.scoped(Effect.flatMap(EventSource.open(port), ({ next }) => next))
      const second = yield* EventSource.open(port).pipe(
        Effect.filterOrFail(({ status }) => status === 200),
        Effect.retry({ while: () => true })
      )
      assert.strictEqual((yield* second.next).name, "hello")
    }))

  it.scopedLive("does not hold up the server's end, whether its clients read or not", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { port, registry } = yield* Scope.extend(start(), scope)
      const { capabilities } = counted()
      yield* Effect.forEach(
        Array.from({ length: 2000 }, (_, index) => described(`n${index}`)),
        (node) => registry.register({ ...node, capabilities })
      )
      const stuck = yield* EventSource.open(port)
      yield* stuck.stopReading
      const reading = yield* EventSource.open(port)
      yield* reading.until("ready")
      const [taken] = yield* Effect.timed(Scope.close(scope, Exit.void))
      assert.isBelow(Duration.toMillis(taken), 500)
      yield* reading.closed
      yield* stuck.goOnReading
      yield* stuck.closed
    }))
})
