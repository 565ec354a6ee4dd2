/** An engine that answers as it is told: HTTP on a Unix socket in a temporary folder. */
import * as fs from "node:fs/promises"
import * as http from "node:http"
import type { Socket } from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import type { Docker } from "../../src/docker/Docker.js"
import type * as DockerEnvironment from "../../src/docker/api/DockerEnvironment.js"
import * as DockerodeDocker from "../../src/docker/DockerodeDocker.js"

/** A request that has arrived. */
export interface Arrived {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: http.IncomingHttpHeaders
  /** Parsed, where it was JSON. */
  readonly body: Record<string, unknown>
  /** The client has gone. */
  closed: boolean
}

export type Answer = (response: http.ServerResponse, request: Arrived) => void | Promise<void>

export interface ScriptedDocker {
  readonly directory: string
  readonly socket: string
  readonly environment: DockerEnvironment.DockerEnvironment
  readonly requests: ReadonlyArray<Arrived>
  /** `GET /containers/abc/json`, of all that have arrived. */
  readonly seen: () => ReadonlyArray<string>
  /** Sets what is answered to `METHOD pattern`; the last that fits counts. */
  readonly on: (route: string, answer: Answer) => void
  /** Waits until so many requests to `METHOD pattern` have arrived. */
  readonly arrived: (route: string, count?: number) => Effect.Effect<ReadonlyArray<Arrived>>
  /** Waits for a condition on what has happened here. */
  readonly until: (condition: () => boolean) => Effect.Effect<void>
  readonly connections: () => number
  /** Closes the socket, and cuts every connection. */
  readonly down: Effect.Effect<void>
  readonly up: Effect.Effect<void>
}

/** Answers with JSON. */
export const json = (value: unknown, status = 200): Answer => (response) => {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(value))
}

/** Answers as the engine refuses. */
export const refuse = (status: number, message: string): Answer => json({ message }, status)

/** Answers with nothing but a status. */
export const empty = (status = 204): Answer => (response) => {
  response.writeHead(status).end()
}

/** Never answers. */
export const silence: Answer = () => {}

/** Sends the headers and the beginning of a body, and cuts the connection. */
export const cutAfter = (text: string): Answer => (response) => {
  response.writeHead(200, { "Content-Type": "application/json" })
  response.write(text, () => response.socket?.destroy())
}

/** Sends these lines and ends well. */
export const lines = (values: ReadonlyArray<unknown>): Answer => (response) => {
  response.writeHead(200, { "Content-Type": "application/json" })
  for (const value of values) response.write(`${typeof value === "string" ? value : JSON.stringify(value)}\r\n`)
  response.end()
}

/** A frame of a container's output. */
export const frame = (type: number, payload: string | Uint8Array): Buffer => {
  const bytes = Buffer.from(payload)
  const header = Buffer.alloc(8)
  header[0] = type
  header.writeUInt32BE(bytes.length, 4)
  return Buffer.concat([header, bytes])
}

/** What the engine says of a container. */
export const inspected = (
  id: string,
  state: Record<string, unknown> = {},
  config: Record<string, unknown> = {}
): Record<string, unknown> => ({
  Id: id,
  Name: `/name-of-${id}`,
  Created: "2026-05-07T21:09:36.123456789Z",
  Image: "sha256:0123",
  Config: { Image: "some/image:tag", Labels: { a: "b" }, Tty: false, StopTimeout: 7, ...config },
  State: {
    Status: "running",
    OOMKilled: false,
    Pid: 4711,
    ExitCode: 0,
    Error: "",
    StartedAt: "2026-05-07T21:09:37.5Z",
    FinishedAt: "0001-01-01T00:00:00Z",
    ...state
  },
  NetworkSettings: { Ports: { "80/tcp": [{ HostIp: "127.0.0.1", HostPort: "32768" }], "81/tcp": null } }
})

const fits = (route: string, request: { readonly method: string; readonly path: string }): boolean => {
  const [method, pattern = ""] = route.split(" ")
  if (method !== request.method) return false
  const escaped = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
  return new RegExp(`^${escaped.join(".*")}$`).test(request.path)
}

export const make: Effect.Effect<ScriptedDocker, never, Scope.Scope> = Effect.gen(function*() {
  const directory = yield* Effect.acquireRelease(
    Effect.promise(() => fs.mkdtemp(path.join(os.tmpdir(), "orchion-docker-"))),
    (directory) => Effect.promise(() => fs.rm(directory, { recursive: true, force: true }))
  )
  const socket = path.join(directory, "docker.sock")
  const requests: Array<Arrived> = []
  const routes: Array<{ readonly route: string; readonly answer: Answer }> = []
  const sockets = new Set<Socket>()
  const waiters = new Set<() => void>()
  const changed = () => {
    for (const waiter of [...waiters]) waiter()
  }
  const on = (route: string, answer: Answer) => {
    routes.unshift({ route, answer })
  }
  on("GET /_ping", (response) => {
    response.writeHead(200, { "Content-Type": "text/plain" }).end("OK")
  })
  on(
    "GET /version",
    json({ Version: "28.2.2", ApiVersion: "1.50", Os: "linux", Arch: "amd64", Components: [{ Name: "Engine" }] })
  )
  on("GET /info", json({ ID: "AAAA", Name: "scripted", DockerRootDir: directory, Driver: "overlay2" }))

  let server: http.Server | undefined
  const up = Effect.promise(async () => {
    server = http.createServer((request, response) => {
      const url = new URL(request.url ?? "/", "http://docker")
      let text = ""
      request.setEncoding("utf8").on("data", (part: string) => {
        text += part
      })
      request.on("end", () => {
        let body: Record<string, unknown> = {}
        try {
          const parsed: unknown = JSON.parse(text)
          if (typeof parsed === "object" && parsed !== null) body = Object.fromEntries(Object.entries(parsed))
        } catch {
          // An archive, or nothing.
        }
        const arrived: Arrived = {
          method: request.method ?? "",
          path: decodeURIComponent(url.pathname),
          query: url.searchParams,
          headers: request.headers,
          body,
          closed: false
        }
        response.on("close", () => {
          arrived.closed = true
          changed()
        })
        requests.push(arrived)
        const found = routes.find(({ route }) => fits(route, arrived))
        if (found === undefined) {
          refuse(404, `nothing is scripted for ${arrived.method} ${arrived.path}`)(response, arrived)
        } else void found.answer(response, arrived)
        changed()
      })
    })
    server.on("connection", (connection) => {
      sockets.add(connection)
      connection.on("error", () => {})
      connection.on("close", () => {
        sockets.delete(connection)
        changed()
      })
    })
    await new Promise<void>((resolve) => server?.listen(socket, resolve))
  })
  const down = Effect.promise(async () => {
    const closing = server
    if (closing === undefined) return
    server = undefined
    const closed = new Promise<void>((resolve) => closing.close(() => resolve()))
    for (const connection of sockets) connection.destroy()
    await closed
  })
  yield* Effect.acquireRelease(up, () => down)

  const until = (condition: () => boolean) =>
    Effect.async<void>((resume) => {
      const check = () => {
        if (!condition()) return
        waiters.delete(check)
        resume(Effect.void)
      }
      waiters.add(check)
      check()
      return Effect.sync(() => waiters.delete(check))
    })

  return {
    directory,
    socket,
    environment: { host: `unix://${socket}`, env: {}, homeDirectory: directory, platform: "linux" },
    requests,
    seen: () => requests.map(({ method, path }) => `${method} ${path}`),
    on,
    arrived: (route, count = 1) => {
      const matching = () => requests.filter((request) => fits(route, request))
      return Effect.map(until(() => matching().length >= count), matching)
    },
    until,
    connections: () => sockets.size,
    down,
    up
  }
})

/** The port to a scripted engine. */
export const layer = (server: ScriptedDocker): Layer.Layer<Docker> =>
  DockerodeDocker.layer({ environment: server.environment })
