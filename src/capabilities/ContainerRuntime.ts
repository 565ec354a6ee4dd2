/** What runs containers here: Docker or Podman, by two small requests to its API. */
import * as path from "node:path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Schema from "effect/Schema"
import * as DockerApi from "../docker/api/DockerApi.js"
import * as DockerEndpoint from "../docker/api/DockerEndpoint.js"
import * as DockerEnvironment from "../docker/api/DockerEnvironment.js"
import type * as DockerError from "../docker/api/DockerError.js"
import * as HttpClient from "../net/HttpClient.js"
import type { DeviceFiles } from "./Files.js"
import { finding } from "../node/Findings.js"
import { textOf } from "./Json.js"
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

const decodeVersion = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.Version))
const decodeInfo = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.Info))

/** What `/version` and `/info` mean; `undefined` when `/version` is not a runtime's. */
export const parseRuntime = (version: string, info: string, cdiFiles: string): RuntimeFacts | undefined => {
  const about = decodeVersion(version)
  if (Either.isLeft(about)) return undefined
  const { kind, version: number } = DockerApi.version(about.right, "")
  const answered = decodeInfo(info)
  const { cdi, cdiDevices, dataDirectory, runtimes } = DockerApi.info(Either.isRight(answered) ? answered.right : {})
  const shown = textOf(number)
  const directory = textOf(dataDirectory)
  return {
    kind,
    ...(shown === undefined ? {} : { version: shown }),
    nvidiaReady: runtimes.some((name) => name.startsWith("nvidia"))
      || cdiDevices.some((device) => device.startsWith("nvidia.com/gpu"))
      // Podman always reads the descriptions; Docker does if it reports where it looks for them.
      || ((kind === "podman" || cdi) && cdiFiles.includes("nvidia.com/gpu")),
    ...(directory === undefined || !path.isAbsolute(directory) ? {} : { dataDirectory: directory })
  }
}

/** More than any answer here, also of a machine with thousands of containers. */
const limits = { deadline: "15 seconds", maxBytes: 1024 * 1024 } as const

/** The body of a successful answer. */
const ask = (endpoint: DockerEndpoint.DockerEndpoint, resource: string) =>
  Effect.filterOrFail(
    HttpClient.send(DockerEndpoint.get(endpoint, resource), limits),
    ({ status }) => status === 200,
    ({ status }) =>
      new HttpClient.HttpFailed({ problem: "lost", reason: `it answered ${resource} with status ${status}` })
  ).pipe(Effect.map(({ body }) => body))

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

const subject = "container runtime"

const notRunning = (endpoint: string, reason: string, remedy: string) =>
  finding({
    code: "runtime.not-running",
    severity: "warning",
    subject,
    message: `The container runtime at ${endpoint} does not answer: ${reason}.`,
    remedy
  })

/** What a person should know when the runtime is not found; `undefined` where none is installed. */
const problemOf = (error: DockerEndpoint.NotLocated) => {
  switch (error._tag) {
    case "DockerNotFound":
      return undefined
    case "DockerPermissionDenied":
      return finding({
        code: "runtime.permission",
        severity: "error",
        subject,
        message: error.problem,
        remedy: error.remedy
      })
    case "DockerUnreachable":
      return notRunning(error.endpoint, error.reason, error.remedy)
    case "DockerEndpointInvalid":
      return finding({
        code: "runtime.endpoint-invalid",
        severity: "warning",
        subject,
        message: `${error.source} names the container runtime "${error.value}": ${error.reason}`,
        remedy: error.remedy
      })
  }
}

const failureOf = (
  endpoint: DockerEndpoint.DockerEndpoint,
  { code, reason }: HttpClient.HttpFailed
): Effect.Effect<DockerError.DockerPermissionDenied | DockerError.DockerUnreachable> =>
  code === "EACCES" || code === "EPERM"
    ? DockerEndpoint.permissionDenied(endpoint)
    : Effect.succeed(DockerEndpoint.unreachable(endpoint, {
      operation: "connect",
      reason: code === undefined ? reason : DockerEndpoint.reasonOf(code, reason)
    }))

/** Asks the runtime. Where none is installed there is nothing to find, and nothing is wrong. */
export const detect = (
  { dockerHost, env, files, platform, root }: RuntimeOptions
): Effect.Effect<Reading<RuntimeFacts | undefined>> =>
  Effect.gen(function*() {
    const endpoint = yield* DockerEndpoint.locate(
      DockerEnvironment.current({ host: dockerHost, env, platform, root })
    )
    const asked = (resource: string) =>
      Effect.catchAll(ask(endpoint, resource), (error) => Effect.flatMap(failureOf(endpoint, error), Effect.fail))
    const version = yield* asked("/version")
    const info = yield* Effect.orElseSucceed(asked("/info"), () => "")
    const facts = parseRuntime(version, info, yield* readCdi(files))
    const findings = yield* files.takeFindings
    return facts === undefined
      ? {
        facts,
        findings: [
          notRunning(
            DockerEndpoint.format(endpoint),
            "what answers is not a container runtime",
            "Name Docker's endpoint with --docker-host."
          ),
          ...findings
        ],
        goodFor: "30 seconds" as const
      }
      : { facts, findings, goodFor: "1 minute" as const }
  }).pipe(
    Effect.catchAll((error) =>
      Effect.map(files.takeFindings, (findings) => {
        const problem = problemOf(error)
        return {
          facts: undefined,
          findings: problem === undefined ? findings : [problem, ...findings],
          goodFor: "30 seconds" as const
        }
      })
    ),
    // Runs every minute: problems of the docker command's files are logged where containers are run.
    Logger.withMinimumLogLevel(LogLevel.None)
  )
