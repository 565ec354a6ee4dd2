/** Splits bytes into lines of bounded length. */
import { StringDecoder } from "node:string_decoder"

/** A line, and whether it was cut at the limit. */
export interface Line {
  readonly text: string
  readonly truncated: boolean
}

/** Splits incrementally; one per stream, since it keeps the unfinished line. */
export interface LineSplitter {
  /** The lines that are complete with these bytes, without their line ends. */
  readonly push: (bytes: Uint8Array) => Array<Line>
  /** The last line, if it had no line end. */
  readonly flush: () => Line | undefined
}

/** `maxLength` is in UTF-16 code units; the rest of a longer line is dropped. */
export const make = (maxLength: number): LineSplitter => {
  const decoder = new StringDecoder("utf8")
  let pending = ""
  let truncated = false
  const append = (text: string) => {
    if (pending.length + text.length <= maxLength) {
      pending += text
      return
    }
    pending += text.slice(0, maxLength - pending.length)
    truncated = true
  }
  const take = (): Line => {
    const line = { text: pending.endsWith("\r") ? pending.slice(0, -1) : pending, truncated }
    pending = ""
    truncated = false
    return line
  }
  const feed = (text: string): Array<Line> => {
    const lines: Array<Line> = []
    let from = 0
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", from)) {
      append(text.slice(from, at))
      lines.push(take())
      from = at + 1
    }
    append(text.slice(from))
    return lines
  }
  return {
    push: (bytes) => feed(decoder.write(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))),
    flush: () => {
      append(decoder.end())
      return pending === "" && !truncated ? undefined : take()
    }
  }
}
