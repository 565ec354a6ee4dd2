/** What Docker is asked in one request each. */
import * as fs from "node:fs/promises"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"

/** For what Docker answers at once, unless it hangs. A busy disk can make it take seconds. */
const quick = Duration.seconds(15)
const listDeadline = Duration.seconds(30)
/** Room for the containers of the busiest machine. */
const maxListBytes = 32 * 1024 * 1024

const containerPath = (container: string, rest = "") => `/containers/${encodeURIComponent(container)}${rest}`

/** What is missing is a container. */
const orNotFound = (container: string) =>
<A>(
  effect: Effect.Effect<A, DockerError.DockerError>
): Effect.Effect<A, DockerError.DockerError | DockerError.ContainerNotFound> =>
  Effect.mapError(effect, (error) =>
    error._tag === "DockerRequestFailed" && error.status === 404
      ? new DockerError.ContainerNotFound({ container })
      : error)

export const version = (
  transport: DockerTransport.DockerTransport
): Effect.Effect<Container.DockerVersion, DockerError.DockerError> =>
  Effect.zipWith(
    transport.json(
      { operation: "report its version", method: "GET", path: "/version", deadline: quick },
      DockerApi.Version
    ),
    transport.endpoint,
    (answer, endpoint) => DockerApi.version(answer, DockerEndpoint.format(endpoint))
  )

export const info = (
  transport: DockerTransport.DockerTransport
): Effect.Effect<Container.DockerInfo, DockerError.DockerError> =>
  Effect.map(
    transport.json(
      { operation: "describe itself", method: "GET", path: "/info", deadline: listDeadline },
      DockerApi.Info
    ),
    DockerApi.info
  )

export const inspect = (transport: DockerTransport.DockerTransport) => (container: string) =>
  Effect.map(
    transport.json(
      {
        operation: `inspect container ${container}`,
        method: "GET",
        path: containerPath(container, "/json"),
        deadline: quick
      },
      DockerApi.Inspect
    ),
    DockerApi.inspect
  ).pipe(orNotFound(container))

export const list = (transport: DockerTransport.DockerTransport) => (labels: Readonly<Record<string, string>>) =>
  Effect.map(
    transport.json(
      {
        operation: "list containers",
        method: "GET",
        path: "/containers/json",
        query: {
          all: true,
          filters: JSON.stringify({ label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) })
        },
        deadline: listDeadline,
        maxBytes: maxListBytes
      },
      DockerApi.Summaries
    ),
    (containers) => containers.map(DockerApi.summary)
  )

export const inspectImage = (transport: DockerTransport.DockerTransport) => (image: string) =>
  Effect.map(
    transport.json(
      // A name's slashes are part of the path.
      {
        operation: `inspect image ${image}`,
        method: "GET",
        path: `/images/${encodeURI(image)}/json`,
        deadline: quick
      },
      DockerApi.Image
    ),
    DockerApi.image
  ).pipe(
    Effect.catchTag("DockerRequestFailed", (error) =>
      Effect.fail(
        error.status === 404
          ? new DockerError.ImageNotFound({
            image,
            detail: "it is not on this machine",
            mayNeedLogin: false
          })
          : error
      ))
  )

/** Room where Docker keeps its images, when that is a directory of this machine that we can look at. */

export const disk = (transport: DockerTransport.DockerTransport) =>
  Effect.gen(function*() {
    if (!DockerEndpoint.isLocal(yield* transport.endpoint)) return undefined
    const { dataDirectory } = yield* info(transport)
    if (dataDirectory === "") return undefined
    const { bavail, bsize } = yield* Effect.tryPromise(() => fs.statfs(dataDirectory))
    return { path: dataDirectory, free: bavail * bsize }
  }).pipe(
    Effect.timeoutOption(Duration.seconds(10)),
    Effect.map(Option.getOrUndefined),
    Effect.orElseSucceed(() => undefined)
  )

export const kill = (transport: DockerTransport.DockerTransport) => (container: string, signal = "SIGKILL") =>
  transport.call({
    operation: `send ${signal} to container ${container}`,
    method: "POST",
    path: containerPath(container, "/kill"),
    query: { signal },
    deadline: listDeadline
  }).pipe(
    Effect.asVoid,
    // It does not run.
    Effect.catchTag("DockerRequestFailed", (error) => error.status === 409 ? Effect.void : Effect.fail(error)),
    orNotFound(container)
  )

export const stats = (transport: DockerTransport.DockerTransport) => (container: string) =>
  Effect.zipWith(
    transport.json(
      {
        operation: `measure container ${container}`,
        method: "GET",
        path: containerPath(container, "/stats"),
        query: { stream: false },
        deadline: quick
      },
      DockerApi.Stats
    ),
    Clock.currentTimeMillis,
    DockerApi.stats
  ).pipe(orNotFound(container))

export const ping = (transport: DockerTransport.DockerTransport) =>
  Effect.asVoid(transport.call({ operation: "answer a ping", method: "GET", path: "/_ping", deadline: quick }))
