/** An engine's last log lines, with its secrets redacted. */
import * as Redacted from "effect/Redacted"
import { cut, printable } from "../text/Printable.js"
import * as Redactor from "../text/Redactor.js"

/** Lines kept of each run. */
export const keptLines = 200
/** Characters kept of a line. */
export const longestLine = 2000
/** Characters of a line that are looked at: what a container writes without a line end can be of any length. */
const longestRead = 64 * 1024

export interface EngineLog {
  /** Returns the line as it is kept. */
  readonly push: (line: string) => string
  /** Oldest first. */
  readonly lines: () => ReadonlyArray<string>
  /** From now on {@link EngineLog.linesSinceMark} has later lines only. */
  readonly mark: () => void
  readonly linesSinceMark: () => ReadonlyArray<string>
}

/** `secrets` are replaced wherever they appear: engines print their arguments and their environment. */
export const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): EngineLog => {
  const redactor = Redactor.make(secrets.map(Redacted.value))
  const kept: Array<string> = []
  let marked = 0
  return {
    push: (line) => {
      // Without its end, so that no part of a secret is left where it was cut.
      const shown = line.length > longestRead
        ? redactor.stream().push(printable(line.slice(0, longestRead)))
        : redactor.redact(printable(line).trimEnd())
      const text = cut(shown, longestLine)
      kept.push(text)
      if (kept.length > keptLines) {
        kept.shift()
        marked = Math.max(0, marked - 1)
      }
      return text
    },
    lines: () => [...kept],
    mark: () => {
      marked = kept.length
    },
    linesSinceMark: () => kept.slice(marked)
  }
}
