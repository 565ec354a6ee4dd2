/** Docker's framed output taken apart: stdout and stderr, each in lines, each line with its time. */
import * as Either from "effect/Either"
import * as Lines from "../text/Lines.js"
import * as DockerAnswer from "./api/DockerAnswer.js"

/** One line. */
export interface LogLine {
  readonly stream: "stdout" | "stderr"
  /** When Docker received it, in milliseconds since 1970. */
  readonly time?: number
  readonly text: string
  /** It was longer than the limit, and `text` is its beginning. */
  readonly truncated: boolean
}

/** In UTF-16 code units. Docker itself splits lines at 16 KiB, which are joined again here. */
export const maxLineLength = 64 * 1024

export type StreamName = LogLine["stream"]

/** Bytes of one stream, and whether a message of Docker's begins with them. */
export interface Piece {
  readonly stream: StreamName | "system"
  readonly bytes: Uint8Array
  readonly begins: boolean
}

const headerLength = 8

/**
 * Takes Docker's frames apart: 1 byte type, 3 zero bytes, 4 bytes length, and then the payload. What is no frame
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

export interface Stamp {
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

export interface StampedLine {
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
  /** A message continues the line before it when that has not ended: Docker splits long ones. */
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

/** The daemon's own message in the place of output. */
export const systemError = (piece: Piece): string => DockerAnswer.detail(Buffer.from(piece.bytes).toString("utf8"))

/** Decodes a whole log's bytes. */
export const makeDecoder = (tty: boolean) => {
  const demux = makeDemuxer(tty)
  const assemblers = { stdout: makeAssembler("stdout"), stderr: makeAssembler("stderr") }
  const raw = makeRawAssembler()
  return {
    push: (bytes: Uint8Array): Either.Either<Array<StampedLine>, string> =>
      Either.flatMap(demux(bytes), (pieces) => {
        const lines: Array<StampedLine> = []
        for (const piece of pieces) {
          if (piece.stream === "system") return Either.left(systemError(piece))
          const added = tty ? raw.push(piece.bytes) : assemblers[piece.stream].push(piece)
          for (const line of added) lines.push(line)
        }
        return Either.right(lines)
      }),
    flush: () => [...assemblers.stdout.flush(), ...assemblers.stderr.flush(), ...raw.flush()]
  }
}
