/** Runs commands in containers. */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Stream from "effect/Stream"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as LogFrames from "./LogFrames.js"

/** How a command is run. */
export interface ExecOptions {
  /** For all of it. The command itself continues in the container beyond it. Default 30 s. */
  readonly deadline?: Duration.DurationInput
  /** Of each of stdout and stderr, in bytes; what is beyond it is dropped. Default 64 KiB. */
  readonly maxOutputBytes?: number
  readonly user?: string
  readonly env?: Readonly<Record<string, string>>
}

export type ExecError = DockerError.DockerError | DockerError.ContainerNotFound | DockerError.ContainerNotRunning

/** The output of a command, both streams to their limits. */
const collect = (
  body: Stream.Stream<Uint8Array, DockerError.DockerUnreachable>,
  maxBytes: number,
  broken: (detail: string) => DockerError.DockerRequestFailed
): Effect.Effect<
  { readonly stdout: string; readonly stderr: string; readonly truncated: boolean },
  DockerError.DockerUnreachable | DockerError.DockerRequestFailed
> =>
  Effect.suspend(() => {
    const demux = LogFrames.makeDemuxer(false)
    const kept: Record<LogFrames.StreamName, { readonly parts: Array<Uint8Array>; size: number }> = {
      stdout: { parts: [], size: 0 },
      stderr: { parts: [], size: 0 }
    }
    let truncated = false
    return Effect.map(
      Stream.runForEachChunk(body, (chunk) =>
        Effect.suspend(() => {
          for (const bytes of Chunk.toReadonlyArray(chunk)) {
            const pieces = demux(bytes)
            if (Either.isLeft(pieces)) return Effect.fail(broken(pieces.left))
            for (const piece of pieces.right) {
              if (piece.stream === "system") return Effect.fail(broken(LogFrames.systemError(piece)))
              const into = kept[piece.stream]
              const room = maxBytes - into.size
              if (piece.bytes.length > room) truncated = true
              if (room <= 0) continue
              // A copy: a part would hold on to all of what it was cut from.
              const part = Uint8Array.from(piece.bytes.subarray(0, room))
              into.parts.push(part)
              into.size += part.length
            }
          }
          return Effect.void
        })),
      () => ({
        stdout: Buffer.concat(kept.stdout.parts).toString("utf8"),
        stderr: Buffer.concat(kept.stderr.parts).toString("utf8"),
        truncated
      })
    )
  })

/** Runs a command and collects its output, both streams to their limits. */
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
        collect(
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
    Effect.timeoutTo({
      duration: deadline,
      onSuccess: (result) => Effect.succeed(result),
      onTimeout: () =>
        Effect.flatMap(transport.endpoint, (endpoint) =>
          Effect.fail(
            new DockerError.DockerTimeout({
              endpoint: DockerEndpoint.format(endpoint),
              operation,
              after: Duration.toMillis(deadline)
            })
          ))
    }),
    Effect.flatten
  )
}
