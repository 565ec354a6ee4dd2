/**
 * Running a vendor's tool for what it prints.
 *
 * A tool is not trusted: it may hang, flood, die, leave children behind or hang in its driver where no signal reaches
 * it. Whatever it does, a run ends in time, with nothing of it left that can be ended.
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"

/** What a tool may print in all before it is killed: 4 MiB. */
export const maxOutputBytes = 4 * 1024 * 1024

/** How long a place where a tool was found, or that it was not, is believed. */
const lookupAge = Duration.toMillis("1 minute")

/** How long a killed process is waited for before it counts as one that cannot be killed. */
const killGrace = Duration.millis(300)

/** How long what a process printed is waited for after its end, should something else hold its pipe. */
const drainMillis = 200

/** What a tool printed when it ended with exit code 0. */
export interface ToolOutput {
  readonly stdout: string
  readonly stderr: string
}

/** The tool is not there, or may not be run. */
export class ToolNotFound extends Data.TaggedError("ToolNotFound")<{ readonly tool: string }> {
  override get message() {
    return `${this.tool} is not installed, or may not be run by this user.`
  }
}

/** The tool had not ended at its deadline and was killed. */
export class ToolTimedOut extends Data.TaggedError("ToolTimedOut")<{
  readonly tool: string
  readonly millis: number
  /** Set when it survived being killed: its driver holds it. It is not started again before this process has ended. */
  readonly survivor: number | undefined
}> {
  override get message() {
    return `${this.tool} did not end within ${this.millis / 1000} s and was killed`
      + (this.survivor === undefined ? "." : `, but process ${this.survivor} does not end: its driver holds it.`)
  }
}

/** The tool ended with another exit code than 0, by a signal, or could not be started. */
export class ToolFailed extends Data.TaggedError("ToolFailed")<{
  readonly tool: string
  /** Absent when a signal ended it or it did not start. */
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  readonly stdout: string
  /** What it printed to stderr, or why it did not start. */
  readonly stderr: string
}> {
  override get message() {
    const how = this.exitCode !== undefined
      ? `failed with exit code ${this.exitCode}`
      : this.signal !== undefined
      ? `was ended by ${this.signal}`
      : "could not be started"
    return `${this.tool} ${how}.`
  }
}

/** The tool printed more than {@link maxOutputBytes} and was killed. */
export class ToolTooMuchOutput extends Data.TaggedError("ToolTooMuchOutput")<{ readonly tool: string }> {
  override get message() {
    return `${this.tool} printed more than ${maxOutputBytes / 1024 / 1024} MiB and was killed.`
  }
}

export type ToolError = ToolNotFound | ToolTimedOut | ToolFailed | ToolTooMuchOutput

/** Finds and runs tools. */
export interface Tools {
  /**
   * The first of the candidates that is an executable file: names are looked for on the `PATH`, paths are taken as they
   * are. The answer is kept for a minute.
   */
  readonly find: (candidates: ReadonlyArray<string>) => Effect.Effect<string | undefined>
  /** Runs a tool by its path, in a process group of its own, with `LC_ALL=C` and nothing on its stdin. */
  readonly run: (
    file: string,
    args: ReadonlyArray<string>,
    deadline: Duration.DurationInput
  ) => Effect.Effect<ToolOutput, ToolError>
  /** Forgets where tools were found. */
  readonly forget: Effect.Effect<void>
}

export interface ToolsOptions {
  /** Directories, separated as the platform does. */
  readonly path: string
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  /** For tests: how a process and its group are killed. */
  readonly kill?: (pid: number) => void
}

const isExecutable = (file: string): Promise<boolean> =>
  fs.promises.stat(file)
    .then((found) => found.isFile() ? fs.promises.access(file, fs.constants.X_OK).then(() => true) : false)
    .catch(() => false)

const locate = async (candidates: ReadonlyArray<string>, options: ToolsOptions): Promise<string | undefined> => {
  const suffix = options.platform === "win32" ? ".exe" : ""
  for (const candidate of candidates) {
    if (path.isAbsolute(candidate)) {
      if (await isExecutable(candidate)) return candidate
      continue
    }
    for (const folder of options.path.split(path.delimiter)) {
      // An empty or relative entry means the current directory: not where a vendor's tool is.
      if (!path.isAbsolute(folder)) continue
      const file = path.join(folder, candidate + suffix)
      if (await isExecutable(file)) return file
    }
  }
  return undefined
}

/** A process that was asked for, and what is needed to end it. */
const launch = (file: string, args: ReadonlyArray<string>, options: ToolsOptions) =>
  spawn(file, args, {
    // A group of its own, so that what it starts can be ended with it.
    detached: options.platform !== "win32",
    windowsHide: true,
    stdio: ["ignore", "pipe", "pipe"],
    cwd: path.parse(file).root,
    env: { ...options.env, PATH: options.path, LC_ALL: "C", LANG: "C", LANGUAGE: "C" }
  })

/** Finds tools on this `PATH`, and runs them. */
export const make = (options: ToolsOptions): Tools => {
  const places = new Map<string, { readonly file: string | undefined; readonly until: number }>()
  /** By tool, the processes that survived being killed. */
  const survivors = new Map<string, number>()

  const killGroup = (pid: number): void => {
    if (options.kill !== undefined) return options.kill(pid)
    try {
      process.kill(options.platform === "win32" ? pid : -pid, "SIGKILL")
    } catch {
      // It has ended already.
    }
  }

  const attempt = (file: string, args: ReadonlyArray<string>) =>
    Effect.async<ToolOutput, ToolError>((resume) => {
      const tool = path.basename(file)
      const failed = (stderr: string) =>
        new ToolFailed({ tool, exitCode: undefined, signal: undefined, stdout: "", stderr })
      let child: ReturnType<typeof launch>
      try {
        child = launch(file, args, options)
      } catch (cause) {
        resume(Effect.fail(failed(cause instanceof Error ? cause.message : String(cause))))
        return
      }
      const stdout: Array<Buffer> = []
      const stderr: Array<Buffer> = []
      let size = 0
      let ended = false
      let draining: NodeJS.Timeout | undefined
      const letGo = () => {
        clearTimeout(draining)
        child.stdout.destroy()
        child.stderr.destroy()
      }
      const take = (into: Array<Buffer>) => (chunk: Buffer) => {
        size += chunk.length
        if (size <= maxOutputBytes) {
          into.push(chunk)
          return
        }
        // Its end is awaited like any other: by its exit, or by the deadline should it survive this.
        if (child.pid !== undefined) killGroup(child.pid)
        letGo()
      }
      const finish = (exitCode: number | null, signal: NodeJS.Signals | null) => {
        letGo()
        if (size > maxOutputBytes) return resume(Effect.fail(new ToolTooMuchOutput({ tool })))
        const output = {
          stdout: Buffer.concat(stdout).toString("utf8"),
          stderr: Buffer.concat(stderr).toString("utf8")
        }
        resume(
          exitCode === 0
            ? Effect.succeed(output)
            : Effect.fail(
              new ToolFailed({ tool, exitCode: exitCode ?? undefined, signal: signal ?? undefined, ...output })
            )
        )
      }
      child.stdout.on("data", take(stdout))
      child.stderr.on("data", take(stderr))
      child.once("error", (cause: NodeJS.ErrnoException) => {
        if (child.pid !== undefined) return
        ended = true
        letGo()
        resume(Effect.fail(
          cause.code === "ENOENT" || cause.code === "EACCES" ? new ToolNotFound({ tool }) : failed(cause.message)
        ))
      })
      child.once("exit", (exitCode, signal) => {
        ended = true
        survivors.delete(file)
        // What it left behind goes too, or it would hold the pipes open.
        if (child.pid !== undefined) killGroup(child.pid)
        draining = setTimeout(() => finish(exitCode, signal), drainMillis)
      })
      child.once("close", finish)
      return Effect.async<void>((done) => {
        if (ended || child.pid === undefined) {
          letGo()
          return done(Effect.void)
        }
        child.once("exit", () => done(Effect.void))
        killGroup(child.pid)
        letGo()
      }).pipe(
        // Finalizers cannot be interrupted, which a timeout does.
        Effect.interruptible,
        Effect.timeout(killGrace),
        Effect.catchTag("TimeoutException", () =>
          Effect.sync(() => {
            if (child.pid !== undefined) survivors.set(file, child.pid)
            // It must not keep this program from ending.
            child.unref()
          }))
      )
    })

  return {
    find: (candidates) =>
      Effect.gen(function*() {
        const key = candidates.join("\n")
        const now = yield* Clock.currentTimeMillis
        const place = places.get(key)
        if (place !== undefined && now < place.until && now > place.until - 2 * lookupAge) return place.file
        const file = yield* Effect.promise(() => locate(candidates, options))
        places.set(key, { file, until: now + lookupAge })
        return file
      }),
    run: (file, args, deadline) =>
      Effect.suspend(() => {
        const tool = path.basename(file)
        const millis = Duration.toMillis(deadline)
        const timedOut = Effect.suspend(() =>
          Effect.fail(new ToolTimedOut({ tool, millis, survivor: survivors.get(file) }))
        )
        if (survivors.has(file)) return timedOut
        return attempt(file, args).pipe(
          Effect.timeoutOption(millis),
          Effect.flatMap(Option.match({ onNone: () => timedOut, onSome: Effect.succeed })),
          Effect.tapErrorTag("ToolNotFound", () => Effect.sync(() => places.clear()))
        )
      }),
    forget: Effect.sync(() => places.clear())
  }
}
