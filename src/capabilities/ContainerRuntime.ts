/** What runs containers here: Docker or Podman, by two small requests to its API. */
import * as Effect from "effect/Effect"
import type * as http from "node:http"
import * as path from "node:path"
import * as Printable from "../text/Printable.js"
import type { DeviceFiles } from "./Files.js"
import { finding } from "../node/Findings.js"
import { isObject, type JsonObject, objectsOf, parseJson, textOf } from "./Json.js"
import type { Reading } from "./Probe.js"

/** What the runtime says about itself. */
export interface RuntimeFacts {
  readonly kind: "docker" | "podman"
  readonly version?: string
  /** Whether NVIDIA's GPUs can be handed to containers: its runtime is set up, or its devices are described (CDI). */
  readonly nvidiaReady: boolean
  /** Where images and containers are, as the runtime sees it. */
  readonly dataDirectory?: string
}

/** Where the runtime listens. */
export type RuntimeEndpoint =
  | { readonly socketPath: string }
  | { readonly host: string; readonly port: number }

/** Reads a `DOCKER_HOST`; `undefined` for what is not asked here (`ssh://`, TLS). */
export const parseEndpoint = (dockerHost: string): RuntimeEndpoint | undefined => {
  const [, scheme, rest] = /^([a-z]+):\/\/(.+)$/.exec(dockerHost.trim()) ?? []
  if (scheme === undefined || rest === undefined) {
    return path.isAbsolute(dockerHost) ? { socketPath: dockerHost } : undefined
  }
  if (scheme === "unix") return { socketPath: rest }
  if (scheme === "npipe") return { socketPath: rest.replaceAll("/", "\\") }
  if (scheme !== "tcp" && scheme !== "http") return undefined
  const [, host, port] = /^(\[[^\]]+\]|[^:/]+)(?::(\d{1,5}))?\/?$/.exec(rest) ?? []
  const number = port === undefined ? 2375 : Number(port)
  // 2376 is Docker's port for TLS.
  return host === undefined || number === 0 || number > 65_535 || number === 2376
    ? undefined
    : { host: host.replace(/^\[|\]$/g, ""), port: number }
}

/** What `/version` and `/info` mean; `undefined` when `/version` is not a runtime's. */
export const parseRuntime = (version: string, info: string, cdiFiles: string): RuntimeFacts | undefined => {
  const about = parseJson(version)
  if (!isObject(about) || textOf(about.ApiVersion) === undefined) return undefined
  const details = parseJson(info)
  const system: JsonObject = isObject(details) ? details : {}
  const podman = objectsOf(about.Components, 32).some((component) => /podman/i.test(textOf(component.Name) ?? ""))
  const runtimes = isObject(system.Runtimes) ? Object.keys(system.Runtimes) : []
  const described = objectsOf(system.DiscoveredDevices, 1024).some((device) =>
    textOf(device.ID)?.startsWith("nvidia.com/gpu") === true
  )
  // Podman reads the descriptions by itself; Docker does when it says where it looks for them.
  const reads = podman || (Array.isArray(system.CDISpecDirs) && system.CDISpecDirs.length > 0)
  const dataDirectory = textOf(system.DockerRootDir)
  const number = textOf(about.Version)
  return {
    kind: podman ? "podman" : "docker",
    ...(number === undefined ? {} : { version: number }),
    nvidiaReady: runtimes.some((name) => /^nvidia/.test(name)) || described
      || (reads && cdiFiles.includes("nvidia.com/gpu")),
    ...(dataDirectory === undefined || !path.isAbsolute(dataDirectory) ? {} : { dataDirectory })
  }
}

/** More than any answer here: a machine with thousands of containers has no larger one. */
const maxAnswer = 1024 * 1024

const get = (endpoint: RuntimeEndpoint, resource: string): Effect.Effect<string, NodeJS.ErrnoException> =>
  Effect.flatMap(Effect.promise(() => import("node:http")), (client) =>
    Effect.async((resume) => {
      const options: http.RequestOptions = { ...endpoint, path: resource, agent: false, headers: { host: "localhost" } }
      const request = client.get(options, (response) => {
        const parts: Array<Buffer> = []
        let size = 0
        response.on("data", (chunk: Buffer) => {
          size += chunk.length
          if (size > maxAnswer) request.destroy(new Error(`the answer to ${resource} is larger than 1 MiB`))
          else parts.push(chunk)
        })
        response.once("end", () =>
          resume(
            response.statusCode === 200
              ? Effect.succeed(Buffer.concat(parts).toString("utf8"))
              : Effect.fail(new Error(`${resource} was answered with status ${response.statusCode}`))
          ))
        response.once("error", (cause) => resume(Effect.fail(cause)))
      })
      request.once("error", (cause) => {
        // The socket may report more than one.
        request.on("error", () => {})
        resume(Effect.fail(cause))
      })
      return Effect.sync(() => {
        request.on("error", () => {})
        request.destroy()
      })
    }))

/** The names that the files of the Container Device Interface give to devices. */
const readCdi = (files: DeviceFiles) =>
  Effect.gen(function*() {
    let all = ""
    for (const folder of ["/etc/cdi", "/var/run/cdi"]) {
      for (const name of (yield* files.list(folder)).slice(0, 32)) {
        const kind = /^\s*"?kind"?:\s*"?([^"\s,]+)/m.exec((yield* files.text(`${folder}/${name}`)) ?? "")?.[1]
        all += `${kind ?? ""}\n`
      }
    }
    return all
  })

export interface RuntimeOptions {
  readonly files: DeviceFiles
  /** Set by the user, by flag or environment. */
  readonly dockerHost: string | undefined
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  /** In front of the usual sockets. */
  readonly root: string
}

/** Where runtimes usually listen, the likeliest first. */
const usualSockets = ({ env, platform }: RuntimeOptions): ReadonlyArray<string> => {
  if (platform === "win32") return ["\\\\.\\pipe\\docker_engine"]
  const home = env.HOME ?? ""
  const runtime = env.XDG_RUNTIME_DIR ?? ""
  return [
    "/var/run/docker.sock",
    ...(runtime === "" ? [] : [`${runtime}/docker.sock`]),
    ...(home === "" ? [] : [`${home}/.docker/run/docker.sock`, `${home}/.docker/desktop/docker.sock`]),
    ...(home === "" ? [] : [`${home}/.colima/default/docker.sock`]),
    ...(runtime === "" ? [] : [`${runtime}/podman/podman.sock`]),
    "/run/podman/podman.sock"
  ]
}

const problemOf = (where: string, cause: NodeJS.ErrnoException) => {
  if (cause.code === "EACCES" || cause.code === "EPERM") {
    return finding({
      code: "runtime.permission",
      severity: "error",
      subject: "container runtime",
      message: `The agent may not use the container runtime at ${where} (permission denied).`,
      remedy: "Add the user that runs the agent to the group docker and log in again, or run the agent as root."
    })
  }
  return finding({
    code: "runtime.not-running",
    severity: "warning",
    subject: "container runtime",
    message: `The container runtime at ${where} does not answer: ${Printable.label(cause.message, 200) ?? cause.code}.`,
    remedy: "Start it (systemctl start docker), or say where it listens with --docker-host."
  })
}

/** Asks the runtime. Where none is installed there is nothing to find, and nothing is wrong. */
export const detect = (options: RuntimeOptions): Effect.Effect<Reading<RuntimeFacts | undefined>> =>
  Effect.gen(function*() {
    const { dockerHost, env, files, platform, root } = options
    const nothing: RuntimeFacts | undefined = undefined
    const set = dockerHost ?? env.DOCKER_HOST
    const candidates: Array<{ readonly where: string; readonly endpoint: RuntimeEndpoint }> = []
    if (set !== undefined && set !== "") {
      const endpoint = parseEndpoint(set)
      if (endpoint !== undefined) candidates.push({ where: set, endpoint })
    } else {
      for (const socketPath of usualSockets(options)) {
        if (platform !== "win32" && !(yield* files.exists(socketPath))) continue
        const real = root === "/" || platform === "win32" ? socketPath : `${root}${socketPath}`
        candidates.push({ where: socketPath, endpoint: { socketPath: real } })
      }
    }
    let problem: ReturnType<typeof problemOf> | undefined
    for (const { endpoint, where } of candidates) {
      const answer = yield* Effect.either(get(endpoint, "/version"))
      if (answer._tag === "Left") {
        const absent = platform === "win32" && set === undefined && answer.left.code === "ENOENT"
        if (!absent) problem ??= problemOf(where, answer.left)
        continue
      }
      const info = yield* Effect.merge(get(endpoint, "/info"))
      const facts = parseRuntime(answer.right, typeof info === "string" ? info : "", yield* readCdi(files))
      if (facts === undefined) {
        problem ??= problemOf(where, new Error("what answers is not a container runtime"))
        continue
      }
      return { facts, findings: yield* files.takeFindings, goodFor: "1 minute" as const }
    }
    const findings = [...(problem === undefined ? [] : [problem]), ...(yield* files.takeFindings)]
    return { facts: nothing, findings, goodFor: "30 seconds" as const }
  })
