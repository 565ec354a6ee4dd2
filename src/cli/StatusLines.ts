/**
 * Lines at the bottom of a terminal that are drawn anew as things go on, below everything that is logged. Both go to
 * standard error, so both are written here.
 */

/** What the lines are drawn on. */
export interface Terminal {
  readonly write: (text: string) => void
  readonly columns: () => number
}

export interface StatusLines {
  /** Writes a log line, with its line feed, above the lines. */
  readonly log: (line: string) => void
  /** Draws these lines in place of those that were there. */
  readonly show: (lines: ReadonlyArray<string>) => void
}

export const make = (terminal: Terminal): StatusLines => {
  let shown: ReadonlyArray<string> = []
  /** Back to the beginning of the first of them, and nothing from there on. */
  const erase = () => shown.length === 0 ? "" : `\u001b[${shown.length}A\r\u001b[0J`
  const fitted = (text: string) => {
    // What engines and registries say must not be able to drive the terminal.
    const line = text.replace(/[\u0000-\u001f\u007f-\u009f]+/g, " ")
    // A line that wraps would count as two when it is erased.
    const width = Math.max(20, terminal.columns() - 1)
    return line.length > width ? `${line.slice(0, width - 1)}…` : line
  }
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

/** Those of this process. A terminal that is gone, or a full disk behind a redirection, must not end the agent. */
export const standardError: StatusLines = make({
  write: (text) => {
    if (process.stderr.writable) process.stderr.write(text)
  },
  columns: () => process.stderr.columns ?? 80
})
