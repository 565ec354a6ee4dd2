/** What is logged, as a list. */
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import type * as Layer from "effect/Layer"

export interface LogLine {
  /** `INFO`, `WARN`, `ERROR`. */
  readonly level: LogLevel.LogLevel["label"]
  readonly text: string
  /** Milliseconds since 1970. */
  readonly at: number
}

export interface LogLines {
  readonly all: Array<LogLine>
  /** The texts of the lines that match. */
  readonly matching: (pattern: RegExp) => ReadonlyArray<string>
  /** In place of the logger that writes to the terminal. */
  readonly layer: Layer.Layer<never>
}

export const make = (): LogLines => {
  const all: Array<LogLine> = []
  const logger = Logger.make<unknown, void>(({ date, logLevel, message }) => {
    all.push({ level: logLevel.label, text: [message].flat().map(String).join(" "), at: date.getTime() })
  })
  return {
    all,
    matching: (pattern) => all.filter(({ text }) => pattern.test(text)).map(({ text }) => text),
    layer: Logger.replace(Logger.defaultLogger, logger)
  }
}
