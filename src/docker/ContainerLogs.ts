/** What containers write, line by line, stdout and stderr told apart. */
import * as Chunk from "effect/Chunk"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import * as Stream from "effect/Stream"
import type * as Container from "./api/Container.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as Lines from "../text/Lines.js"

/** One line. */
export interface LogLine {
  readonly stream: "stdout" | "stderr"
  /** When the engine took it in, in milliseconds since 1970. */
  readonly time?: number
  readonly text: string
  /** It was longer than the limit, and `text` is its beginning. */
  readonly truncated: boolean
}

/** Which lines. */
export interface LogOptions {
  /** Goes on with what is written from now on, until the container ends. Default false. */
  readonly follow?: boolean
  /** Milliseconds since 1970; nothing older. */
  readonly since?: number
  /** Only so many of the last lines that there are at the beginning. Default: all. */
  readonly tail?: number
}

/** In UTF-16 code units. The engine itself splits lines at 16 KiB, which are joined again here. */
export const maxLineLength = 64 * 1024

/** The most lines that wait for a slow reader; the engine is slowed after that. */
const bufferedLines = 512

type StreamName = LogLine["stream"]

/** Bytes of one stream, and whether a message of the engine begins with them. */
export interface Piece {
  readonly stream: StreamName | "system"
  readonly bytes: Uint8Array
  readonly begins: boolean
}

const headerLength = 8

/**
 * Takes the engine's frames apart: 1 byte type, 3 zero bytes, 4 bytes length, and then the payload. What is no frame
 * from the very beginning is a terminal's raw output.
 */
export const makeDemuxer = (raw: boolean) => {
  const header = Buffer.alloc(headerLength)
  let headerFilled = 0
  let left = 0
  let stream: Piece["stream"] = "stdout"
  let begins = false
  let isRaw = raw
  let sawFrame = false
  /** The pieces in these bytes, or what is wrong with them. */
  return (bytes: Uint8Array): Either.Either<Array<Piece>, string> => {
    if (isRaw) return Either.right([{ stream: "stdout", bytes, begins: false }])
    const pieces: Array<Piece> = []
    let at = 0
    while (at < bytes.length) {
      if (left > 0) {
        const taken = Math.min(left, bytes.length - at)
        pieces.push({ stream, bytes: bytes.subarray(at, at + taken), begins })
        begins = false
        left -= taken
        at += taken
        continue
      }
      const taken = Math.min(headerLength - headerFilled, bytes.length - at)
      header.set(bytes.subarray(at, at + taken), headerFilled)
      headerFilled += taken
      at += taken
      const type = header[0] ?? 0
      const padding = header.subarray(1, Math.min(4, headerFilled))
      if (type > 3 || padding.some((byte) => byte !== 0)) {
        if (sawFrame) return Either.left("a frame in its output does not begin as frames do")
        isRaw = true
        pieces.push({ stream: "stdout", bytes: Uint8Array.from(header.subarray(0, headerFilled)), begins: false })
        if (at < bytes.length) pieces.push({ stream: "stdout", bytes: bytes.subarray(at), begins: false })
        return Either.right(pieces)
      }
      if (headerFilled < headerLength) break
      sawFrame = true
      headerFilled = 0
      left = header.readUInt32BE(4)
      // 0 is what is typed in, and shown again.
      stream = type === 2 ? "stderr" : type === 3 ? "system" : "stdout"
      begins = true
    }
    return Either.right(pieces)
  }
}

interface Stamp {
  readonly nanos: bigint
}

const stampPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/
const longestStamp = 40
const space = 0x20

const parseStamp = (text: string): Stamp | undefined => {
  const match = stampPattern.exec(text)
  if (match === null) return undefined
  const millis = Date.parse(`${match[1]}${match[3]}`)
  if (Number.isNaN(millis)) return undefined
  return { nanos: BigInt(millis) * 1_000_000n + BigInt((match[2] ?? "").padEnd(9, "0")) }
}

interface StampedLine {
  readonly line: LogLine
  readonly stamp: Stamp | undefined
}

const stamped = (stream: StreamName, { text, truncated }: Lines.Line, stamp: Stamp | undefined): StampedLine => ({
  stamp,
  line: {
    stream,
    ...(stamp === undefined ? {} : { time: Number(stamp.nanos / 1_000_000n) }),
    text,
    truncated
  }
})

/** Makes lines of one stream's pieces, whose messages each begin with the time. */
const makeAssembler = (stream: StreamName) => {
  const splitter = Lines.make(maxLineLength)
  let stamp: Stamp | undefined
  /** A message continues the line before it when that has not ended: the engine splits long ones. */
  let inLine = false
  let prefix: Array<number> | undefined
  const feed = (bytes: Uint8Array): Array<StampedLine> => {
    if (bytes.length === 0) return []
    const lines = splitter.push(bytes).map((line) => stamped(stream, line, stamp))
    inLine = bytes[bytes.length - 1] !== 0x0a
    return lines
  }
  return {
    push: (piece: Piece): Array<StampedLine> => {
      if (piece.begins) prefix = []
      if (prefix === undefined) return feed(piece.bytes)
      const lines: Array<StampedLine> = []
      let at = 0
      while (at < piece.bytes.length) {
        const byte = piece.bytes[at++] ?? space
        if (byte !== space) prefix.push(byte)
        if (byte !== space && prefix.length <= longestStamp) continue
        const found = byte === space ? parseStamp(Buffer.from(prefix).toString("latin1")) : undefined
        if (!inLine) stamp = found
        // No time in front: it belongs to the text.
        if (found === undefined) {
          lines.push(...feed(Uint8Array.from(byte === space ? [...prefix, space] : prefix)))
        }
        prefix = undefined
        break
      }
      if (prefix === undefined) lines.push(...feed(piece.bytes.subarray(at)))
      return lines
    },
    flush: (): Array<StampedLine> => {
      const rest = prefix !== undefined && prefix.length > 0 ? feed(Uint8Array.from(prefix)) : []
      prefix = undefined
      const last = splitter.flush()
      return last === undefined ? rest : [...rest, stamped(stream, last, stamp)]
    }
  }
}

/** Makes lines of a terminal's raw output, each of which begins with the time. */
const makeRawAssembler = () => {
  const splitter = Lines.make(maxLineLength + longestStamp)
  const stampedLine = (line: Lines.Line): StampedLine => {
    const at = line.text.indexOf(" ")
    const stamp = at > 0 && at <= longestStamp ? parseStamp(line.text.slice(0, at)) : undefined
    return stamped("stdout", stamp === undefined ? line : { ...line, text: line.text.slice(at + 1) }, stamp)
  }
  return {
    push: (bytes: Uint8Array) => splitter.push(bytes).map(stampedLine),
    flush: () => {
      const last = splitter.flush()
      return last === undefined ? [] : [stampedLine(last)]
    }
  }
}

/** Decodes a whole log's bytes. */
const makeDecoder = (tty: boolean) => {
  const demux = makeDemuxer(tty)
  const assemblers = { stdout: makeAssembler("stdout"), stderr: makeAssembler("stderr") }
  const raw = makeRawAssembler()
  return {
    push: (bytes: Uint8Array): Either.Either<Array<StampedLine>, string> =>
      Either.flatMap(demux(bytes), (pieces) => {
        const lines: Array<StampedLine> = []
        for (const piece of pieces) {
          if (piece.stream === "system") return Either.left(Buffer.from(piece.bytes).toString("utf8").trim())
          const added = tty ? raw.push(piece.bytes) : assemblers[piece.stream].push(piece)
          for (const line of added) lines.push(line)
        }
        return Either.right(lines)
      }),
    flush: () => [...assemblers.stdout.flush(), ...assemblers.stderr.flush(), ...raw.flush()]
  }
}

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

const firstDelay = Duration.millis(500)
const longestDelay = Duration.seconds(30)

export const logs = (
  { inspect, transport }: Dependencies,
  container: string,
  options: LogOptions
): Stream.Stream<LogLine, DockerError.DockerError | DockerError.ContainerNotFound> => {
  type Failure = DockerError.DockerError | DockerError.ContainerNotFound
  const follow = options.follow ?? false

  const produce = (mailbox: Mailbox.Mailbox<LogLine, Failure>): Effect.Effect<void, Failure> =>
    Effect.gen(function*() {
      const positions = new Map<StreamName, Position>()
      /** Lines of the current connection that stand at a position already reached. */
      let repeated = new Map<StreamName, number>()
      let connections = 0
      let delay = Duration.toMillis(firstDelay)

      const isNew = ({ line, stamp }: StampedLine): boolean => {
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

      const hand = (lines: ReadonlyArray<StampedLine>) =>
        Effect.suspend(() => {
          const fresh = lines.filter(isNew).map(({ line }) => line)
          if (fresh.length === 0) return Effect.void
          delay = Duration.toMillis(firstDelay)
          return mailbox.offerAll(fresh)
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
                since: since(),
                // What came while we were away is not cut.
                tail: positions.size === 0 ? options.tail ?? "all" : "all"
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
          connections++
          repeated = new Map()
          const decoder = makeDecoder(tty)
          yield* Stream.runForEachChunk(body, (chunk) =>
            Effect.gen(function*() {
              for (const bytes of chunk) {
                const decoded = decoder.push(bytes)
                if (Either.isLeft(decoded)) {
                  const endpoint = yield* transport.endpoint
                  return yield* new DockerError.DockerRequestFailed({
                    endpoint: DockerEndpoint.format(endpoint),
                    operation,
                    status: 0,
                    detail: decoded.left
                  })
                }
                yield* hand(decoded.right)
              }
            }))
          yield* hand(decoder.flush())
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
            ContainerNotFound: (error) => connections > 0 ? Effect.succeed(false) : Effect.fail(error),
            DockerUnreachable: (error) => connections > 0 ? Effect.succeed(true) : Effect.fail(error),
            DockerTimeout: (error) => connections > 0 ? Effect.succeed(true) : Effect.fail(error)
          })
        )
        if (!more) {
          // The engine ends what is followed at the container's end, read to the end or not: its last words are the
          // ones that matter.
          return yield* Effect.catchTag(once(false), "ContainerNotFound", () => Effect.void)
        }
        yield* Effect.sleep(Duration.millis(delay))
        delay = Math.min(delay * 2, Duration.toMillis(longestDelay))
      }
    })

  return Stream.unwrapScoped(Effect.gen(function*() {
    const mailbox = yield* Mailbox.make<LogLine, Failure>({ capacity: bufferedLines })
    yield* Effect.forkScoped(Effect.interruptible(Mailbox.into(produce(mailbox), mailbox)))
    return Mailbox.toStream(mailbox)
  }))
}

/** The output of a command, both streams to their limits. */
export const collect = (
  body: Stream.Stream<Uint8Array, DockerError.DockerUnreachable>,
  maxBytes: number,
  broken: (detail: string) => DockerError.DockerRequestFailed
): Effect.Effect<
  { readonly stdout: string; readonly stderr: string; readonly truncated: boolean },
  DockerError.DockerUnreachable | DockerError.DockerRequestFailed
> =>
  Effect.suspend(() => {
    const demux = makeDemuxer(false)
    const kept: Record<StreamName, { readonly parts: Array<Uint8Array>; size: number }> = {
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
              if (piece.stream === "system") return Effect.fail(broken(Buffer.from(piece.bytes).toString("utf8")))
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
