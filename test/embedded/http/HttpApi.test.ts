import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Nodes from "../Nodes.js"
import * as Running from "../Running.js"

const gib = 1024 ** 3

describe("the embedded orchestrator's HTTP API", () => {
  it.scopedLive("lists no nodes as an empty array", () =>
    Effect.gen(function*() {
      const { get } = yield* Running.start()
      const { body, headers, status } = yield* get("/api/nodes")
      assert.strictEqual(status, 200)
      assert.strictEqual(headers["content-type"], "application/json; charset=utf-8")
      assert.strictEqual(headers["cache-control"], "no-store")
      assert.deepStrictEqual(JSON.parse(body), [])
    }))

  it.scopedLive("lists a node of another make under the names of the contract, field by field", () =>
    Effect.gen(function*() {
      const { get, register } = yield* Running.start()
      yield* register(Nodes.node("7c9e6679", { hostname: "box" }))
      const [node, ...others] = JSON.parse((yield* get("/api/nodes")).body)
      assert.deepStrictEqual(others, [])
      assert.strictEqual(node.id, "7c9e6679")
      assert.strictEqual(node.hostname, "box")
      assert.strictEqual(node.agent_address, "10.0.0.7:50052")
      // A number, as Go writes an int64, and not the text that proto-loader makes of it.
      assert.isTrue(Number.isInteger(node.last_seen_unix))
      assert.approximately(node.last_seen_unix, Date.now() / 1000, 5)
      assert.isTrue(Number.isInteger(node.registered_unix))
      assert.strictEqual(node.stale, false)
      assert.deepStrictEqual(node.capabilities, {
        cpu: "8 cores",
        memory: "23.54 GB",
        os: "linux/amd64",
        gpu_type: "NVIDIA H200",
        gpu_vram_total: "140.4 GB",
        gpu_vram_available: "138.2 GB",
        power_usage: "75.2 W",
        gpu_vram_used: "2.2 GB",
        gpu_temperature: "33°C",
        gpu_power_usage: "75.2 W",
        agent_version: "",
        labels: {},
        gpus: [],
        disks: [],
        findings: [],
        engines: []
      })
      assert.deepStrictEqual(Object.keys(node).sort(), [
        "agent_address",
        "capabilities",
        "hostname",
        "id",
        "last_seen_unix",
        "registered_unix",
        "stale"
      ])
    }))

  it.scopedLive("shows the exact values next to the descriptions, 64-bit ones as numbers, unknown ones not at all", () =>
    Effect.gen(function*() {
      const { get, register } = yield* Running.start()
      yield* register(Nodes.node("a", { capabilities: Nodes.complete }))
      const [{ capabilities }] = JSON.parse((yield* get("/api/nodes")).body)
      assert.deepStrictEqual(capabilities.labels, { zone: "rack-7", _underscored: "kept", cache_bytes: "12" })
      assert.deepStrictEqual(capabilities.cpu_info, {
        model: "AMD EPYC 9654 96-Core Processor",
        vendor: "AuthenticAMD",
        architecture: "amd64",
        sockets: 2,
        physical_cores: 192,
        logical_cores: 384,
        base_mhz: 2400,
        max_mhz: 3700,
        limit_cores: 48.5,
        features: ["avx2", "avx512f"]
      })
      assert.deepStrictEqual(capabilities.memory_info, {
        total_bytes: 1511 * gib,
        available_bytes: 1204 * gib,
        swap_total_bytes: 8 * gib,
        swap_free_bytes: 8 * gib,
        limit_bytes: 512 * gib,
        limit_used_bytes: 96 * gib
      })
      assert.strictEqual(capabilities.os_info.uptime_seconds, 1_234_567)
      assert.deepStrictEqual(capabilities.gpus[0], {
        vendor: "nvidia",
        model: "NVIDIA H200",
        uuid: "GPU-5a1b0c2d-0000-4000-8000-000000000000",
        index: 0,
        pci_address: "0000:1b:00.0",
        memory_total_bytes: 141 * gib,
        memory_used_bytes: Math.round(2.2 * gib),
        memory_free_bytes: Math.round(138.8 * gib),
        unified_memory: false,
        utilization_percent: 0,
        temperature_celsius: 33,
        power_draw_watts: 75.2,
        power_limit_watts: 700,
        driver_version: "570.86.15",
        compute_capability: "9.0",
        mig_instances: [{ uuid: "MIG-1", profile: "1g.18gb", memory_total_bytes: 18 * gib }],
        foreign_processes: [],
        healthy: true
      })
      assert.deepStrictEqual(capabilities.network, { address: "10.0.0.7", interface: "ens1f0", link_mbps: 100_000 })
      assert.deepStrictEqual(capabilities.container_runtime, { kind: "docker", version: "27.3.1", gpu_ready: true })
      assert.strictEqual(capabilities.engines[0].progress, 0.4)
      assert.strictEqual(capabilities.disks[0].total_bytes, 3576 * gib)
      const withoutLabels = JSON.stringify({ ...capabilities, labels: {} })
      assert.notMatch(withoutLabels, /"_/)
      assert.notInclude(withoutLabels, "null")
    }))

  it.scopedLive("leaves out numbers that are none", () =>
    Effect.gen(function*() {
      const { get, register } = yield* Running.start()
      const gpus = [Nodes.gpu(0, { utilization_percent: Number.NaN, power_draw_watts: Number.POSITIVE_INFINITY })]
      yield* register(Nodes.node("a", { capabilities: { ...Nodes.complete, gpus } }))
      const [{ capabilities }] = JSON.parse((yield* get("/api/nodes")).body)
      assert.isFalse("utilization_percent" in capabilities.gpus[0])
      assert.isFalse("power_draw_watts" in capabilities.gpus[0])
      assert.strictEqual(capabilities.gpus[0].power_limit_watts, 700)
    }))

  it.scopedLive("leaves out the capabilities of a node that sent none", () =>
    Effect.gen(function*() {
      const { get, register } = yield* Running.start()
      yield* register(Nodes.node("a", { capabilities: null }))
      const [node] = JSON.parse((yield* get("/api/nodes")).body)
      assert.isFalse("capabilities" in node)
    }))

  it.scopedLive("lists thousands of nodes as one array, in order", () =>
    Effect.gen(function*() {
      const { get, registry } = yield* Running.start()
      const ids = Array.from({ length: 5000 }, (_, index) => `node-${index}`)
      yield* Effect.forEach(ids, (id) => registry.register({ id, hostname: id, agentAddress: "" }))
      const nodes: ReadonlyArray<{ readonly id: string }> = JSON.parse((yield* get("/api/nodes")).body)
      assert.deepStrictEqual(nodes.map(({ id }) => id), ids)
    }))

  it.scopedLive("says that it is healthy", () =>
    Effect.gen(function*() {
      const { get } = yield* Running.start()
      const { body, status } = yield* get("/healthz")
      assert.deepStrictEqual({ status, body }, { status: 200, body: "ok\n" })
    }))

  it.scopedLive("serves the page and everything it refers to, under rules that let in nothing else", () =>
    Effect.gen(function*() {
      const { get } = yield* Running.start()
      const page = yield* get("/")
      assert.strictEqual(page.status, 200)
      assert.strictEqual(page.headers["content-type"], "text/html; charset=utf-8")
      const references = [...page.body.matchAll(/(?:src|href)="(\/[^"]*)"/g)].map(([, path]) => path ?? "")
      assert.includeMembers(references, ["/page.css", "/page.js", "/icon.svg"])
      assert.notMatch(page.body, /(?:src|href)="(?!\/)/)
      for (const path of references) {
        const { headers, status } = yield* get(path)
        assert.strictEqual(status, 200, path)
        assert.include(headers["content-security-policy"], "default-src 'none'")
        assert.notInclude(headers["content-security-policy"], "unsafe")
        assert.strictEqual(headers["x-content-type-options"], "nosniff")
        assert.strictEqual(headers["referrer-policy"], "no-referrer")
        assert.isUndefined(headers["access-control-allow-origin"])
      }
    }))

  it.scopedLive("spares the browser a file that it has already", () =>
    Effect.gen(function*() {
      const { get } = yield* Running.start()
      const first = yield* get("/page.js")
      const etag = first.headers.etag ?? ""
      const again = yield* get("/page.js", { headers: { "if-none-match": etag } })
      assert.deepStrictEqual({ status: again.status, body: again.body }, { status: 304, body: "" })
      const other = yield* get("/page.js", { headers: { "if-none-match": "\"other\"" } })
      assert.strictEqual(other.status, 200)
    }))

  for (const path of ["/", "/healthz", "/api/nodes", "/api/events", "/page.css"]) {
    it.scopedLive(`answers HEAD ${path} as GET, without a body`, () =>
      Effect.gen(function*() {
        const { get } = yield* Running.start()
        const { body, headers, status } = yield* get(path, { method: "HEAD" })
        assert.deepStrictEqual({ status, body }, { status: 200, body: "" })
        assert.isString(headers["content-type"])
      }))
  }

  for (const path of ["/nothing", "/api", "/api/nodes/", "/..%2f..%2fetc/passwd", "//evil.example/", "/constructor"]) {
    it.scopedLive(`answers 404 to ${path}, as JSON`, () =>
      Effect.gen(function*() {
        const { get } = yield* Running.start()
        const { body, headers, status } = yield* get(path)
        assert.strictEqual(status, 404)
        assert.strictEqual(headers["content-type"], "application/json; charset=utf-8")
        assert.isString(JSON.parse(body).error)
      }))
  }

  it.scopedLive("ignores a query", () =>
    Effect.gen(function*() {
      const { get } = yield* Running.start()
      assert.strictEqual((yield* get("/healthz?x=/y")).status, 200)
    }))

  for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
    it.scopedLive(`answers 405 to ${method}, and says what is allowed`, () =>
      Effect.gen(function*() {
        const { get } = yield* Running.start()
        const { body, headers, status } = yield* get("/api/nodes", { method })
        assert.strictEqual(status, 405)
        assert.strictEqual(headers.allow, "GET, HEAD")
        assert.isUndefined(headers["access-control-allow-origin"])
        assert.isString(JSON.parse(body).error)
      }))
  }

  const asked = (headers: Record<string, string>) =>
    Effect.gen(function*() {
      const { get } = yield* Running.start()
      return (yield* get("/api/nodes", { headers })).status
    })

  it.scopedLive("answers to this machine's own names, whatever the port in front of it", () =>
    Effect.gen(function*() {
      for (const host of ["localhost:8080", "127.0.0.1", "[::1]:9000", "orchion.localhost:80"]) {
        assert.strictEqual(yield* asked({ host }), 200, host)
      }
    }))

  it.scopedLive("does not answer to a name that someone else pointed at this machine", () =>
    Effect.gen(function*() {
      for (
        const host of ["evil.example", "evil.example:8080", "localhost.evil.example", "10.0.0.7:8080", "local host"]
      ) {
        assert.strictEqual(yield* asked({ host }), 403, host)
      }
    }))

  it.scopedLive("answers the pages of its own origin and no others", () =>
    Effect.gen(function*() {
      const host = "localhost:8080"
      assert.strictEqual(yield* asked({ host, origin: "http://localhost:8080" }), 200)
      for (const origin of ["http://localhost:3000", "http://evil.example", "null", "http://127.0.0.1:8080"]) {
        assert.strictEqual(yield* asked({ host, origin }), 403, origin)
      }
    }))

  it.scopedLive("is no resource for the pages of other sites, but may be linked to", () =>
    Effect.gen(function*() {
      const host = "localhost:8080"
      assert.strictEqual(yield* asked({ host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" }), 403)
      assert.strictEqual(yield* asked({ host, "sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors" }), 403)
      assert.strictEqual(yield* asked({ host, "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" }), 200)
      assert.strictEqual(yield* asked({ host, "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" }), 200)
    }))
})
