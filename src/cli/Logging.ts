/** The agent's log: for people on a terminal, JSON lines elsewhere; always on standard error. */
import * as Cause from "effect/Cause"
import * as HashMap from "effect/HashMap"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { cut, oneLine, printable } from "../text/Printable.js"
import type { LogSettings } from "./LogSettings.js"
import * as StatusLines from "./StatusLines.js"

export interface LoggingOptions {
  readonly level: LogSettings["logLevel"]
  readonly format: LogSettings["logFormat"]
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

/** Longer messages and fields are cut: log collectors drop lines of more than some 64 kB. */
const longestText = 8_192

const text = (value: unknown): string => typeof value === "string" ? value : Inspectable.toStringUnknown(value, 0)
const messageOf = (message: unknown): string =>
  cut((Array.isArray(message) ? message : [message]).map(text).join(" "), longestText)

const causeOf = (cause: Cause.Cause<unknown>): string =>
  Cause.isEmpty(cause) ? "" : cut(Cause.prettyErrors(cause).map(({ message }) => message).join("; "), longestText)

/** The first eight characters of a UUID, which tell the nodes of a cluster apart; other ids as they are. */
export const shortId = (id: string): string =>
  /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i.test(id) ? id.slice(0, 8) : id

/** A UUID in a sentence, and not a part of another id such as a GPU's. */
const uuid = /(?<![\w-])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b/gi

/** The fields that a person at a terminal needs beside the sentence; programs get all. */
const fieldsForPeople = ["engine", "job", "attempt", "code"]

/** A line for a person. */
export const prettyLogger = (useColor: boolean, write: (line: string) => void) =>
  Logger.make(({ annotations, cause, date, logLevel, message }) => {
    const level = nameOf(logLevel)
    const shown = useColor ? `\u001b[${colors[level] ?? 0}m${level.padEnd(5)}\u001b[0m` : level.padEnd(5)
    const time = [date.getHours(), date.getMinutes(), date.getSeconds()].map((part) => `${part}`.padStart(2, "0"))
    const sentence = printable(messageOf(message)).replace(uuid, shortId)
    const because = causeOf(cause)
    const fields = fieldsForPeople.flatMap((key) => {
      const value = HashMap.get(annotations, key)
      return value._tag === "None" ? [] : [` ${key}=${oneLine(shortId(text(value.value)), 80)}`]
    })
    write(
      `${time.join(":")} ${shown} ${sentence}${because === "" ? "" : `: ${printable(because)}`}${fields.join("")}\n`
    )
  })

/** What JSON may hold raw and a terminal obeys: C1 controls, and marks of text direction. */
const obeyed = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const fieldOf = (value: unknown): unknown =>
  typeof value === "number" || typeof value === "boolean" ? value : cut(text(value), longestText)

/** The fields that every line has; an annotation of the same name gets a trailing underscore. */
const reserved = new Set(["time", "level", "message", "cause"])

/** `{"time":…,"level":…,"message":…}` with the annotations as further fields, sorted by name. */
export const jsonLogger = (write: (line: string) => void) =>
  Logger.make(({ annotations, cause, date, logLevel, message }) => {
    const because = causeOf(cause)
    const fields = HashMap.toEntries(annotations)
      .map(([key, value]) => [reserved.has(key) ? `${key}_` : key, fieldOf(value)] as const)
      .sort(([a], [b]) => a < b ? -1 : 1)
    const line = JSON.stringify({
      time: date.toISOString(),
      level: nameOf(logLevel),
      message: messageOf(message),
      ...(because === "" ? {} : { cause: because }),
      ...Object.fromEntries(fields)
    })
    write(`${line.replace(obeyed, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)}\n`)
  })

/** Whether the log is for people, with this format. */
export const isPretty = (format: LoggingOptions["format"]): boolean =>
  format === "pretty" || (format === "auto" && process.stderr.isTTY === true)

export const layer = ({ format, level }: LoggingOptions): Layer.Layer<never> => {
  const useColor = process.stderr.isTTY === true && (process.env["NO_COLOR"] ?? "") === ""
  const { log } = StatusLines.standardError
  return Layer.merge(
    Logger.replace(Logger.defaultLogger, isPretty(format) ? prettyLogger(useColor, log) : jsonLogger(log)),
    Logger.minimumLogLevel(levels[level])
  )
}
