/** The last lines that an engine wrote, without the secrets that it was given. */
import * as Redacted from "effect/Redacted"

/** How many lines are kept of each life. */
export const keptLines = 200

export interface EngineLog {
  readonly push: (line: string) => void
  /** Oldest first. */
  readonly lines: () => ReadonlyArray<string>
}

/** `secrets` are replaced wherever they appear: engines print their arguments and their environment. */
export const make = (secrets: ReadonlyArray<Redacted.Redacted<string>>): EngineLog => {
  // A short value would be found in words that have nothing to do with it.
  const hidden = secrets.map((secret) => Redacted.value(secret)).filter((value) => value.length >= 6)
  const kept: Array<string> = []
  return {
    push: (line) => {
      kept.push(hidden.reduce((text, secret) => text.replaceAll(secret, "***"), line))
      if (kept.length > keptLines) kept.shift()
    },
    lines: () => [...kept]
  }
}
