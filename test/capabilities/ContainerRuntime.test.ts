import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as fs from "node:fs"
import * as http from "node:http"
import * as path from "node:path"
import * as ContainerRuntime from "../../src/capabilities/ContainerRuntime.js"
import { deviceFiles } from "../../src/capabilities/Files.js"
import { machine } from "./Support.js"

const dockerVersion = {
  Version: "28.2.2",
  ApiVersion: "1.50",
  Components: [{ Name: "Engine" }, { Name: "containerd" }]
}
const podmanVersion = { Version: "5.2.1", ApiVersion: "1.41", Components: [{ Name: "Podman Engine" }] }

/** An engine's API at a socket, which answers each path as told. */
const engine = (socket: string, answers: Readonly<Record<string, unknown>>) =>
  Effect.acquireRelease(
    Effect.async<http.Server>((resume) => {
      fs.mkdirSync(path.dirname(socket), { recursive: true })
      const server = http.createServer((request, response) => {
        const answer = answers[request.url ?? ""]
        if (answer === "hang") return
        response.statusCode = answer === undefined ? 404 : 200
        response.end(typeof answer === "string" ? answer : JSON.stringify(answer ?? {}))
      })
      server.listen(socket, () => resume(Effect.succeed(server)))
    }),
    (server) =>
      Effect.async<void>((resume) => {
        server.closeAllConnections()
        server.close(() => resume(Effect.void))
      })
  )

const detect = (root: string, options: Partial<ContainerRuntime.RuntimeOptions> = {}) =>
  ContainerRuntime.detect({
    files: deviceFiles(root),
    dockerHost: undefined,
    env: {},
    platform: "linux",
    root,
    ...options
  })

describe("ContainerRuntime", () => {
  it.scopedLive("knows Docker at its usual socket, its version, its place and that it has NVIDIA's runtime", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      yield* engine(path.join(root, "var/run/docker.sock"), {
        "/version": dockerVersion,
        "/info": { Runtimes: { runc: {}, nvidia: { path: "nvidia-container-runtime" } }, DockerRootDir: "/data/docker" }
      })
      const { facts, findings, goodFor } = yield* detect(root)
      assert.deepStrictEqual(facts, {
        kind: "docker",
        version: "28.2.2",
        nvidiaReady: true,
        dataDirectory: "/data/docker"
      })
      assert.deepStrictEqual([...findings], [])
      assert.strictEqual(goodFor, "1 minute")
    }))

  it.scopedLive("knows Podman, and GPUs that are described to it", () =>
    Effect.gen(function*() {
      const root = yield* machine({
        "etc/cdi/nvidia.yaml": "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: []\n"
      })
      yield* engine(path.join(root, "run/podman/podman.sock"), {
        "/version": podmanVersion,
        "/info": { Runtimes: { crun: {} } }
      })
      const { facts } = yield* detect(root)
      assert.deepStrictEqual(facts, { kind: "podman", version: "5.2.1", nvidiaReady: true })
    }))

  it("takes GPUs for ready only when something can hand them out", () => {
    const ready = (info: unknown, cdi = "", version: unknown = dockerVersion) =>
      ContainerRuntime.parseRuntime(JSON.stringify(version), JSON.stringify(info), cdi)?.nvidiaReady
    assert.isFalse(ready({ Runtimes: { runc: {} } }))
    assert.isTrue(ready({ DiscoveredDevices: [{ Source: "cdi", ID: "nvidia.com/gpu=all" }] }))
    assert.isTrue(ready({ CDISpecDirs: ["/etc/cdi"] }, "nvidia.com/gpu\n"))
    assert.isFalse(ready({ CDISpecDirs: [] }, "nvidia.com/gpu\n"))
    assert.isFalse(ready({ CDISpecDirs: ["/etc/cdi"] }, "intel.com/gpu\n"))
    assert.isTrue(ready({}, "nvidia.com/gpu\n", podmanVersion))
  })

  it.scopedLive("knows the runtime even where it keeps the rest to itself", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      yield* engine(path.join(root, "var/run/docker.sock"), { "/version": dockerVersion })
      assert.deepStrictEqual((yield* detect(root)).facts, { kind: "docker", version: "28.2.2", nvidiaReady: false })
    }))

  it.scopedLive("finds nothing wrong where none is installed", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      assert.deepStrictEqual(yield* detect(root), { facts: undefined, findings: [], goodFor: "30 seconds" })
    }))

  it.scopedLive("tells of a socket that nobody listens at, and of something else that does", () =>
    Effect.gen(function*() {
      const root = yield* machine({ "var/run/docker.sock": "" })
      const dead = yield* detect(root)
      assert.deepStrictEqual(dead.findings.map(({ code }) => code), ["runtime.not-running"])
      assert.include(dead.findings[0]?.message, "/var/run/docker.sock")
      const other = path.join(root, "other.sock")
      yield* engine(other, { "/version": "<html>hello</html>" })
      const strange = yield* detect(root, { dockerHost: `unix://${other}` })
      assert.include(strange.findings[0]?.message, "not a container runtime")
    }))

  it.scopedLive.skipIf(process.getuid?.() === 0)("says that it may not, and whom to ask", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const socket = path.join(root, "var/run/docker.sock")
      yield* engine(socket, { "/version": dockerVersion })
      fs.chmodSync(socket, 0)
      const { findings } = yield* detect(root)
      assert.deepStrictEqual(findings.map(({ code }) => code), ["runtime.permission"])
      assert.include(findings[0]?.remedy, "group docker")
    }))

  it.scopedLive("uses what the user set, and drops a request that is not answered", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const socket = path.join(root, "mine.sock")
      yield* engine(socket, { "/version": "hang" })
      const outcome = yield* Effect.timeoutOption(
        detect(root, { env: { DOCKER_HOST: `unix://${socket}` } }),
        "100 millis"
      )
      assert.strictEqual(outcome._tag, "None")
    }))

  it("reads where the runtime listens, in every form that it asks itself", () => {
    assert.deepStrictEqual(ContainerRuntime.parseEndpoint("unix:///var/run/docker.sock"), {
      socketPath: "/var/run/docker.sock"
    })
    assert.deepStrictEqual(ContainerRuntime.parseEndpoint("npipe:////./pipe/docker_engine"), {
      socketPath: "\\\\.\\pipe\\docker_engine"
    })
    assert.deepStrictEqual(ContainerRuntime.parseEndpoint("tcp://127.0.0.1:2375"), { host: "127.0.0.1", port: 2375 })
    assert.deepStrictEqual(ContainerRuntime.parseEndpoint("tcp://[::1]"), { host: "::1", port: 2375 })
    for (const other of ["tcp://host:2376", "ssh://me@host", "tcp://host:0", "tcp://host:99999", "", "host"]) {
      assert.isUndefined(ContainerRuntime.parseEndpoint(other), other)
    }
  })

  it("throws at no answer", () => {
    const text = FastCheck.oneof(FastCheck.string(), FastCheck.json())
    FastCheck.assert(FastCheck.property(text, text, text, (version, info, cdi) => {
      ContainerRuntime.parseRuntime(version, info, cdi)
      ContainerRuntime.parseRuntime(JSON.stringify(dockerVersion), info, cdi)
      ContainerRuntime.parseEndpoint(version)
    }))
  })
})
