import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as DockerEndpoint from "../../../src/docker/api/DockerEndpoint.js"
import * as DockerError from "../../../src/docker/api/DockerError.js"
import type * as DockerEnvironment from "../../../src/docker/api/DockerEnvironment.js"

const home = Effect.acquireRelease(
  Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "orchion-endpoint-"))),
  (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
)

const write = (file: string, text: string) =>
  Effect.promise(async () => {
    await fs.mkdir(path.dirname(file), { recursive: true })
    await fs.writeFile(file, text)
  })

const listening = (socket: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      await fs.mkdir(path.dirname(socket), { recursive: true })
      const server = net.createServer((connection) => connection.destroy())
      await new Promise<void>((resolve) => server.listen(socket, resolve))
      return server
    }),
    (server) => Effect.promise(() => new Promise<void>((resolve) => server.close(() => resolve())))
  )

/** A socket whose daemon has gone. */
const abandoned = (socket: string) =>
  Effect.promise(async () => {
    await fs.mkdir(path.dirname(socket), { recursive: true })
    const other = `${socket}.other`
    const server = net.createServer()
    await new Promise<void>((resolve) => server.listen(other, resolve))
    // Closing removes the name that was listened on, and no other.
    await fs.link(other, socket)
    await new Promise<void>((resolve) => server.close(() => resolve()))
  })

const where = (
  directory: string,
  rest: Partial<DockerEnvironment.DockerEnvironment> = {}
): DockerEnvironment.DockerEnvironment => ({
  env: { XDG_RUNTIME_DIR: path.join(directory, "run") },
  homeDirectory: directory,
  platform: "linux",
  uid: 1000,
  root: directory,
  ...rest
})

const context = (directory: string, name: string, host: string, extra: Record<string, unknown> = {}) =>
  write(
    path.join(directory, ".docker/contexts/meta", createHash("sha256").update(name).digest("hex"), "meta.json"),
    JSON.stringify({ Name: name, Endpoints: { docker: { Host: host, ...extra } } })
  )

const only = (environment: DockerEnvironment.DockerEnvironment) =>
  Effect.map(DockerEndpoint.candidates(environment), (found) => found.map(DockerEndpoint.format))

describe("where Docker listens", () => {
  it.scoped("is what the setting says, before all else", () =>
    Effect.gen(function*() {
      const directory = yield* home
      const env = { DOCKER_HOST: "tcp://other:2375", DOCKER_CONTEXT: "another" }
      assert.deepStrictEqual(yield* only(where(directory, { host: "unix:///x/docker.sock", env })), [
        "unix:///x/docker.sock"
      ])
    }))

  it.scoped("is what DOCKER_HOST says, before any context", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* context(directory, "another", "unix:///another.sock")
      const env = { DOCKER_HOST: "tcp://10.0.0.1:2375", DOCKER_CONTEXT: "another" }
      assert.deepStrictEqual(yield* only(where(directory, { env })), ["tcp://10.0.0.1:2375"])
    }))

  it.scoped("is what DOCKER_CONTEXT's context says, before the current context", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* context(directory, "one", "unix:///one.sock")
      yield* context(directory, "two", "unix:///two.sock")
      yield* write(path.join(directory, ".docker/config.json"), JSON.stringify({ currentContext: "two" }))
      assert.deepStrictEqual(yield* only(where(directory, { env: { DOCKER_CONTEXT: "one" } })), ["unix:///one.sock"])
      assert.deepStrictEqual(yield* only(where(directory, { env: {} })), ["unix:///two.sock"])
    }))

  it.scoped("is in the usual places for the context named default", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* write(path.join(directory, ".docker/config.json"), JSON.stringify({ currentContext: "other" }))
      const found = yield* only(where(directory, { env: { DOCKER_CONTEXT: "default" } }))
      assert.strictEqual(found[0], `unix://${directory}/var/run/docker.sock`)
    }))

  it.scoped("follows DOCKER_CONFIG to the docker command's settings", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* context(path.join(directory, "elsewhere"), "one", "unix:///one.sock")
      const config = path.join(directory, "elsewhere/.docker")
      yield* write(path.join(config, "config.json"), JSON.stringify({ currentContext: "one" }))
      assert.deepStrictEqual(yield* only(where(directory, { env: { DOCKER_CONFIG: config } })), ["unix:///one.sock"])
    }))

  it.scoped("is an error when the context that is named is not there", () =>
    Effect.gen(function*() {
      const directory = yield* home
      const error = yield* Effect.flip(only(where(directory, { env: { DOCKER_CONTEXT: "gone" } })))
      assert.strictEqual(error._tag, "DockerEndpointInvalid")
      assert.include(error.message, "DOCKER_CONTEXT is \"gone\"")
      assert.include(error.message, "docker context ls")
    }))

  it.scoped("is searched for when the docker command's settings cannot be read", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* write(path.join(directory, ".docker/config.json"), "{ not json")
      assert.isAbove((yield* only(where(directory))).length, 1)
    }))

  it.scoped("brings a context's certificates along", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* context(directory, "far", "tcp://far:2376", { SkipTLSVerify: true })
      const id = createHash("sha256").update("far").digest("hex")
      for (const name of ["ca", "cert", "key"]) {
        yield* write(path.join(directory, ".docker/contexts/tls", id, "docker", `${name}.pem`), `the ${name}`)
      }
      const [endpoint] = yield* DockerEndpoint.candidates(where(directory, { env: { DOCKER_CONTEXT: "far" } }))
      assert.deepStrictEqual(endpoint, {
        _tag: "Tcp",
        host: "far",
        port: 2376,
        source: "context far",
        tls: { verify: false, ca: "the ca", cert: "the cert", key: "the key" }
      })
    }))

  it.scoped("uses TLS where DOCKER_TLS_VERIFY asks for it", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* write(path.join(directory, "certs/ca.pem"), "the ca")
      const env = { DOCKER_HOST: "tcp://far", DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: path.join(directory, "certs") }
      const [endpoint] = yield* DockerEndpoint.candidates(where(directory, { env }))
      assert.deepInclude(endpoint, { port: 2376, tls: { verify: true, ca: "the ca" } })
    }))

  it.effect("is written in several ways", () =>
    Effect.gen(function*() {
      const read = (text: string) => Effect.map(DockerEndpoint.parse(text, "--docker-host"), DockerEndpoint.format)
      assert.strictEqual(yield* read("/run/docker.sock"), "unix:///run/docker.sock")
      assert.strictEqual(yield* read("localhost:2375"), "tcp://localhost:2375")
      assert.strictEqual(yield* read("tcp://[::1]:2375"), "tcp://[::1]:2375")
      assert.strictEqual(yield* read("http://127.0.0.1:1234/"), "tcp://127.0.0.1:1234")
      assert.strictEqual(yield* read("npipe:////./pipe/docker_engine"), "npipe:////./pipe/docker_engine")
      for (
        const [text, reason] of [
          ["ssh://me@far", "over SSH"],
          ["unix://relative.sock", "absolute path"],
          ["ftp://x", "Docker cannot be reached over ftp://"],
          ["tcp://host?x", "not a host"],
          ["tcp://[1]", "not a host"],
          ["unix:///a\0b", "NUL"],
          ["tcp://host:99999", "99999 is not a port"],
          ["tcp://a b", "not a host"]
        ] as const
      ) {
        const error = yield* Effect.flip(read(text))
        assert.include(error.message, reason)
        assert.include(error.message, "--docker-host")
      }
    }))
})

describe("the search for Docker", () => {
  it.scopedLive("takes the first place where something listens", () =>
    Effect.gen(function*() {
      const directory = yield* home
      const rootless = path.join(directory, "run/docker.sock")
      const podman = path.join(directory, "run/podman/podman.sock")
      const located = Effect.map(DockerEndpoint.locate(where(directory)), DockerEndpoint.format)
      yield* abandoned(path.join(directory, "var/run/docker.sock"))
      yield* listening(podman)
      assert.strictEqual(yield* located, `unix://${podman}`)
      yield* listening(rootless)
      assert.strictEqual(yield* located, `unix://${rootless}`)
      yield* listening(path.join(directory, ".docker/run/docker.sock"))
      assert.strictEqual(yield* located, `unix://${directory}/.docker/run/docker.sock`)
    }))

  it.scopedLive("names every place when there is nothing", () =>
    Effect.gen(function*() {
      const directory = yield* home
      const error = yield* Effect.flip(DockerEndpoint.locate(where(directory)))
      assert.strictEqual(error._tag, "DockerNotFound")
      for (
        const place of ["var/run/docker.sock", ".docker/run/docker.sock", "run/docker.sock", "run/podman/podman.sock"]
      ) {
        assert.include(error.message, path.join(directory, place))
      }
      assert.include(error.message, "--docker-host")
    }))

  it.scopedLive("says that a daemon is down where its socket is left", () =>
    Effect.gen(function*() {
      const directory = yield* home
      yield* abandoned(path.join(directory, "var/run/docker.sock"))
      const error = yield* Effect.flip(DockerEndpoint.locate(where(directory)))
      assert.strictEqual(error._tag, "DockerUnreachable")
      assert.include(error.message, "its daemon is not running")
      assert.include(error.message, "systemctl start docker")
    }))

  it.effect("tries Docker's and Podman's usual places", () =>
    Effect.gen(function*() {
      const found = yield* only({ env: {}, homeDirectory: "/home/me", platform: "linux", uid: 1000 })
      assert.deepStrictEqual(found, [
        "unix:///var/run/docker.sock",
        "unix:///home/me/.docker/run/docker.sock",
        "unix:///run/user/1000/docker.sock",
        "unix:///home/me/.docker/desktop/docker.sock",
        "unix:///home/me/.colima/default/docker.sock",
        "unix:///home/me/.config/colima/default/docker.sock",
        "unix:///home/me/.rd/docker.sock",
        "unix:///run/user/1000/podman/podman.sock",
        "unix:///run/podman/podman.sock"
      ])
      const windows = yield* only({ env: {}, homeDirectory: "C:\\Users\\me", platform: "win32" })
      assert.strictEqual(windows[0], "npipe:////./pipe/docker_engine")
    }))

  it.scopedLive("names the group that may use the socket", () =>
    Effect.gen(function*() {
      const directory = yield* home
      const socket = path.join(directory, "var/run/docker.sock")
      yield* listening(socket)
      const error = yield* DockerEndpoint.permissionDenied({ _tag: "Socket", path: socket, source: "search" })
      const group = (yield* Effect.promise(() => fs.readFile("/etc/group", "utf8"))).split("\n")
        .find((line) => line.split(":")[2] === String(process.getgid?.()))?.split(":")[0]
      assert.strictEqual(error.group, group)
      assert.strictEqual(error.user, os.userInfo().username)
      const other = new DockerError.DockerPermissionDenied({ endpoint: error.endpoint, user: "me", group })
      assert.include(other.message, `the user me is not in the group ${group}`)
      assert.include(other.message, `usermod -aG ${group} me`)
      const root = new DockerError.DockerPermissionDenied({ endpoint: error.endpoint, user: "root", group })
      assert.include(root.message, "although the agent runs as root")
    }))
})
