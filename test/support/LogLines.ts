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
  /** The annotations of the first line that matches. */
  readonly fieldsOf: (pattern: RegExp) => Readonly<Record<string, unknown>> | undefined
  /** In place of the logger that writes to the terminal. */
  readonly layer: Layer.Layer<never>
}

export const make = (): LogLines => {
  const all: Array<LogLine> = []
  const fields = new Map<LogLine, Readonly<Record<string, unknown>>>()
  const logger = Logger.make<unknown, void>(({ annotations, date, logLevel, message }) => {
    const line = { level: logLevel.label, text: [message].flat().map(String).join(" "), at: date.getTime() }
    fields.set(line, Object.fromEntries(annotations))
    all.push(line)
  })
  return {
    all,
    fieldsOf: (pattern) => [...fields].find(([{ text }]) => pattern.test(text))?.[1],
    matching: (pattern) => all.filter(({ text }) => pattern.test(text)).map(({ text }) => text),
    layer: Logger.replace(Logger.defaultLogger, logger)
  }
}
