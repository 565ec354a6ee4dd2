/** Runs the command as a process: signals in, one line for an error and an exit code out. */
import * as fs from "node:fs"
import { makeRunMain } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import { InvalidSetting } from "../config/Setting.js"
import { oneLine } from "../text/Printable.js"
import { UsageError } from "./UsageError.js"

/** What the command's exit code says. */
export const ExitCode = {
  /** Success, also of a stop by a signal. */
  ok: 0,
  /** Anything else; a retry may succeed. */
  failure: 1,
  /** The command line cannot be understood. */
  usage: 2,
  /** A setting has a value that it cannot have (`EX_CONFIG` of sysexits.h); a retry cannot succeed. */
  configuration: 78
} as const

const messageOf = (error: unknown): string => {
  const message = error instanceof Error ? error.message : Inspectable.toStringUnknown(error, 0)
  const first = oneLine(message.split("\n")[0] ?? "", 2_000)
  return first === "" && error instanceof Error ? error.name : first
}

/** What the agent could not remove when it stopped. Recognized by its tag, as the agent is loaded later. */
const isStopIncomplete = (defect: unknown): defect is Error =>
  defect instanceof Error && "_tag" in defect && defect._tag === "StopIncomplete"

/** The exit code of how the command ended, and what is still to be said about it. */
export const outcome = (exit: Exit.Exit<unknown, unknown>): { readonly code: number; readonly line?: string } => {
  if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return { code: ExitCode.ok }
  const failure = Cause.failureOption(exit.cause)
  if (Option.isNone(failure)) {
    const incomplete = Chunk.findFirst(Cause.defects(exit.cause), isStopIncomplete)
    if (Option.isSome(incomplete)) return { code: ExitCode.failure, line: messageOf(incomplete.value) }
    return { code: ExitCode.failure, line: defect(Cause.squash(exit.cause)) }
  }
  const error = failure.value
  const code = error instanceof UsageError
    ? ExitCode.usage
    : error instanceof InvalidSetting && error.isTransient !== true
    ? ExitCode.configuration
    : ExitCode.failure
  return { code, line: messageOf(error) }
}

/**
 * A terminal's Ctrl-C reaches both npm and what npm runs, and npm passes it on: the same key press arrives twice. A
 * second signal is one that comes later than this.
 */
const samePressMillis = 200

/** How long cleaning up may take after a failure that nothing caught. */
const cleanupMillis = 10_000

/** The reader of the output is gone: not a failure. */
const isClosedPipe = (error: unknown): boolean => error instanceof Error && "code" in error && error.code === "EPIPE"

/** Whether stacks are wanted: the log level has not been read where this is asked. */
const isDebug = (): boolean =>
  (process.env["ORCHION_LOG_LEVEL"] ?? "").toLowerCase() === "debug"
  || /(?:^| )--?log-level[= ]debug(?: |$)/i.test(process.argv.join(" "))

/** At once, as the process may end before a stream is flushed. */
const say = (line: string): void => {
  try {
    fs.writeSync(2, `node-agent: ${line}\n`)
  } catch {
    // Nobody reads it.
  }
}

const defect = (error: unknown): string =>
  `internal error: ${messageOf(error)}${isDebug() && error instanceof Error ? `\n${error.stack ?? ""}` : ""}`

/**
 * Handles uncaught exceptions and unhandled rejections. The first one is printed, and `stop` releases everything,
 * within a limit; the process then exits with code 1. A second one exits immediately.
 */
const watchForDefects = (stop: () => void): { readonly hasFailed: () => boolean } => {
  let failed = false
  const onDefect = (error: unknown) => {
    if (isClosedPipe(error)) return
    say(defect(error))
    if (failed) process.exit(ExitCode.failure)
    failed = true
    process.exitCode = ExitCode.failure
    setTimeout(() => {
      say(`cleanup did not finish within ${cleanupMillis / 1000} s`)
      process.exit(ExitCode.failure)
    }, cleanupMillis).unref()
    stop()
  }
  process.on("uncaughtException", onDefect)
  process.on("unhandledRejection", onDefect)
  return { hasFailed: () => failed }
}

const runProcess = makeRunMain(({ fiber }) => {
  // Output without a reader is dropped; without a listener the error would end the process.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  const interrupt = () => fiber.unsafeInterruptAsFork(fiber.id())
  const defects = watchForDefects(interrupt)
  let interruptedAt: number | undefined
  const onSignal = (_signal: NodeJS.Signals, number: number) => {
    if (interruptedAt === undefined) {
      interruptedAt = Date.now()
      interrupt()
    } else if (Date.now() - interruptedAt >= samePressMillis) {
      process.exit(128 + number)
    }
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal)
  fiber.addObserver((exit) => {
    clearInterval(keepAlive)
    const { code, line } = outcome(exit)
    if (line !== undefined) process.stderr.write(`node-agent: ${line}\n`)
    process.exitCode = defects.hasFailed() ? ExitCode.failure : code
    // Flushes output to a pipe first.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(process.exitCode)))
  })
})

/**
 * The first SIGINT, SIGTERM or SIGHUP interrupts, and everything is released before the process ends with code 0; a
 * second one ends it at once.
 */
export const runMain = <A, E>(effect: Effect.Effect<A, E>): void =>
  // The effect's first step comes after the signals' handlers are in place.
  runProcess(Effect.zipRight(Effect.yieldNow(), effect), { disableErrorReporting: true, disablePrettyLogger: true })
