/** Runs the command as a process: signals in, one line for an error and an exit code out. */
import * as ValidationError from "@effect/cli/ValidationError"
import { makeRunMain } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { InvalidSetting } from "../config/Setting.js"
import { UsageError } from "./UsageError.js"

/** What the command's exit code says. */
export const ExitCode = {
  /** It did what it was asked, or was told to stop and stopped cleanly. */
  ok: 0,
  /** Anything that the other codes do not say; trying again may help. */
  failure: 1,
  /** The command line cannot be understood. */
  usage: 2,
  /** A setting has a value that it cannot have (`EX_CONFIG` of sysexits.h). Trying again will not help. */
  configuration: 78
} as const

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message.split("\n")[0] ?? error.message : String(error)

/** The exit code of how the command ended, and what is still to be said about it. */
export const outcome = (exit: Exit.Exit<unknown, unknown>): { readonly code: number; readonly line?: string } => {
  if (Exit.isSuccess(exit) || Cause.isInterruptedOnly(exit.cause)) return { code: ExitCode.ok }
  const failure = Cause.failureOption(exit.cause)
  if (Option.isNone(failure)) {
    return { code: ExitCode.failure, line: `internal error: ${messageOf(Cause.squash(exit.cause))}` }
  }
  const error = failure.value
  // @effect/cli has printed what is wrong.
  if (ValidationError.isValidationError(error)) return { code: ExitCode.usage }
  const code = error instanceof UsageError
    ? ExitCode.usage
    : error instanceof InvalidSetting && error.mayPass !== true
    ? ExitCode.configuration
    : ExitCode.failure
  return { code, line: messageOf(error) }
}

/**
 * A terminal's Ctrl-C reaches both npm and what npm runs, and npm passes it on: the same key press arrives twice. A
 * second signal is one that comes later than this.
 */
const samePressMillis = 200

const runProcess = makeRunMain(({ fiber }) => {
  // What has nowhere to go any more is dropped; without a listener it would end the process.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  const keepAlive = setInterval(() => {}, 2 ** 31 - 1)
  let interruptedAt: number | undefined
  const onSignal = (_signal: NodeJS.Signals, number: number) => {
    if (interruptedAt === undefined) {
      interruptedAt = Date.now()
      fiber.unsafeInterruptAsFork(fiber.id())
    } else if (Date.now() - interruptedAt >= samePressMillis) {
      process.exit(128 + number)
    }
  }
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, onSignal)
  fiber.addObserver((exit) => {
    clearInterval(keepAlive)
    const { code, line } = outcome(exit)
    if (line !== undefined) process.stderr.write(`node-agent: ${line}\n`)
    process.exitCode = code
    // Output that is still on its way to a pipe goes out first.
    process.stdout.write("", () => process.stderr.write("", () => process.exit(code)))
  })
})

/**
 * The first SIGINT, SIGTERM or SIGHUP interrupts, and everything is released before the process ends with code 0; a
 * second one ends it at once.
 */
export const runMain = <A, E>(effect: Effect.Effect<A, E>): void =>
  // The effect's first step comes after the signals' handlers are in place.
  runProcess(Effect.zipRight(Effect.yieldNow(), effect), { disableErrorReporting: true, disablePrettyLogger: true })
