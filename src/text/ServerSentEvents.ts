/**
 * Reads the data of server-sent events incrementally: bytes cut anywhere, LF, CR or CRLF, a byte order mark, comments
 * and unknown fields. Linear in the bytes; memory is bounded by one event.
 */
import { StringDecoder } from "node:string_decoder"
import * as TextBuilder from "./TextBuilder.js"

const LF = 10
const SPACE = 32
const COLON = 58

/** The limit of data lines per event: each costs memory, even an empty one. */
const maxDataLines = 65_536

export interface ServerSentEventsOptions {
  /** The limit of an event, and of a line, in UTF-16 code units. */
  readonly maxLength: number
  /** Called for each event that has data. */
  readonly onData: (data: string) => void
  /** An event is larger than the bound: nothing more is read. */
  readonly onTooLarge: () => void
}

export interface ServerSentEvents {
  readonly push: (bytes: Buffer) => void
  /** Nothing more is read. */
  readonly stop: () => void
}

/** `data`, then a colon or the line's end. */
const isData = (text: string, start: number, end: number): boolean =>
  text.startsWith("data", start) && (end === start + 4 || (end > start + 4 && text.charCodeAt(start + 4) === COLON))

/** What follows the colon, without the one space that may. */
const valueOf = (text: string, start: number, end: number): string => {
  const from = start + 5
  return from >= end ? "" : text.slice(text.charCodeAt(from) === SPACE ? from + 1 : from, end)
}

// One state machine in one closure: its parts run for every event, and share their state.
// eslint-disable-next-line max-lines-per-function
export const make = ({ maxLength, onData, onTooLarge }: ServerSentEventsOptions): ServerSentEvents => {
  const decoder = new StringDecoder("utf8")
  /** The beginning of a line whose end has not come. */
  const begun = TextBuilder.make()
  /** The data of the event whose end has not come: most have one line. */
  let first = ""
  const more = TextBuilder.make()
  let dataLines = 0
  let isFirst = true
  let isStopped = false
  /** A CR ended what came before: a LF that comes now belongs to it. */
  let isAfterCr = false

  const forget = () => {
    begun.take()
    more.take()
    first = ""
  }
  const tooLarge = () => {
    isStopped = true
    forget()
    onTooLarge()
  }

  const line = (text: string, start: number, end: number) => {
    if (start === end) {
      if (dataLines === 0) return
      const data = dataLines === 1 ? first : first + more.take()
      dataLines = 0
      return onData(data)
    }
    if (!isData(text, start, end)) return
    const value = valueOf(text, start, end)
    dataLines += 1
    if (dataLines === 1) first = value
    else {
      more.append("\n")
      more.append(value)
    }
    if (first.length + more.length() > maxLength || dataLines > maxDataLines) tooLarge()
  }

  const endLine = (text: string, start: number, end: number) => {
    if (begun.length() === 0) return line(text, start, end)
    begun.append(text.slice(start, end))
    const whole = begun.take()
    line(whole, 0, whole.length)
  }

  const feed = (text: string, start: number) => {
    let from = start
    // Each kind of line end is searched for once: where one is absent, searching again would read everything again.
    let lf = text.indexOf("\n", from)
    let cr = text.indexOf("\r", from)
    while (lf !== -1 || cr !== -1) {
      const end = cr === -1 || (lf !== -1 && lf < cr) ? lf : cr
      endLine(text, from, end)
      if (isStopped) return
      from = end + 1
      if (end === cr) {
        if (from === text.length) isAfterCr = true
        else if (text.charCodeAt(from) === LF) from += 1
        cr = text.indexOf("\r", from)
      }
      if (lf !== -1 && lf < from) lf = text.indexOf("\n", from)
    }
    if (from === text.length) return
    if (begun.length() + text.length - from > maxLength) return tooLarge()
    begun.append(from === 0 ? text : text.slice(from))
  }

  return {
    push: (bytes) => {
      if (isStopped) return
      const text = decoder.write(bytes)
      if (text === "") return
      let from = 0
      if (isFirst) {
        isFirst = false
        if (text.charCodeAt(0) === 0xfeff) from = 1
      }
      if (isAfterCr) {
        isAfterCr = false
        if (text.charCodeAt(0) === LF) from = 1
      }
      feed(text, from)
    },
    stop: () => {
      isStopped = true
      forget()
    }
  }
}
