/**
 * Running a child process for what it prints.
 *
 * A program is not trusted: it may hang, flood, die, leave children behind, or hang in a driver where no signal reaches
 * it. Whatever it does, a run ends in time, and nothing of it is left that can be killed.
 */
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import * as path from "node:path"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as SystemError from "../text/SystemError.js"

/** What a program may print, stdout and stderr together, before it is killed: 4 MiB. */
export const defaultMaxOutputBytes = 4 * 1024 * 1024

/** How long a killed process is waited for before it counts as one that cannot be killed. */
const killGrace = Duration.millis(300)

/** How long the rest of the output is waited for after the process ended, should something else hold its pipes open. */
const drainMillis = 200

/** What a program printed before it ended with exit code 0. */
export interface ProcessOutput {
  readonly stdout: string
  readonly stderr: string
}

/** The program is not there, or this user may not run it. */
export class ProgramNotFound extends Data.TaggedError("ProgramNotFound")<{ readonly program: string }> {
  override get message() {
    return `${this.program} is not installed, or may not be run by this user.`
  }
}

/** The system refused to start the program: no process, memory or file descriptor is left, or the file is damaged. */
export class ProgramNotStarted extends Data.TaggedError("ProgramNotStarted")<{
  readonly program: string
  /** In a few words. */
  readonly reason: string
}> {
  override get message() {
    return `${this.program} could not be started: ${this.reason}.`
  }
}

/** The program had not ended at its deadline and was killed. */
export class ProgramTimedOut extends Data.TaggedError("ProgramTimedOut")<{
  readonly program: string
  readonly millis: number
  /** The pid of the process, when it survived being killed: a driver or a file system holds it. */
  readonly survivor: number | undefined
}> {
  override get message() {
    return `${this.program} did not end within ${this.millis / 1000} s and was killed`
      + (this.survivor === undefined ? "." : `, but process ${this.survivor} does not end: its driver holds it.`)
  }
}

/** The program ended with an exit code other than 0 or by a signal. */
export class ProgramFailed extends Data.TaggedError("ProgramFailed")<{
  readonly program: string
  /** Absent when a signal ended it. */
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly stdout: string
  readonly stderr: string
}> {
  override get message() {
    return this.exitCode === undefined
      ? `${this.program} was ended by ${this.signal ?? "a signal"}.`
      : `${this.program} failed with exit code ${this.exitCode}.`
  }
}

/** The program printed more than it may, and was killed. */
export class ProgramOutputTooLarge extends Data.TaggedError("ProgramOutputTooLarge")<{
  readonly program: string
  readonly maxBytes: number
}> {
  override get message() {
    return `${this.program} printed more than ${this.maxBytes / 1024 / 1024} MiB and was killed.`
  }
}

export type ProcessError =
  | ProgramNotFound
  | ProgramNotStarted
  | ProgramTimedOut
  | ProgramFailed
  | ProgramOutputTooLarge

export interface RunOptions {
  /** A path, or a name that is looked up on the `PATH` of `env`. */
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly env: NodeJS.ProcessEnv
  /** The root directory by default, so that no mount is kept busy. */
  readonly cwd?: string
  /** Written to its stdin, which is closed afterwards; without it stdin is empty. */
  readonly stdin?: string
  readonly deadline: Duration.DurationInput
  /** How long it may take to end after SIGTERM before SIGKILL; without it SIGKILL comes first. */
  readonly gracePeriod?: Duration.DurationInput
  /** In bytes: {@link defaultMaxOutputBytes} by default. */
  readonly maxOutputBytes?: number
}

/** Runs programs, each in a process group of its own, and remembers those that could not be killed. */
export interface ProcessRunner {
  /**
   * The program's output. Its whole process group is killed when it ends, at the deadline, beyond the limit of output,
   * and when the fiber is interrupted.
   */
  readonly run: (options: RunOptions) => Effect.Effect<ProcessOutput, ProcessError>
  /** The pid of a process of this file that survived being killed and still has not ended. */
  readonly survivorOf: (file: string) => number | undefined
}

export interface ProcessRunnerOptions {
  readonly platform?: NodeJS.Platform
  /** For tests: how a process and its group are signalled. */
  readonly kill?: (pid: number, signal: NodeJS.Signals) => void
}

const launch = ({ args, cwd, env, file, stdin }: RunOptions, platform: NodeJS.Platform): ChildProcess =>
  spawn(file, args, {
    // A group of its own, so that what it starts can be killed with it.
    detached: platform !== "win32",
    windowsHide: true,
    stdio: [stdin === undefined ? "ignore" : "pipe", "pipe", "pipe"],
    cwd: cwd ?? path.parse(path.resolve(file)).root,
    env
  })

/** Signals a process group; a platform without groups gets the process signalled. */
const signalGroup = (platform: NodeJS.Platform) => (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(platform === "win32" ? pid : -pid, signal)
  } catch {
    // It has ended already.
  }
}

/** What a run has printed so far, up to its limit. */
interface Collected {
  readonly stdout: Array<Buffer>
  readonly stderr: Array<Buffer>
  bytes: number
}

const textOf = (chunks: ReadonlyArray<Buffer>): string => Buffer.concat(chunks).toString("utf8")

/** How a process ended, as a result. */
const resultOf = (
  program: string,
  maxBytes: number,
  collected: Collected,
  exitCode: number | null,
  signal: NodeJS.Signals | null
): Effect.Effect<ProcessOutput, ProcessError> => {
  if (collected.bytes > maxBytes) return Effect.fail(new ProgramOutputTooLarge({ program, maxBytes }))
  const output = { stdout: textOf(collected.stdout), stderr: textOf(collected.stderr) }
  return exitCode === 0
    ? Effect.succeed(output)
    : Effect.fail(
      new ProgramFailed({ program, exitCode: exitCode ?? undefined, signal: signal ?? undefined, ...output })
    )
}

const notStarted = (program: string, cause: unknown): ProgramNotFound | ProgramNotStarted => {
  const code = SystemError.codeOf(cause)
  return code === "ENOENT" || code === "EACCES"
    ? new ProgramNotFound({ program })
    : new ProgramNotStarted({ program, reason: SystemError.describe(cause) })
}

/** Waits for the end of a process, `false` when it has not come within the time. */
const endsWithin = (child: ChildProcess, limit: Duration.DurationInput): Effect.Effect<boolean> =>
  Effect.async<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    const onExit = () => resume(Effect.void)
    child.once("exit", onExit)
    return Effect.sync(() => child.off("exit", onExit))
  }).pipe(
    // Finalizers cannot be interrupted, which a timeout does.
    Effect.interruptible,
    Effect.timeoutOption(limit),
    Effect.map(Option.isSome)
  )

/** What the runs of one runner share. */
interface Shared {
  readonly platform: NodeJS.Platform
  readonly signal: (pid: number, signal: NodeJS.Signals) => void
  /** By file, the processes that survived being killed. */
  readonly survivors: Map<string, number>
}

/** Ends a process and its group: with a grace period where it has one, and by force. */
const end = ({ signal, survivors }: Shared, child: ChildProcess, pid: number, run: RunOptions) =>
  Effect.gen(function*() {
    if (run.gracePeriod !== undefined) {
      signal(pid, "SIGTERM")
      yield* endsWithin(child, run.gracePeriod)
    }
    // Also after a graceful end: children may have been left behind.
    signal(pid, "SIGKILL")
    if (yield* endsWithin(child, killGrace)) return
    survivors.set(run.file, pid)
    // It must not keep this program from ending.
    child.unref()
  })

/** One run, without its deadline. */
const attempt = (shared: Shared, run: RunOptions) =>
  Effect.async<ProcessOutput, ProcessError>((resume) => {
    const program = path.basename(run.file)
    const maxBytes = run.maxOutputBytes ?? defaultMaxOutputBytes
    const collected: Collected = { stdout: [], stderr: [], bytes: 0 }
    let child: ChildProcess
    try {
      child = launch(run, shared.platform)
    } catch (cause) {
      return resume(Effect.fail(notStarted(program, cause)))
    }
    let ended = false
    let draining: NodeJS.Timeout | undefined
    // Without file descriptors there are no streams, whatever their type says.
    const letGo = () => {
      clearTimeout(draining)
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy()
    }
    const finish = (exitCode: number | null, endedBy: NodeJS.Signals | null) => {
      letGo()
      resume(resultOf(program, maxBytes, collected, exitCode, endedBy))
    }
    const kill = () => {
      if (child.pid !== undefined) shared.signal(child.pid, "SIGKILL")
    }
    const take = (into: Array<Buffer>) => (chunk: Buffer) => {
      collected.bytes += chunk.length
      if (collected.bytes <= maxBytes) {
        into.push(chunk)
        return
      }
      // Its end is awaited like any other: by its exit, or by the deadline should it survive this.
      kill()
      letGo()
    }
    child.once("error", (cause) => {
      if (child.pid !== undefined) return
      ended = true
      letGo()
      resume(Effect.fail(notStarted(program, cause)))
    })
    child.once("exit", (exitCode, endedBy) => {
      ended = true
      shared.survivors.delete(run.file)
      // What it left behind goes, too, or it would hold the pipes open.
      kill()
      draining = setTimeout(() => finish(exitCode, endedBy), drainMillis)
    })
    child.once("close", finish)
    child.stdout?.on("data", take(collected.stdout))
    child.stderr?.on("data", take(collected.stderr))
    // A program that does not read its stdin breaks the pipe, which is its own affair.
    child.stdin?.on("error", () => {}).end(run.stdin)
    return Effect.suspend(() =>
      ended || child.pid === undefined
        ? Effect.sync(letGo)
        : Effect.ensuring(end(shared, child, child.pid, run), Effect.sync(letGo))
    )
  })

/** A runner with its own memory of survivors. */
export const make = (options: ProcessRunnerOptions = {}): Effect.Effect<ProcessRunner> =>
  Effect.sync(() => {
    const platform = options.platform ?? process.platform
    const shared: Shared = { platform, signal: options.kill ?? signalGroup(platform), survivors: new Map() }
    return {
      survivorOf: (file) => shared.survivors.get(file),
      run: (run) =>
        Effect.suspend(() => {
          const millis = Duration.toMillis(run.deadline)
          const timedOut = Effect.suspend(() => {
            const survivor = shared.survivors.get(run.file)
            return Effect.fail(new ProgramTimedOut({ program: path.basename(run.file), millis, survivor }))
          })
          return Effect.flatMap(
            Effect.timeoutOption(attempt(shared, run), millis),
            Option.match({ onNone: () => timedOut, onSome: Effect.succeed })
          )
        }).pipe(Effect.withSpan("ProcessRunner.run", { attributes: { file: run.file } }))
    }
  })
