/**
 * Where Docker listens: the only place that finds it, for running containers and for reporting the hardware.
 *
 * The setting, `DOCKER_HOST`, `DOCKER_CONTEXT` and the docker command's current context, in this order, each name one
 * endpoint; when one of them does, nothing else is tried. Otherwise the usual sockets of Docker, Docker Desktop, Colima,
 * OrbStack, Rancher Desktop and Podman, with root's rights and without, are tried in turn.
 *
 * Loads nothing heavy: every start of the agent comes through here.
 */
import * as fs from "node:fs/promises"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "../../net/HttpClient.js"
import * as HostPort from "../../net/HostPort.js"
import * as Printable from "../../text/Printable.js"
import * as SystemError from "../../text/SystemError.js"
import * as DockerConfig from "./DockerConfig.js"
import type { DockerEnvironment } from "./DockerEnvironment.js"
import * as DockerError from "./DockerError.js"

/** Where Docker listens. */
export type DockerEndpoint =
  /** A Unix socket, or a named pipe of Windows. */
  | { readonly _tag: "Socket"; readonly path: string; readonly source: string }
  | {
    readonly _tag: "Tcp"
    readonly host: string
    readonly port: number
    readonly tls?: DockerConfig.Tls
    readonly source: string
  }

/** The source of an endpoint that nothing named. */
export const searched = "search"

/** `unix:///var/run/docker.sock`, `tcp://localhost:2375`. */
export const format = (endpoint: DockerEndpoint): string =>
  endpoint._tag === "Socket"
    ? `${/^[/\\]{2}[.?]/.test(endpoint.path) ? "npipe" : "unix"}://${endpoint.path}`
    : `tcp://${HostPort.format(endpoint)}`

/** On this machine, so that paths and ports mean the same to Docker and to us. */
export const isLocal = (endpoint: DockerEndpoint): boolean =>
  endpoint._tag === "Socket" || /^(localhost|127\.[\d.]+|::1)$/.test(endpoint.host)

/** A request for a path of Docker's API. */
export const get = (endpoint: DockerEndpoint, resource: string): HttpClient.HttpRequest =>
  endpoint._tag === "Socket"
    ? { method: "GET", url: `http://localhost${resource}`, socketPath: endpoint.path }
    : {
      method: "GET",
      url: `${endpoint.tls === undefined ? "http" : "https"}://${HostPort.format(endpoint)}${resource}`,
      tls: endpoint.tls
    }

const examples = "Use unix:///var/run/docker.sock or tcp://localhost:2375, for example."

/** Far above what an endpoint is written with. */
const maxLength = 2_000

/** Reads an endpoint as people write it. A path is a socket, and `host:port` is TCP. */
export const parse = (
  text: string,
  source: string,
  tls?: DockerConfig.Tls
): Effect.Effect<DockerEndpoint, DockerError.DockerEndpointInvalid> => {
  const invalid = (reason: string, remedy = examples) =>
    Effect.fail(
      new DockerError.DockerEndpointInvalid({ source, value: Printable.oneLine(text, 200), reason, remedy })
    )
  const trimmed = text.trim()
  if (trimmed.length > maxLength) return invalid("it is too long.")
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(trimmed)
  const kind = scheme?.[1]?.toLowerCase() ?? (trimmed.startsWith("/") ? "unix" : "tcp")
  const rest = scheme?.[2] ?? trimmed
  switch (kind) {
    case "unix":
      if (!rest.startsWith("/")) return invalid("unix:// needs the absolute path of a socket.")
      return rest.includes("\0")
        ? invalid("its path has a NUL character in it.")
        : Effect.succeed({ _tag: "Socket", path: rest, source })
    case "npipe": {
      const pipe = rest.replaceAll("\\", "/")
      return !/^\/\/[.?]\/./.test(pipe) || pipe.includes("\0")
        ? invalid("npipe:// needs the path of a pipe.", "Use npipe:////./pipe/docker_engine.")
        : Effect.succeed({ _tag: "Socket", path: pipe, source })
    }
    case "tcp":
    case "http":
    case "https": {
      const match = /^(?:\[([0-9a-fA-F:.]+)\]|([a-zA-Z0-9._-]+))(?::(\d{1,5}))?\/?$/.exec(rest)
      const host = match?.[1] ?? match?.[2]
      if (host === undefined || (match?.[1] !== undefined && !net.isIPv6(host))) {
        return invalid("it is not a host with a port.")
      }
      const secured = tls ?? (kind === "https" ? { verify: true } : undefined)
      const port = match?.[3] === undefined ? (secured === undefined ? 2375 : 2376) : Number(match[3])
      if (port < 1 || port > 65_535) return invalid(`${port} is not a port.`)
      return Effect.succeed({ _tag: "Tcp", host, port, source, ...(secured === undefined ? {} : { tls: secured }) })
    }
    case "ssh":
      return invalid(
        "it is another machine, reached over SSH, and the agent manages the engines of its own machine.",
        "Name this machine's own Docker with --docker-host, such as unix:///var/run/docker.sock."
      )
    default:
      return invalid(`Docker cannot be reached over ${Printable.oneLine(kind, 40)}://.`)
  }
}

const fromContext = (environment: DockerEnvironment, name: string, source: string) =>
  Effect.gen(function*() {
    const context = yield* DockerConfig.readContext(environment, name)
    if (context === undefined) {
      return yield* new DockerError.DockerEndpointInvalid({
        source,
        value: Printable.oneLine(name, 200),
        reason: `no context of that name has a Docker endpoint in ${DockerConfig.contextsDirectory(environment)}.`,
        remedy: "\"docker context ls\" lists the contexts there are; or name the endpoint with --docker-host."
      })
    }
    return yield* parse(context.host, `context ${Printable.oneLine(name, 200)}`, context.tls)
  })

const fromVariables = (environment: DockerEnvironment, host: string) =>
  Effect.gen(function*() {
    if ((environment.env["DOCKER_TLS_VERIFY"] ?? "") === "") return yield* parse(host, "DOCKER_HOST")
    const named = environment.env["DOCKER_CERT_PATH"]
    const directory = named === undefined || named === "" ? DockerConfig.directory(environment) : named
    const tls = directory === undefined ? undefined : yield* DockerConfig.readTls(directory, true)
    return yield* parse(host, "DOCKER_HOST", tls ?? { verify: true })
  })

/** The sockets that are tried when nothing names one, in order. */
const usualSockets = (
  { env, homeDirectory: home, platform, root = "", uid }: DockerEnvironment
): ReadonlyArray<DockerEndpoint> => {
  const socket = (socketPath: string): DockerEndpoint => ({ _tag: "Socket", path: socketPath, source: searched })
  if (platform === "win32") {
    return [socket("//./pipe/docker_engine"), socket("//./pipe/podman-machine-default")]
  }
  const below = (directory: string | undefined, ...names: ReadonlyArray<string>) =>
    directory === undefined || directory === "" ? [] : names.map((name) => path.join(directory, name))
  const system = root === "/" ? "" : root
  const named = env["XDG_RUNTIME_DIR"]
  const runtime = named !== undefined && named !== "" ? named : uid === undefined ? "" : `${system}/run/user/${uid}`
  const paths = [
    `${system}/var/run/docker.sock`,
    ...below(home, ".docker/run/docker.sock"),
    ...below(runtime, "docker.sock"),
    ...below(home, ".docker/desktop/docker.sock"),
    ...below(env["COLIMA_HOME"], "default/docker.sock"),
    ...below(home, ".colima/default/docker.sock", ".config/colima/default/docker.sock"),
    ...(platform === "darwin" ? below(home, ".orbstack/run/docker.sock") : []),
    ...below(home, ".rd/docker.sock"),
    ...below(runtime, "podman/podman.sock"),
    ...(platform === "darwin" ? below(home, ".local/share/containers/podman/machine/podman.sock") : []),
    `${system}/run/podman/podman.sock`
  ]
  return [...new Set(paths)].map(socket)
}

/** Where Docker may listen: one endpoint when something names it, else all that are worth trying. */
export const candidates = (
  environment: DockerEnvironment
): Effect.Effect<ReadonlyArray<DockerEndpoint>, DockerError.DockerEndpointInvalid> =>
  Effect.gen(function*() {
    const { env } = environment
    if (environment.host !== undefined && environment.host !== "") {
      return [yield* parse(environment.host, "--docker-host")]
    }
    const host = env["DOCKER_HOST"]
    if (host !== undefined && host !== "") return [yield* fromVariables(environment, host)]
    const named = env["DOCKER_CONTEXT"]
    if (named !== undefined && named !== "") {
      return named === "default"
        ? usualSockets(environment)
        : [yield* fromContext(environment, named, "DOCKER_CONTEXT")]
    }
    const current = yield* DockerConfig.currentContext(environment)
    return current === undefined
      ? usualSockets(environment)
      : [yield* fromContext(environment, current, `currentContext in ${DockerConfig.file(environment)}`)]
  })

/** Whether something accepts connections there: `undefined`, or the error's code. */
const knock = (socketPath: string): Effect.Effect<string | undefined> =>
  Effect.async<string | undefined>((resume) => {
    const socket = net.connect({ path: socketPath })
    socket.once("connect", () => {
      socket.destroy()
      resume(Effect.succeed(undefined))
    })
    socket.on("error", (error) => resume(Effect.succeed(SystemError.codeOf(error) ?? error.message)))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.timeoutTo({ duration: Duration.seconds(3), onTimeout: () => "ETIMEDOUT", onSuccess: (code) => code }),
    // A path that is too long is refused by a throw.
    Effect.catchAllDefect((defect) => Effect.succeed(SystemError.codeOf(defect) ?? String(defect)))
  )

const groupName = (gid: number) =>
  Effect.map(DockerConfig.readText("/etc/group"), (text) => {
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

/** What to do when Docker is known and does not answer. */
export const unreachableRemedy = (endpoint: DockerEndpoint): string =>
  endpoint._tag === "Tcp"
    ? "Check that the daemon runs there and listens on that port."
    : /podman/.test(endpoint.path)
    ? "Start it with \"systemctl start podman.socket\" (with --user for a rootless one)."
    : process.platform === "linux"
    ? "Start it with \"sudo systemctl start docker\"."
    : "Start Docker Desktop, or whatever provides Docker here."

/** What a code of the operating system's means when it is Docker that was to be reached. */
const words = {
  ECONNREFUSED: "connection refused: its daemon is not running",
  ENOENT: "there is no such socket: its daemon is not running",
  ENOTSOCK: "that is not a socket",
  EPROTOTYPE: "that is not a socket",
  ETIMEDOUT: "it does not answer"
}

/** An error code of the system in words; `otherwise` for one that is not known. */
export const reasonOf = (code: string, otherwise = code): string => {
  const reason = SystemError.reasonOf(code, words)
  return reason === code ? otherwise : reason
}

/** The error for an endpoint where Docker does not answer. */
export const unreachable = (
  endpoint: DockerEndpoint,
  of: { readonly operation: string; readonly reason: string; readonly ambiguous?: boolean; readonly cause?: unknown }
) =>
  new DockerError.DockerUnreachable({
    ambiguous: false,
    ...of,
    endpoint: format(endpoint),
    remedy: unreachableRemedy(endpoint)
  })

/** Why Docker can not be found. */
export type NotLocated =
  | DockerError.DockerEndpointInvalid
  | DockerError.DockerNotFound
  | DockerError.DockerPermissionDenied
  | DockerError.DockerUnreachable

/**
 * Decides for one endpoint. Of several, the first that accepts a connection; when none does, the failure is the most
 * telling one: not allowed, then down, then not there.
 */
export const locate = (environment: DockerEnvironment): Effect.Effect<DockerEndpoint, NotLocated> =>
  Effect.gen(function*() {
    const found = yield* candidates(environment)
    const [only] = found
    // What was named is used, and what is wrong with it is seen at the first request.
    if (found.length === 1 && only !== undefined && only.source !== searched) return only
    let denied: DockerEndpoint | undefined
    let down: { readonly endpoint: DockerEndpoint; readonly code: string } | undefined
    for (const endpoint of found) {
      if (endpoint._tag === "Tcp") continue
      const code = yield* knock(endpoint.path)
      if (code === undefined) return endpoint
      if (code === "EACCES" || code === "EPERM") denied ??= endpoint
      else if (code !== "ENOENT" && code !== "ENOTDIR") down ??= { endpoint, code }
    }
    if (denied !== undefined) return yield* yield* permissionDenied(denied)
    if (down !== undefined) {
      return yield* unreachable(down.endpoint, { operation: "connect", reason: reasonOf(down.code) })
    }
    return yield* new DockerError.DockerNotFound({ lookedAt: found.map(format) })
  }).pipe(Effect.withSpan("DockerEndpoint.locate"))
