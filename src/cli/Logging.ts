/** The agent's log: for people on a terminal, JSON lines elsewhere; always on standard error. */
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as StatusLines from "./StatusLines.js"
import { printable } from "../text/Printable.js"

export interface LoggingOptions {
  readonly level: "debug" | "info" | "warn" | "error"
  readonly format: "auto" | "pretty" | "json"
}

const levels = {
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warn: LogLevel.Warning,
  error: LogLevel.Error
} as const

const names: Readonly<Record<string, string>> = { WARN: "warn", FATAL: "error", TRACE: "debug" }
const nameOf = (level: LogLevel.LogLevel): string => names[level.label] ?? level.label.toLowerCase()

const colors: Readonly<Record<string, number>> = { debug: 2, info: 32, warn: 33, error: 31 }

const text = (value: unknown): string => typeof value === "string" ? value : Inspectable.toStringUnknown(value, 0)
const messageOf = (message: unknown): string => (Array.isArray(message) ? message : [message]).map(text).join(" ")

const causeOf = (cause: Cause.Cause<unknown>): string =>
  Cause.isEmpty(cause) ? "" : Cause.prettyErrors(cause).map(({ message }) => message).join("; ")

const pretty = (useColor: boolean) =>
  Logger.make(({ annotations, cause, date, logLevel, message }) => {
    const level = nameOf(logLevel)
    const shown = useColor ? `\u001b[${colors[level] ?? 0}m${level.padEnd(5)}\u001b[0m` : level.padEnd(5)
    const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => `${part}`.padStart(2, "0")).join(
      ":"
    )
    const fields = HashMap.toEntries(annotations).map(([key, value]) => ` ${key}=${printable(text(value))}`).join("")
    const because = causeOf(cause)
    write(
      `${time} ${shown} ${printable(messageOf(message))}${because === "" ? "" : `: ${printable(because)}`}${fields}\n`
    )
  })

const json = Logger.make(({ annotations, cause, date, logLevel, message }) => {
  const because = causeOf(cause)
  write(`${
    JSON.stringify({
      time: date.toISOString(),
      level: nameOf(logLevel),
      message: messageOf(message),
      ...(because === "" ? {} : { cause: because }),
      ...Object.fromEntries(HashMap.toEntries(annotations))
    })
  }\n`)
})

const write = StatusLines.standardError.log

/** Whether the log is for people, with this format. */
export const isPretty = (format: LoggingOptions["format"]): boolean =>
  format === "pretty" || (format === "auto" && process.stderr.isTTY === true)

export const layer = ({ format, level }: LoggingOptions): Layer.Layer<never> => {
  const isTerminal = process.stderr.isTTY === true
  const useColor = isTerminal && (process.env["NO_COLOR"] ?? "") === ""
  return Layer.merge(
    Logger.replace(Logger.defaultLogger, isPretty(format) ? pretty(useColor) : json),
    Logger.minimumLogLevel(levels[level])
  )
}
