/** What containers write, line by line, stdout and stderr kept apart. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Backoff from "../effect/Backoff.js"
import type * as Container from "./api/Container.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as LogFrames from "./LogFrames.js"

/** Which lines. */
export interface LogOptions {
  /** Goes on with what is written from now on, until the container ends. Default false. */
  readonly follow?: boolean
  /** Milliseconds since 1970; nothing older. */
  readonly since?: number
  /** The number of existing lines to begin with, from the end. Default: all. */
  readonly tail?: number
}

/** Lines that wait for a slow reader; Docker is slowed down beyond that. */
const bufferedLines = 512

/** How far a stream was read, so that nothing comes twice after a reconnect. */
interface Position {
  nanos: bigint
  /** Lines with exactly that time. */
  count: number
}

/** What logs need. */
export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly inspect: (
    container: string
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound>
}

const reconnects: Backoff.BackoffOptions = { base: "500 millis", cap: "30 seconds" }

/** How far a log has been read, so that what a new connection repeats is not handed on twice. */
const makePositions = (options: LogOptions) => {
  const positions = new Map<LogFrames.StreamName, Position>()
  /** Lines of the current connection that stand at a position already reached. */
  let repeated = new Map<LogFrames.StreamName, number>()
  let connections = 0

  const isNew = ({ line, stamp }: LogFrames.StampedLine): boolean => {
    if (stamp === undefined) return true
    const position = positions.get(line.stream)
    if (position === undefined || stamp.nanos > position.nanos) {
      positions.set(line.stream, { nanos: stamp.nanos, count: 1 })
      return true
    }
    // Within one connection a clock that was set back hides nothing.
    if (connections === 1) {
      if (stamp.nanos === position.nanos) position.count++
      return true
    }
    if (stamp.nanos < position.nanos) return false
    const seen = (repeated.get(line.stream) ?? 0) + 1
    repeated.set(line.stream, seen)
    if (seen <= position.count) return false
    position.count++
    return true
  }

  const since = (): string | undefined => {
    const reached = [...positions.values()].map(({ nanos }) => nanos)
    if (reached.length > 0) {
      const from = reached.reduce((a, b) => (a < b ? a : b))
      return `${from / 1_000_000_000n}.${String(from % 1_000_000_000n).padStart(9, "0")}`
    }
    return options.since === undefined ? undefined : (options.since / 1000).toFixed(3)
  }

  return {
    isNew,
    since,
    /** What came while the connection was away is not cut. */
    tail: () => positions.size === 0 ? options.tail ?? "all" : "all",
    connections: () => connections,
    connected: () => {
      connections++
      repeated = new Map()
    }
  }
}

/** Hands on a connection's lines; fails on what is no log frame. */
const readFrames = (
  { body, endpoint, operation, tty }: {
    readonly body: Stream.Stream<Uint8Array, DockerError.DockerError>
    readonly endpoint: DockerTransport.DockerTransport["endpoint"]
    readonly operation: string
    readonly tty: boolean
  },
  hand: (lines: ReadonlyArray<LogFrames.StampedLine>) => Effect.Effect<unknown>
) =>
  Effect.gen(function*() {
    const decoder = LogFrames.makeDecoder(tty)
    yield* Stream.runForEachChunk(body, (chunk) =>
      Effect.gen(function*() {
        for (const bytes of chunk) {
          const decoded = decoder.push(bytes)
          if (Either.isLeft(decoded)) {
            return yield* new DockerError.DockerRequestFailed({
              endpoint: DockerEndpoint.format(yield* endpoint),
              operation,
              status: 0,
              detail: decoded.left
            })
          }
          yield* hand(decoded.right)
        }
      }))
    yield* hand(decoder.flush())
  })

export const logs = (
  { inspect, transport }: Dependencies,
  container: string,
  options: LogOptions
): Stream.Stream<LogFrames.LogLine, DockerError.DockerError | DockerError.ContainerNotFound> => {
  type Failure = DockerError.DockerError | DockerError.ContainerNotFound
  const follow = options.follow ?? false

  const produce = (mailbox: Mailbox.Mailbox<LogFrames.LogLine, Failure>): Effect.Effect<void, Failure> =>
    Effect.gen(function*() {
      const positions = makePositions(options)
      const backoff = yield* Schedule.driver(Backoff.schedule(reconnects))

      const hand = (lines: ReadonlyArray<LogFrames.StampedLine>) =>
        Effect.suspend(() => {
          const fresh = lines.filter(positions.isNew).map(({ line }) => line)
          if (fresh.length === 0) return Effect.void
          return Effect.zipRight(backoff.reset, mailbox.offerAll(fresh))
        })

      const once = (follow: boolean) =>
        Effect.scoped(Effect.gen(function*() {
          const { id, tty } = yield* inspect(container)
          const operation = `read the log of container ${container}`
          const body = yield* Effect.catchTag(
            transport.open({
              operation,
              method: "GET",
              path: `/containers/${id}/logs`,
              query: {
                follow,
                stdout: true,
                stderr: true,
                timestamps: true,
                since: positions.since(),
                tail: positions.tail()
              },
              deadline: Duration.seconds(30)
            }),
            "DockerRequestFailed",
            // It is being removed, or has been since it was inspected.
            (error): Effect.Effect<never, Failure> =>
              Effect.fail(
                error.status === 404 || error.status === 409 ? new DockerError.ContainerNotFound({ container }) : error
              )
          )
          positions.connected()
          yield* readFrames({ body, endpoint: transport.endpoint, operation, tty }, hand)
        }))

      if (!follow) return yield* once(false)

      /** Whether there may be more to come. */
      const alive = Effect.map(
        inspect(container),
        ({ state }) => state === "running" || state === "paused" || state === "restarting"
      )
      while (true) {
        const more = yield* Effect.zipRight(once(true), alive).pipe(
          Effect.catchTags({
            // Also what was read to its end and then removed.
            ContainerNotFound: (error) => positions.connections() > 0 ? Effect.succeed(false) : Effect.fail(error),
            DockerUnreachable: (error) => positions.connections() > 0 ? Effect.succeed(true) : Effect.fail(error),
            DockerTimeout: (error) => positions.connections() > 0 ? Effect.succeed(true) : Effect.fail(error)
          })
        )
        if (!more) {
          // Docker ends what is followed at the container's end, read to the end or not: the last lines are the ones
          // that matter.
          return yield* Effect.catchTag(once(false), "ContainerNotFound", () => Effect.void)
        }
        yield* Effect.orDie(backoff.next(undefined))
      }
    })

  return Stream.unwrapScoped(Effect.gen(function*() {
    const mailbox = yield* Mailbox.make<LogFrames.LogLine, Failure>({ capacity: bufferedLines })
    yield* Effect.forkScoped(Effect.interruptible(Mailbox.into(produce(mailbox), mailbox)))
    return Mailbox.toStream(mailbox)
  }))
}
