/** The Docker port through dockerode. */
import * as fs from "node:fs/promises"
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type * as Container from "./api/Container.js"
import * as ContainerEvents from "./ContainerEvents.js"
import * as ContainerExec from "./ContainerExec.js"
import * as ContainerLogs from "./ContainerLogs.js"
import * as ContainerRun from "./ContainerRun.js"
import * as ContainerWait from "./ContainerWait.js"
import { Docker } from "./Docker.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerEnvironment from "./api/DockerEnvironment.js"
import * as DockerError from "./api/DockerError.js"
import * as DockerTransport from "./api/DockerTransport.js"
import * as ImagePull from "./ImagePull.js"
import * as RegistryAuth from "./api/RegistryAuth.js"

/** How Docker is reached. */
export interface DockerodeDockerOptions {
  /** As `DOCKER_HOST`; found as the docker command finds it when absent or empty. */
  readonly host?: string | undefined
  /** What the search goes by; the process's own by default. */
  readonly environment?: DockerEnvironment.DockerEnvironment | undefined
}

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

/** Asks for nothing: Docker is looked for at the first use. */
export const make = (
  options: DockerodeDockerOptions = {}
): Effect.Effect<Context.Tag.Service<Docker>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const environment = options.environment ?? DockerEnvironment.current()
    const where = options.host === undefined || options.host === ""
      ? environment
      : { ...environment, host: options.host }
    const transport = yield* DockerTransport.make(where)

    const version: Effect.Effect<Container.DockerVersion, DockerError.DockerError> = Effect.zipWith(
      transport.json(
        { operation: "report its version", method: "GET", path: "/version", deadline: quick },
        DockerApi.Version
      ),
      transport.endpoint,
      (answer, endpoint) => DockerApi.version(answer, DockerEndpoint.format(endpoint))
    )

    const info: Effect.Effect<Container.DockerInfo, DockerError.DockerError> = Effect.map(
      transport.json(
        { operation: "describe itself", method: "GET", path: "/info", deadline: listDeadline },
        DockerApi.Info
      ),
      DockerApi.info
    )

    const inspect = (container: string) =>
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

    const list = (labels: Readonly<Record<string, string>>) =>
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

    const inspectImage = (image: string) =>
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
    const disk = Effect.gen(function*() {
      if (!DockerEndpoint.isLocal(yield* transport.endpoint)) return undefined
      const { dataDirectory } = yield* info
      if (dataDirectory === "") return undefined
      const { bavail, bsize } = yield* Effect.tryPromise(() => fs.statfs(dataDirectory))
      return { path: dataDirectory, free: bavail * bsize }
    }).pipe(
      Effect.timeoutOption(Duration.seconds(10)),
      Effect.map(Option.getOrUndefined),
      Effect.orElseSucceed(() => undefined)
    )

    const { pull } = yield* ImagePull.make({
      transport,
      exists: (image) =>
        Effect.as(inspectImage(image), true).pipe(Effect.catchTag("ImageNotFound", () => Effect.succeed(false))),
      auth: (image) => RegistryAuth.find(where, image),
      disk
    })

    const { adoptScoped, remove, run, runScoped, stop } = ContainerRun.make({
      transport,
      version,
      info,
      inspect,
      list
    })

    return {
      ping: Effect.asVoid(
        transport.call({ operation: "answer a ping", method: "GET", path: "/_ping", deadline: quick })
      ).pipe(Effect.withSpan("Docker.ping")),
      version: version.pipe(Effect.withSpan("Docker.version")),
      info: info.pipe(Effect.withSpan("Docker.info")),
      inspectImage: Effect.fn("Docker.inspectImage")(inspectImage),
      pull,
      run: Effect.fn("Docker.run")(run),
      runScoped: Effect.fn("Docker.runScoped")(runScoped),
      adoptScoped: Effect.fn("Docker.adoptScoped")(adoptScoped),
      inspect: Effect.fn("Docker.inspect")(inspect),
      list: Effect.fn("Docker.list")(list),
      stop: Effect.fn("Docker.stop")(stop),
      remove: Effect.fn("Docker.remove")(remove),
      kill: Effect.fn("Docker.kill")((container: string, signal = "SIGKILL") =>
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
      ),
      wait: Effect.fn("Docker.wait")((container: string) => ContainerWait.wait({ transport, inspect }, container)),
      logs: (container, options = {}) => ContainerLogs.logs({ transport, inspect }, container, options),
      stats: Effect.fn("Docker.stats")((container: string) =>
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
      ),
      exec: Effect.fn("Docker.exec")((
        container: string,
        command: ReadonlyArray<string>,
        options: ContainerExec.ExecOptions = {}
      ) => ContainerExec.exec(transport, container, command, options)),
      events: (labels) => ContainerEvents.watch({ transport, list }, labels)
    }
  })

/** This machine's Docker. Building the layer needs no daemon to be there. */
export const layer = (options: DockerodeDockerOptions = {}): Layer.Layer<Docker> => Layer.scoped(Docker, make(options))
