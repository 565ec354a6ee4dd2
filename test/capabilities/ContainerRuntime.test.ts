import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import { createHash } from "node:crypto"
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

  it.scopedLive("names a socket without a listener, and one of another program", () =>
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

  it.scopedLive("finds Docker wherever the engines do: by context, by variable, and at every usual socket", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const home = path.join(root, "home")
      const context = (name: string, host: string) => {
        const id = createHash("sha256").update(name).digest("hex")
        const file = path.join(home, ".docker/contexts/meta", id, "meta.json")
        fs.mkdirSync(path.dirname(file), { recursive: true })
        fs.writeFileSync(file, JSON.stringify({ Name: name, Endpoints: { docker: { Host: host } } }))
      }
      const version = (env: NodeJS.ProcessEnv) =>
        Effect.map(detect(root, { env: { HOME: home, ...env } }), ({ facts }) => facts?.version)
      const listen = (name: string, answer = "other") =>
        Effect.as(
          engine(path.join(root, name), { "/version": { ...dockerVersion, Version: answer } }),
          path.join(root, name)
        )
      for (const [index, socket] of [".colima/default", ".docker/desktop", ".docker/run"].entries()) {
        yield* listen(`home/${socket}/docker.sock`, String(index))
        assert.strictEqual(yield* version({}), String(index))
      }
      const rootless = yield* listen("run/user/1000/docker.sock", "rootless")
      context("rootless", `unix://${rootless}`)
      context("far", "tcp://127.0.0.1:1")
      assert.strictEqual(yield* version({ DOCKER_HOST: `unix://${rootless}` }), "rootless")
      assert.strictEqual(yield* version({ DOCKER_CONTEXT: "rootless" }), "rootless")
      fs.writeFileSync(path.join(home, ".docker/config.json"), JSON.stringify({ currentContext: "far" }))
      const far = yield* detect(root, { env: { HOME: home } })
      assert.isUndefined(far.facts)
      assert.deepStrictEqual(far.findings.map(({ message }) => message), [
        "The container runtime at tcp://127.0.0.1:1 does not answer: connection refused: its daemon is not running."
      ])
    }))

  it.scopedLive("names a setting that cannot be used, and what to write instead", () =>
    Effect.gen(function*() {
      const root = yield* machine({})
      const { findings } = yield* detect(root, { env: { DOCKER_HOST: "ssh://me@far" } })
      assert.deepStrictEqual(findings.map(({ code }) => code), ["runtime.endpoint-invalid"])
      assert.include(findings[0]?.message, "DOCKER_HOST names the container runtime \"ssh://me@far\"")
      assert.include(findings[0]?.remedy, "--docker-host")
    }))

  it("throws at no answer", () => {
    const text = FastCheck.oneof(FastCheck.string(), FastCheck.json())
    FastCheck.assert(FastCheck.property(text, text, text, (version, info, cdi) => {
      ContainerRuntime.parseRuntime(version, info, cdi)
      ContainerRuntime.parseRuntime(JSON.stringify(dockerVersion), info, cdi)
    }))
  })
})
