import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type * as ContainerEvents from "../../src/docker/ContainerEvents.js"
import { Docker } from "../../src/docker/Docker.js"
import * as Scripted from "./ScriptedDocker.js"
import { eventually, sleepThrough } from "./Waiting.js"

const labels = { "io.orchion.owner": "node-agent", "io.orchion.node-id": "n" }

const summary = (id: string) => ({
  Id: id,
  Names: [`/name-of-${id}`],
  Image: "some/image",
  State: "running",
  Labels: labels,
  Created: 1_700_000_000,
  Ports: [{ IP: "127.0.0.1", PrivatePort: 80, PublicPort: 8080, Type: "tcp" }, { PrivatePort: 81, Type: "tcp" }]
})

/** As Docker writes it: a time of 64 bits, which JavaScript cannot write. */
const event = (action: string, nanos: string, attributes: Record<string, string> = {}) =>
  `${
    JSON.stringify({
      Type: "container",
      Action: action,
      Actor: { ID: "abc", Attributes: { image: "some/image", name: "name-of-abc", ...labels, ...attributes } },
      time: Number(nanos.slice(0, -9))
    }).slice(0, -1)
  },"timeNano":${nanos}}\n`

/** A daemon with one container, whose events the test writes. */
const engine = Effect.map(Scripted.make, (server) => {
  server.on("GET /containers/json", Scripted.json([summary("abc")]))
  const open: Array<Parameters<Scripted.Answer>[0]> = []
  server.on("GET /events", (response) => {
    response.writeHead(200)
    response.flushHeaders()
    open.push(response)
  })
  return { ...server, send: (text: string) => open.at(-1)?.write(text), end: () => open.at(-1)?.end() }
})

const watching = Effect.gen(function*() {
  const docker = yield* Docker
  const seen: Array<ContainerEvents.ContainerEvent> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(docker.events(labels), (event) => Effect.sync(() => seen.push(event)))
  )
  const tags = () => seen.map((event) => event._tag === "Changed" ? event.action : event._tag)
  return { seen, fiber, tags }
})

describe("watching containers", () => {
  it.scoped("begins with all containers, and then has each change", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        yield* eventually(() => seen.length === 1)
        assert.deepStrictEqual(seen[0], {
          _tag: "Snapshot",
          containers: [{
            id: "abc",
            name: "name-of-abc",
            image: "some/image",
            state: "running",
            labels,
            createdAt: 1_700_000_000_000,
            ports: [{ container: 80, protocol: "tcp", hostIp: "127.0.0.1", host: 8080 }]
          }]
        })
        const text = event("oom", "1700000001000000001") + event("die", "1700000001500000002", { exitCode: "137" })
        server.send(text.slice(0, 50))
        server.send(text.slice(50))
        yield* eventually(() => seen.length === 3)
        assert.deepStrictEqual(tags(), ["Snapshot", "oom", "die"])
        assert.deepStrictEqual(seen[2], {
          _tag: "Changed",
          action: "die",
          id: "abc",
          name: "name-of-abc",
          labels,
          exitCode: 137,
          time: 1_700_000_001_500
        })
        const [events] = yield* server.arrived("GET /events")
        assert.deepStrictEqual(JSON.parse(events?.query.get("filters") ?? ""), {
          type: ["container"],
          label: ["io.orchion.owner=node-agent", "io.orchion.node-id=n"]
        })
        // It listens before it looks: nothing falls between the two.
        assert.isBelow(server.seen().indexOf("GET /events"), server.seen().indexOf("GET /containers/json"))
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
      yield* server.until(() => server.connections() === 0)
    }))

  it.scoped("reconnects after a loss, asks for what it missed, repeats nothing, and takes a snapshot", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        yield* eventually(() => seen.length === 1)
        server.send(event("start", "1700000001000000123") + event("pause", "1700000001000000123"))
        yield* eventually(() => seen.length === 3)
        yield* server.down
        yield* eventually(() => seen.length === 4)
        yield* server.up
        // Twice as long each time, give or take a fifth, from half a second on.
        while (server.requests.filter(({ path }) => path === "/events").length < 2) {
          yield* TestClock.adjust("200 millis")
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        yield* eventually(() => seen.length === 5)
        server.send(
          event("start", "1700000001000000123") + event("pause", "1700000001000000123")
            + event("unpause", "1700000001000000123") + event("die", "1700000002000000000")
        )
        yield* eventually(() => seen.length === 7)
        assert.deepStrictEqual(tags(), ["Snapshot", "start", "pause", "Lost", "Snapshot", "unpause", "die"])
        const requests = yield* server.arrived("GET /events", 2)
        assert.strictEqual(requests[1]?.query.get("since"), "1700000001.000000123")
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))

  it.scoped("says once that Docker is lost, however long it is", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* server.down
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        yield* eventually(() => seen.length === 1)
        for (let minute = 0; minute < 10; minute++) {
          yield* TestClock.adjust("1 minute")
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
        }
        assert.deepStrictEqual(tags(), ["Lost"])
        yield* server.up
        while (seen.length < 2) {
          yield* TestClock.adjust("200 millis")
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        assert.deepStrictEqual(tags(), ["Lost", "Snapshot"])
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))

  it.scoped("looks every few minutes all the same", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        for (let look = 1; look <= 4; look++) {
          yield* eventually(() => seen.length === look)
          while (seen.length === look) {
            yield* TestClock.adjust("10 seconds")
            yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          }
        }
        assert.isTrue(tags().every((tag) => tag === "Snapshot"))
        // One connection for the events all the while.
        assert.strictEqual((yield* server.arrived("GET /events")).length, 1)
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))

  it.scoped("looks also where Docker sends no header before its first event", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /events", Scripted.silence)
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        yield* server.arrived("GET /events")
        yield* sleepThrough(3000)
        yield* eventually(() => seen.length === 1)
        assert.deepStrictEqual(tags(), ["Snapshot"])
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))

  it.scoped("notices a daemon that hangs by its looks", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        yield* eventually(() => seen.length === 1)
        server.on("GET /containers/json", Scripted.silence)
        while (seen.length === 1) {
          yield* TestClock.adjust("10 seconds")
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        }
        assert.deepStrictEqual(tags(), ["Snapshot", "Lost"])
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))

  it.scoped("is not put off by an event that it cannot read", () =>
    Effect.gen(function*() {
      const server = yield* engine
      yield* Effect.gen(function*() {
        const { seen, tags } = yield* watching
        yield* eventually(() => seen.length === 1)
        server.send("{ not json\n\n{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"ID\":\"x\"}}\n")
        server.send(event("start", "1700000001000000001"))
        yield* eventually(() => seen.length === 2)
        assert.deepStrictEqual(tags(), ["Snapshot", "start"])
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))

  it.scoped("does not ask in a tight loop where Docker ends each stream at once", () =>
    Effect.gen(function*() {
      const server = yield* engine
      server.on("GET /events", Scripted.lines([]))
      yield* Effect.gen(function*() {
        const { fiber } = yield* watching
        for (let second = 0; second < 60; second++) {
          yield* TestClock.adjust("1 second")
          yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 2)))
        }
        assert.isBelow((yield* server.arrived("GET /events")).length, 9)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(Scripted.layer(server)), Effect.scoped)
    }))
})
