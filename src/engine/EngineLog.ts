/** The last lines that an engine wrote, without the secrets that it was given. */
import * as Redacted from "effect/Redacted"

/** How many lines are kept of each life. */
export const keptLines = 200
/** Characters that are kept of a line. */
export const longestLine = 2000

export interface EngineLog {
  /** Answers with the line as it is kept. */
  readonly push: (line: string) => string
  /** Oldest first. */
  readonly lines: () => ReadonlyArray<string>
  /** From now on {@link EngineLog.linesSinceMark} tells later lines only. */
  readonly mark: () => void
  readonly linesSinceMark: () => ReadonlyArray<string>
}

/** Colours and titles of terminals. */

const escapes = /\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[@-Z\\^_])/g
/** What else a terminal would obey. A bar of progress is drawn again and again on one line. */
const controls = /[^\P{Cc}\t]/gu

const printable = (line: string): string =>
  line.replace(escapes, "").replace(/\r+$/, "").replaceAll("\r", " ").replace(controls, "")

/** `secrets` are replaced wherever they appear: engines print their arguments and their environment. */
export const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): EngineLog => {
  const hidden = secrets.map((secret) => Redacted.value(secret))
    // A short value would be found in words that have nothing to do with it.
    .filter((value) => value.length >= 6)
    // One may be a part of another.
    .sort((a, b) => b.length - a.length)
  const kept: Array<string> = []
  let marked = 0
  return {
    push: (line) => {
      const shown = hidden.reduce((text, secret) => text.replaceAll(secret, "***"), printable(line))
      const text = shown.length > longestLine ? `${shown.slice(0, longestLine)}…` : shown
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
