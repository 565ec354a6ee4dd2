import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Stream from "effect/Stream"
import { type GrpcError, Status } from "../../src/grpc/GrpcError.js"
import type { Node } from "../../src/proto/generated/orchion/v1/Node.js"
import { LogStreamerService, OrchestratorService } from "../../src/proto/OrchionV1.js"
import * as Nodes from "./Nodes.js"
import * as Running from "./Running.js"

const deadline = "10 seconds"

const status = ({ codeName, details }: GrpcError) => ({ code: codeName, details })

const badIds: ReadonlyArray<readonly [what: string, id: string]> = [
  ["an empty id", ""],
  ["an id of 254 characters", "x".repeat(254)],
  ["an id of white space", "  "],
  ["an id with a line break", "node\n7"],
  ["an id with a control character", "node\u0007"],
  ["an id with an invisible character", "node\u200b7"]
]

describe("the embedded orchestrator's gRPC services", () => {
  it.scopedLive("registers a node and lists it with everything it said", () =>
    Effect.gen(function*() {
      const { client } = yield* Running.start()
      const node = Nodes.node("a", { capabilities: Nodes.complete })
      assert.deepStrictEqual(yield* client.unary(OrchestratorService, "RegisterNode", { node }, { deadline }), {})
      const { nodes } = yield* client.unary(OrchestratorService, "ListNodes", {}, { deadline })
      assert.strictEqual(nodes.length, 1)
      const [listed] = nodes
      if (listed === undefined || listed.capabilities === null) {
        return assert.fail("the node is not listed with its capabilities")
      }
      assert.strictEqual(listed.id, "a")
      assert.strictEqual(listed.hostname, "host-of-a")
      assert.strictEqual(listed.agent_address, "10.0.0.7:50052")
      assert.isFalse(listed.stale)
      assert.approximately(Number(listed.last_seen_unix), Date.now() / 1000, 5)
      const { capabilities } = listed
      assert.strictEqual(capabilities.cpu, "8 cores")
      assert.strictEqual(capabilities.gpu_temperature, "33°C")
      assert.strictEqual(capabilities.memory_info?.total_bytes, String(1511 * 1024 ** 3))
      assert.strictEqual(capabilities.os_info?.uptime_seconds, "1234567")
      assert.deepStrictEqual(capabilities.labels, { zone: "rack-7", _underscored: "kept", cache_bytes: "12" })
      assert.deepStrictEqual(capabilities.gpus.map(({ index }) => index), [0, 1])
      assert.strictEqual(capabilities.gpus[0]?.mig_instances[0]?.profile, "1g.18gb")
      assert.strictEqual(capabilities.engines[0]?.progress, 0.4)
      assert.isFalse("health_problem" in (capabilities.gpus[0] ?? {}))
    }))

  it.scopedLive("goes by its own clock, whatever a node says", () =>
    Effect.gen(function*() {
      const { client, register } = yield* Running.start()
      yield* register(Nodes.node("a", { last_seen_unix: 1, stale: true, registered_unix: 2 }))
      const { nodes } = yield* client.unary(OrchestratorService, "ListNodes", {}, { deadline })
      assert.approximately(Number(nodes[0]?.last_seen_unix), Date.now() / 1000, 5)
      assert.approximately(Number(nodes[0]?.registered_unix), Date.now() / 1000, 5)
      assert.isFalse(nodes[0]?.stale)
    }))

  it.scopedLive("takes heartbeats and updates of nodes that it knows", () =>
    Effect.gen(function*() {
      const { client, register } = yield* Running.start()
      yield* register(Nodes.node("a", { capabilities: Nodes.complete }))
      assert.deepStrictEqual(yield* client.unary(OrchestratorService, "Heartbeat", { node_id: "a" }, { deadline }), {})
      const update = { node_id: "a", capabilities: { ...Nodes.descriptions, cpu: "16 cores" } }
      assert.deepStrictEqual(yield* client.unary(OrchestratorService, "UpdateNode", update, { deadline }), {})
      const { nodes } = yield* client.unary(OrchestratorService, "ListNodes", {}, { deadline })
      assert.strictEqual(nodes[0]?.capabilities?.cpu, "16 cores")
      assert.isNull(nodes[0]?.capabilities?.cpu_info)
      assert.strictEqual(nodes[0]?.hostname, "host-of-a")
    }))

  it.scopedLive("answers NOT_FOUND to nodes that it does not know, so that they register", () =>
    Effect.gen(function*() {
      const { client } = yield* Running.start()
      const beat = yield* Effect.flip(
        client.unary(OrchestratorService, "Heartbeat", { node_id: "ghost" }, { deadline })
      )
      assert.deepStrictEqual(status(beat), {
        code: "NOT_FOUND",
        details: "the orchestrator does not know node ghost: register it"
      })
      const update = yield* Effect.flip(
        client.unary(OrchestratorService, "UpdateNode", { node_id: "ghost", capabilities: {} }, { deadline })
      )
      assert.strictEqual(update.code, Status.NOT_FOUND)
    }))

  it.scopedLive("refuses a registration without a node, and an update without capabilities", () =>
    Effect.gen(function*() {
      const { client } = yield* Running.start()
      const register = yield* Effect.flip(client.unary(OrchestratorService, "RegisterNode", {}, { deadline }))
      assert.deepStrictEqual(status(register), { code: "INVALID_ARGUMENT", details: "the request has no node" })
      const update = yield* Effect.flip(
        client.unary(OrchestratorService, "UpdateNode", { node_id: "a" }, { deadline })
      )
      assert.deepStrictEqual(status(update), { code: "INVALID_ARGUMENT", details: "the request has no capabilities" })
    }))

  for (const [what, id] of badIds) {
    it.scopedLive(`refuses ${what} in a sentence`, () =>
      Effect.gen(function*() {
        const { client } = yield* Running.start()
        const errors = yield* Effect.all([
          Effect.flip(client.unary(OrchestratorService, "RegisterNode", { node: Nodes.node(id) }, { deadline })),
          Effect.flip(client.unary(OrchestratorService, "Heartbeat", { node_id: id }, { deadline })),
          Effect.flip(
            client.unary(OrchestratorService, "UpdateNode", { node_id: id, capabilities: {} }, { deadline })
          )
        ])
        for (const { code, details } of errors) {
          assert.strictEqual(code, Status.INVALID_ARGUMENT)
          assert.match(details, /^the node's id .* give 1 to 253 characters without control characters$/)
          assert.isBelow(details.length, 250)
          assert.notMatch(details, /[\u0000-\u001f]/)
        }
      }))
  }

  it.scopedLive("takes an id of 253 characters in any script", () =>
    Effect.gen(function*() {
      const { client, register } = yield* Running.start()
      const ids = ["x".repeat(253), "узел-7", "節点"]
      yield* Effect.forEach(ids, (id) => register(Nodes.node(id, { hostname: "box" })))
      const { nodes } = yield* client.unary(OrchestratorService, "ListNodes", {}, { deadline })
      assert.deepStrictEqual(nodes.map(({ id }) => id), ids)
    }))

  it.scopedLive("shows a node that said goodbye as stopped, until it is heard again", () =>
    Effect.gen(function*() {
      const { client, get, heartbeat, register } = yield* Running.start()
      yield* register(Nodes.node("a"))
      const update = { node_id: "a", capabilities: Nodes.descriptions, leaving: true }
      yield* client.unary(OrchestratorService, "UpdateNode", update, { deadline })
      const node = Effect.map(get("/api/nodes"), ({ body }) => JSON.parse(body)[0])
      assert.deepInclude(yield* node, { stale: true, stopped: true })
      const { nodes, problems } = JSON.parse((yield* get("/api/summary")).body)
      assert.deepStrictEqual(nodes, { total: 1, live: 0, stale: 0, stopped: 1 })
      assert.deepStrictEqual(problems, [])
      yield* heartbeat("a")
      assert.isFalse((yield* node).stale)
      assert.isFalse("stopped" in (yield* node))
    }))

  const badAddresses = [
    ":24010",
    "unix:/run/docker.sock",
    "dns://8.8.8.8/box:50052",
    "ipv4:127.0.0.1:80",
    "2130706433:80",
    "0x7f.1:80",
    "127.1:80",
    "box",
    "http://box:50052",
    "user@box:50052"
  ]
  for (const agent_address of badAddresses) {
    it.scopedLive(`refuses the agent address ${agent_address}`, () =>
      Effect.gen(function*() {
        const { client } = yield* Running.start()
        const node = Nodes.node("a", { agent_address })
        const error = yield* Effect.flip(client.unary(OrchestratorService, "RegisterNode", { node }, { deadline }))
        assert.strictEqual(error.code, Status.INVALID_ARGUMENT)
        assert.match(error.details, /^the node's agent address cannot be '.*'; give host:port of its NodeAgent service/)
      }))
  }

  it.scopedLive("does not dial link-local addresses or its own ports, and says so on the node", () =>
    Effect.gen(function*() {
      const { client, get, port, register } = yield* Running.start()
      yield* register(Nodes.node("a", { agent_address: "169.254.169.254:80", capabilities: Nodes.complete }))
      yield* register(Nodes.node("b", { agent_address: `localhost:${port}` }))
      const nodes: ReadonlyArray<{ readonly address_problem: string }> = JSON.parse((yield* get("/api/nodes")).body)
      assert.deepStrictEqual(nodes.map(({ address_problem }) => address_problem), [
        "it is a link-local, multicast or unspecified address",
        "it is the orchestrator's own port"
      ])
      const { problems } = JSON.parse((yield* get("/api/summary")).body)
      assert.include(problems.map(({ code }: { readonly code: string }) => code), "node.address")
      const { nodes: listed } = yield* client.unary(OrchestratorService, "ListNodes", {}, { deadline })
      assert.strictEqual(listed.length, 2)
    }).pipe(Logger.withMinimumLogLevel(LogLevel.Error)))

  const oversized: ReadonlyArray<readonly [what: string, node: Node]> = [
    ["hostname", Nodes.node("a", { hostname: "h".repeat(254) })],
    ["agent address", Nodes.node("a", { agent_address: "h".repeat(301) })],
    ["capabilities", Nodes.node("a", { capabilities: { labels: { note: "n".repeat(200_000) } } })]
  ]
  for (const [what, node] of oversized) {
    it.scopedLive(`refuses a node whose ${what} is beyond all bounds`, () =>
      Effect.gen(function*() {
        const { client, get } = yield* Running.start()
        const error = yield* Effect.flip(client.unary(OrchestratorService, "RegisterNode", { node }, { deadline }))
        assert.strictEqual(error.code, Status.INVALID_ARGUMENT)
        assert.match(
          error.details,
          new RegExp(`^the node's ${what}.* has \\d+ characters; no more than \\d+ are taken$`)
        )
        assert.strictEqual((yield* get("/api/nodes")).body, "[]\n")
      }))
  }

  it.scopedLive("answers UNIMPLEMENTED with a sentence to what it does not do yet", () =>
    Effect.gen(function*() {
      const { client } = yield* Running.start()
      const errors = yield* Effect.all([
        Effect.flip(Stream.runDrain(client.serverStream(LogStreamerService, "StreamLogs", {})))
      ])
      for (const { code, details } of errors) {
        assert.strictEqual(code, Status.UNIMPLEMENTED)
        assert.match(details, /^the embedded orchestrator does not /)
      }
    }))
})
