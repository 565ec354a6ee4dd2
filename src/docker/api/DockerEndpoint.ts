/**
 * Where Docker listens: found as the docker command finds it, and then where Podman and rootless engines listen.
 *
 * A setting, `DOCKER_HOST`, `DOCKER_CONTEXT` and the current context of the docker command each name one endpoint, and
 * whoever names one means it: nothing else is tried. With none of them, the usual sockets are tried in turn.
 */
import { createHash } from "node:crypto"
import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as DockerError from "./DockerError.js"

/** How to prove who we are to an engine behind TLS, and it to us. PEM texts. */
export interface Tls {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly verify: boolean
}

/** Where an engine listens. */
export type DockerEndpoint =
  /** A Unix socket, or a named pipe of Windows. */
  | { readonly _tag: "Socket"; readonly path: string; readonly source: string }
  | { readonly _tag: "Tcp"; readonly host: string; readonly port: number; readonly tls?: Tls; readonly source: string }

/** What the search depends on. */
export interface Surroundings {
  /** The setting; goes before all else. */
  readonly host?: string | undefined
  readonly env: Readonly<Record<string, string | undefined>>
  readonly homeDirectory: string
  readonly platform: NodeJS.Platform
  /** Of the user that the agent runs as; absent where users have no number. */
  readonly uid?: number | undefined
  /** The socket that the docker command uses when told nothing. */
  readonly defaultSocket?: string | undefined
}

/** The process's own. */
export const surroundings = (host?: string): Surroundings => ({
  host,
  env: process.env,
  homeDirectory: os.homedir(),
  platform: process.platform,
  uid: process.getuid?.()
})

/** `unix:///var/run/docker.sock`, `tcp://localhost:2375`. */
export const format = (endpoint: DockerEndpoint): string =>
  endpoint._tag === "Socket"
    ? `${/^[/\\]{2}[.?]/.test(endpoint.path) ? "npipe" : "unix"}://${endpoint.path}`
    : `tcp://${endpoint.host.includes(":") ? `[${endpoint.host}]` : endpoint.host}:${endpoint.port}`

/** On this machine, so that paths and ports mean the same to the engine and to us. */
export const isLocal = (endpoint: DockerEndpoint): boolean =>
  endpoint._tag === "Socket" || /^(localhost|127\.[\d.]+|::1)$/.test(endpoint.host)

const examples = "Use unix:///var/run/docker.sock or tcp://localhost:2375, for example."

/** Reads an endpoint as one writes it. A path is a socket, and `host:port` is TCP. */
export const parse = (
  text: string,
  source: string,
  tls?: Tls
): Effect.Effect<DockerEndpoint, DockerError.DockerEndpointInvalid> => {
  const invalid = (reason: string, remedy = examples) =>
    new DockerError.DockerEndpointInvalid({ source, value: text, reason, remedy })
  const trimmed = text.trim()
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/i.exec(trimmed)
  const kind = scheme?.[1]?.toLowerCase() ?? (trimmed.startsWith("/") ? "unix" : "tcp")
  const rest = scheme?.[2] ?? trimmed
  switch (kind) {
    case "unix":
      return rest.startsWith("/")
        ? Effect.succeed({ _tag: "Socket", path: rest, source })
        : Effect.fail(invalid("unix:// needs the absolute path of a socket."))
    case "npipe":
      return rest === ""
        ? Effect.fail(invalid("npipe:// needs the path of a pipe.", "Use npipe:////./pipe/docker_engine."))
        : Effect.succeed({ _tag: "Socket", path: rest.replaceAll("\\", "/"), source })
    case "tcp":
    case "http":
    case "https": {
      const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:/[\]\s]+))(?::(\d{1,5}))?\/?$/.exec(rest)
      const host = match?.[1] ?? match?.[2]
      if (host === undefined) return Effect.fail(invalid("it is not a host with a port."))
      const secured = tls ?? (kind === "https" ? { verify: true } : undefined)
      const port = match?.[3] === undefined ? (secured === undefined ? 2375 : 2376) : Number(match[3])
      if (port < 1 || port > 65_535) return Effect.fail(invalid(`${port} is not a port.`))
      return Effect.succeed({ _tag: "Tcp", host, port, source, ...(secured === undefined ? {} : { tls: secured }) })
    }
    case "ssh":
      return Effect.fail(invalid(
        "it is another machine, reached over SSH, and the agent manages the engines of its own machine.",
        "Name this machine's own Docker with --docker-host, such as unix:///var/run/docker.sock."
      ))
    default:
      return Effect.fail(invalid(`${kind}:// is not a way to reach Docker.`))
  }
}

/** A file's text; `undefined` when it cannot be read, for whatever reason. */
const readText = (file: string): Effect.Effect<string | undefined> =>
  Effect.orElseSucceed(Effect.tryPromise(() => fs.readFile(file, "utf8")), () => undefined)

const readJson = (file: string): Effect.Effect<unknown> =>
  Effect.flatMap(readText(file), (text) =>
    text === undefined
      ? Effect.succeed(undefined)
      : Effect.catchAll(Effect.try((): unknown => JSON.parse(text)), () =>
        // As the docker command does: said, and then passed over.
        Effect.as(Effect.logWarning(`${file} is not valid JSON and is passed over.`), undefined)))

const property = (value: unknown, ...keys: ReadonlyArray<string>): unknown =>
  keys.reduce<unknown>(
    (at, key) => (typeof at === "object" && at !== null
      ? Object.entries(at).find(([name]) => name === key)?.[1]
      : undefined),
    value
  )

const readTls = (
  directory: string,
  verify: boolean
): Effect.Effect<Tls | undefined> =>
  Effect.map(
    Effect.all([
      readText(path.join(directory, "ca.pem")),
      readText(path.join(directory, "cert.pem")),
      readText(path.join(directory, "key.pem"))
    ]),
    ([ca, cert, key]) =>
      ca === undefined && cert === undefined && key === undefined
        ? undefined
        : {
          verify,
          ...(ca === undefined ? {} : { ca }),
          ...(cert === undefined ? {} : { cert }),
          ...(key === undefined ? {} : { key })
        }
  )

/** Where the docker command keeps its settings. */
export const configDirectory = (where: Surroundings): string => {
  const named = where.env["DOCKER_CONFIG"]
  return named === undefined || named === "" ? path.join(where.homeDirectory, ".docker") : named
}

const fromContext = (where: Surroundings, name: string, source: string) =>
  Effect.gen(function*() {
    const config = configDirectory(where)
    const id = createHash("sha256").update(name).digest("hex")
    const file = path.join(config, "contexts", "meta", id, "meta.json")
    const docker = property(yield* readJson(file), "Endpoints", "docker")
    const host = property(docker, "Host")
    if (typeof host !== "string" || host === "") {
      return yield* new DockerError.DockerEndpointInvalid({
        source,
        value: name,
        reason: `no Docker endpoint is kept for a context of that name in ${path.join(config, "contexts")}.`,
        remedy: "\"docker context ls\" shows those there are; or name the endpoint with --docker-host."
      })
    }
    const verify = property(docker, "SkipTLSVerify") !== true
    const tls = yield* readTls(path.join(config, "contexts", "tls", id, "docker"), verify)
    return yield* parse(host, `context ${name}`, tls)
  })

const fromEnvironment = (where: Surroundings, host: string) =>
  Effect.gen(function*() {
    if ((where.env["DOCKER_TLS_VERIFY"] ?? "") === "") return yield* parse(host, "DOCKER_HOST")
    const named = where.env["DOCKER_CERT_PATH"]
    const directory = named === undefined || named === "" ? configDirectory(where) : named
    const tls = yield* readTls(directory, true)
    return yield* parse(host, "DOCKER_HOST", tls ?? { verify: true })
  })

/** The sockets that are tried when nothing names one, in order. */
const usualSockets = (where: Surroundings): ReadonlyArray<DockerEndpoint> => {
  const socket = (socketPath: string): DockerEndpoint => ({ _tag: "Socket", path: socketPath, source: "search" })
  if (where.platform === "win32") {
    return [socket("//./pipe/docker_engine"), socket("//./pipe/podman-machine-default")]
  }
  const named = where.env["XDG_RUNTIME_DIR"]
  const runtime = named !== undefined && named !== ""
    ? named
    : where.uid === undefined
    ? undefined
    : `/run/user/${where.uid}`
  const paths = [
    where.defaultSocket ?? "/var/run/docker.sock",
    path.join(where.homeDirectory, ".docker", "run", "docker.sock"),
    ...(runtime === undefined
      ? []
      : [path.join(runtime, "docker.sock"), path.join(runtime, "podman", "podman.sock")]),
    ...(where.defaultSocket === undefined ? ["/run/podman/podman.sock"] : [])
  ]
  return [...new Set(paths)].map(socket)
}

/** Where Docker may listen: one endpoint when something names it, else all that are worth trying. */
export const candidates = (
  where: Surroundings
): Effect.Effect<ReadonlyArray<DockerEndpoint>, DockerError.DockerEndpointInvalid> =>
  Effect.gen(function*() {
    if (where.host !== undefined && where.host !== "") return [yield* parse(where.host, "--docker-host")]
    const host = where.env["DOCKER_HOST"]
    if (host !== undefined && host !== "") return [yield* fromEnvironment(where, host)]
    const named = where.env["DOCKER_CONTEXT"]
    if (named !== undefined && named !== "") {
      return named === "default" ? usualSockets(where) : [yield* fromContext(where, named, "DOCKER_CONTEXT")]
    }
    const file = path.join(configDirectory(where), "config.json")
    const current = property(yield* readJson(file), "currentContext")
    return typeof current !== "string" || current === "" || current === "default"
      ? usualSockets(where)
      : [yield* fromContext(where, current, `currentContext in ${file}`)]
  })

/** Whether something accepts connections there: `undefined`, or the error's code. */
const knock = (endpoint: { readonly path: string }): Effect.Effect<string | undefined> =>
  Effect.async<string | undefined>((resume) => {
    const socket = net.connect({ path: endpoint.path })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(undefined))
    })
    socket.on("error", (error: NodeJS.ErrnoException) => resume(Effect.succeed(error.code ?? error.message)))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutTo({ duration: Duration.seconds(3), onTimeout: () => "ETIMEDOUT", onSuccess: (code) => code })
  )

const groupName = (gid: number) =>
  Effect.map(readText("/etc/group"), (text) => {
    const line = text?.split("\n").find((line) => line.split(":")[2] === String(gid))
    return line?.split(":")[0] ?? String(gid)
  })

/** The error for a socket that we may not use, with the group that may. */
export const permissionDenied = (endpoint: DockerEndpoint): Effect.Effect<DockerError.DockerPermissionDenied> =>
  Effect.gen(function*() {
    const stat = endpoint._tag === "Socket"
      ? yield* Effect.orElseSucceed(Effect.tryPromise(() => fs.stat(endpoint.path)), () => undefined)
      : undefined
    const group = stat === undefined || process.platform === "win32" ? undefined : yield* groupName(stat.gid)
    const user = yield* Effect.orElseSucceed(
      Effect.try(() => os.userInfo().username),
      () => String(process.getuid?.() ?? "unknown")
    )
    return new DockerError.DockerPermissionDenied({ endpoint: format(endpoint), user, group })
  })

/** What to do about an engine that is known and does not answer. */
export const unreachableRemedy = (endpoint: DockerEndpoint): string =>
  endpoint._tag === "Tcp"
    ? "Check that the daemon runs there and listens on that port."
    : /podman/.test(endpoint.path)
    ? "Start it with \"systemctl start podman.socket\" (with --user for a rootless one)."
    : process.platform === "linux"
    ? "Start it with \"sudo systemctl start docker\"."
    : "Start Docker Desktop, or whatever provides Docker here."

/**
 * Decides for one endpoint. Of several, the first that accepts a connection; when none does, the failure is the most
 * telling one: not allowed, then down, then not there.
 */
export const locate = (
  where: Surroundings
): Effect.Effect<
  DockerEndpoint,
  | DockerError.DockerEndpointInvalid
  | DockerError.DockerNotFound
  | DockerError.DockerPermissionDenied
  | DockerError.DockerUnreachable
> =>
  Effect.gen(function*() {
    const found = yield* candidates(where)
    const [only] = found
    // What was named is used, and what is wrong with it is seen at the first request.
    if (found.length === 1 && only !== undefined && only.source !== "search") return only
    let denied: DockerEndpoint | undefined
    let down: { readonly endpoint: DockerEndpoint; readonly code: string } | undefined
    for (const endpoint of found) {
      if (endpoint._tag === "Tcp") continue
      const code = yield* knock(endpoint)
      if (code === undefined) return endpoint
      if (code === "EACCES" || code === "EPERM") denied ??= endpoint
      else if (code !== "ENOENT" && code !== "ENOTDIR") down ??= { endpoint, code }
    }
    if (denied !== undefined) return yield* yield* permissionDenied(denied)
    if (down !== undefined) {
      return yield* new DockerError.DockerUnreachable({
        endpoint: format(down.endpoint),
        operation: "connect",
        reason: reasonOf(down.code),
        ambiguous: false,
        remedy: unreachableRemedy(down.endpoint)
      })
    }
    return yield* new DockerError.DockerNotFound({ lookedAt: found.map(format) })
  })

/** An error code of the system in words. */
export const reasonOf = (code: string): string => {
  switch (code) {
    case "ECONNREFUSED":
      return "the connection was refused: its daemon is not running"
    case "ENOENT":
      return "there is no such socket: its daemon is not running"
    case "ENOTSOCK":
    case "EPROTOTYPE":
      return "that is not a socket"
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return "its host's name is not known"
    case "ETIMEDOUT":
      return "it does not answer"
    case "EHOSTUNREACH":
    case "ENETUNREACH":
      return "there is no route to its host"
    case "ECONNRESET":
    case "EPIPE":
    case "ECONNABORTED":
      return "the connection was lost"
    default:
      return code
  }
}
