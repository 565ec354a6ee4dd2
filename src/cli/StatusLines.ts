/**
 * Lines at the bottom of a terminal that are redrawn as things progress, below everything that is logged. Both go to
 * standard error, so both are written here.
 */
import { cut, printable } from "../text/Printable.js"

/** What the lines are drawn on. */
export interface Terminal {
  readonly write: (text: string) => void
  readonly columns: () => number
}

export interface StatusLines {
  /** Writes a log line, with its line feed, above the status lines. */
  readonly log: (line: string) => void
  /** Replaces the status lines. */
  readonly show: (lines: ReadonlyArray<string>) => void
}

export const make = (terminal: Terminal): StatusLines => {
  let shown: ReadonlyArray<string> = []
  /** Back to the beginning of the first of them, and nothing from there on. */
  const erase = () => shown.length === 0 ? "" : `\u001b[${shown.length}A\r\u001b[0J`
  // A line that wraps would count as two when it is erased; what engines and registries say must not drive the terminal.
  const fitted = (text: string) => cut(printable(text), Math.max(20, terminal.columns() - 1) - 1)
  const drawn = (lines: ReadonlyArray<string>) => lines.map((line) => `${fitted(line)}\n`).join("")
  return {
    log: (line) => terminal.write(shown.length === 0 ? line : `${erase()}${line}${drawn(shown)}`),
    show: (lines) => {
      if (lines.length === 0 && shown.length === 0) return
      const text = `${erase()}${drawn(lines)}`
      shown = lines
      terminal.write(text)
    }
  }
}

/** The status lines of this process. A closed terminal, or a full disk behind a redirection, must not end the agent. */
export const standardError: StatusLines = make({
  write: (text) => {
    if (process.stderr.writable) process.stderr.write(text)
  },
  columns: () => process.stderr.columns ?? 80
})
