/** Runs commands in containers. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Container from "./api/Container.js"
import * as ContainerLogs from "./ContainerLogs.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"

/** How a command is run. */
export interface ExecOptions {
  /** For all of it. The command itself goes on in the container when it is passed. Default 30 s. */
  readonly deadline?: Duration.DurationInput
  /** Of each of stdout and stderr, in bytes; what is beyond it is dropped. Default 64 KiB. */
  readonly maxOutputBytes?: number
  readonly user?: string
  readonly env?: Readonly<Record<string, string>>
}

export type ExecError = DockerError.DockerError | DockerError.ContainerNotFound | DockerError.ContainerNotRunning

export const exec = (
  transport: DockerTransport.DockerTransport,
  container: string,
  command: ReadonlyArray<string>,
  options: ExecOptions
): Effect.Effect<Container.ExecResult, ExecError> => {
  const deadline = options.deadline ?? Duration.seconds(30)
  const operation = `run ${command[0] ?? "nothing"} in container ${container}`
  return Effect.gen(function*() {
    const endpoint = DockerEndpoint.format(yield* transport.endpoint)
    const { Id } = yield* Effect.mapError(
      transport.json({
        operation,
        method: "POST",
        path: `/containers/${encodeURIComponent(container)}/exec`,
        body: {
          AttachStdout: true,
          AttachStderr: true,
          Tty: false,
          Cmd: command,
          ...(options.user === undefined ? {} : { User: options.user }),
          ...(options.env === undefined
            ? {}
            : { Env: Object.entries(options.env).map(([name, value]) => `${name}=${value}`) })
        },
        deadline
      }, DockerApi.ExecCreated),
      (error): ExecError =>
        error._tag !== "DockerRequestFailed"
          ? error
          : error.status === 404
          ? new DockerError.ContainerNotFound({ container })
          : error.status === 409
          ? new DockerError.ContainerNotRunning({ container, detail: error.detail })
          : error
    )
    const output = yield* Effect.scoped(Effect.flatMap(
      transport.open({
        operation,
        method: "POST",
        path: `/exec/${Id}/start`,
        body: { Detach: false, Tty: false },
        deadline
      }),
      (body) =>
        ContainerLogs.collect(
          body,
          options.maxOutputBytes ?? 64 * 1024,
          (detail) => new DockerError.DockerRequestFailed({ endpoint, operation, status: 0, detail })
        )
    ))
    const { ExitCode } = yield* transport.json(
      { operation, method: "GET", path: `/exec/${Id}/json`, deadline },
      DockerApi.ExecInspect
    )
    return { exitCode: ExitCode ?? -1, ...output }
  }).pipe(
    Effect.timeoutFail({
      duration: deadline,
      onTimeout: () => new ExecTimeout()
    }),
    Effect.catchTag("ExecTimeout", () =>
      Effect.flatMap(transport.endpoint, (endpoint) =>
        Effect.fail(
          new DockerError.DockerTimeout({
            endpoint: DockerEndpoint.format(endpoint),
            operation,
            after: Duration.toMillis(deadline)
          })
        )))
  )
}

class ExecTimeout {
  readonly _tag = "ExecTimeout"
}
