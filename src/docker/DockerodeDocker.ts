/** The Docker port through dockerode. */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as ContainerEvents from "./ContainerEvents.js"
import * as ContainerExec from "./ContainerExec.js"
import * as ContainerLogs from "./ContainerLogs.js"
import * as ContainerRun from "./ContainerRun.js"
import * as ContainerWait from "./ContainerWait.js"
import { Docker } from "./Docker.js"
import * as DockerEnvironment from "./api/DockerEnvironment.js"
import * as DockerTransport from "./api/DockerTransport.js"
import * as DockerQueries from "./DockerQueries.js"
import * as ImagePull from "./ImagePull.js"
import * as RegistryAuth from "./api/RegistryAuth.js"

/** How Docker is reached. */
export interface DockerodeDockerOptions {
  /** As `DOCKER_HOST`; found as the docker command finds it when absent or empty. */
  readonly host?: string | undefined
  /** What the search goes by; the process's own by default. */
  readonly environment?: DockerEnvironment.DockerEnvironment | undefined
}

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

    const version = DockerQueries.version(transport)
    const info = DockerQueries.info(transport)
    const inspect = DockerQueries.inspect(transport)
    const list = DockerQueries.list(transport)
    const inspectImage = DockerQueries.inspectImage(transport)

    const { pull } = yield* ImagePull.make({
      transport,
      exists: (image) =>
        Effect.as(inspectImage(image), true).pipe(Effect.catchTag("ImageNotFound", () => Effect.succeed(false))),
      auth: (image) => RegistryAuth.find(where, image),
      disk: DockerQueries.disk(transport)
    })

    const { adoptScoped, remove, run, runScoped, stop } = ContainerRun.make({
      transport,
      version,
      info,
      inspect,
      list
    })

    return {
      ping: DockerQueries.ping(transport).pipe(Effect.withSpan("Docker.ping")),
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
      kill: Effect.fn("Docker.kill")(DockerQueries.kill(transport)),
      wait: Effect.fn("Docker.wait")((container: string) => ContainerWait.wait({ transport, inspect }, container)),
      logs: (container, options = {}) => ContainerLogs.logs({ transport, inspect }, container, options),
      stats: Effect.fn("Docker.stats")(DockerQueries.stats(transport)),
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
