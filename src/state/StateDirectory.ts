/** The directory for everything that must survive an agent; one agent at a time. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import type { InvalidSetting } from "../config/Setting.js"
import * as SystemError from "../text/SystemError.js"
import * as LockFile from "./LockFile.js"
import * as SafeDirectory from "./SafeDirectory.js"
import * as StateFile from "./StateFile.js"
import { stateDir, StateSettings } from "./StateSettings.js"

/** Another agent is running on the same state directory. */
export class StateDirectoryInUse extends Data.TaggedError("StateDirectoryInUse")<{
  readonly path: string
  readonly pid: number
}> {
  override get message(): string {
    return `another agent (pid ${this.pid}) is running on the state directory ${this.path}; stop it, or give this one `
      + "its own with --state-dir"
  }
}

/** A file in the state directory is not what this agent wrote, or cannot be read. */
export class StateFileError extends Data.TaggedError("StateFileError")<{
  readonly file: string
  readonly problem: string
  readonly remedy: string
}> {
  override get message(): string {
    return `${this.file} ${this.problem}; ${this.remedy}`
  }
}

/** The size limit of a state file. */
const maxBytes = 1024 * 1024

const words: Readonly<Record<string, string>> = {
  EACCES: "this user may not write there",
  EEXIST: "a part of the path is a file, not a directory",
  ENOENT: "it cannot be created there",
  ENOTDIR: "a part of the path is a file, not a directory",
  EPERM: "this user may not write there",
  EROFS: "it is on a read-only file system"
}

/** Conditions that may pass without a change of the settings. */
const transient = new Set(["EAGAIN", "EDQUOT", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "ESTALE"])

const isTransient = (error: unknown): boolean => transient.has(SystemError.codeOf(error) ?? "")

export class StateDirectory extends Context.Tag("@orchion/node-agent/StateDirectory")<
  StateDirectory,
  {
    readonly path: string
    /** A state file's text, of at most 1 MiB; `undefined` when there is none. */
    readonly read: (name: string) => Effect.Effect<string | undefined, StateFileError>
    /** Writes a file that exists whole or not at all, with mode 0600. */
    readonly write: (name: string, text: string) => Effect.Effect<void, InvalidSetting>
    /**
     * Detects that the directory was deleted, taken over or became read-only since it was opened. A deleted one is
     * recreated with the files that were read from it and written to it; the rest is logged, once.
     */
    readonly check: Effect.Effect<void>
  }
>() {
  /** The configured directory: created if missing, and locked until the scope closes. */
  static readonly layer: Layer.Layer<
    StateDirectory,
    InvalidSetting | StateDirectoryInUse | StateFileError,
    StateSettings
  > = Layer.scoped(StateDirectory, Effect.suspend(() => make))
}

/** A lock file that no agent wrote is reported like any other state file. */
const lockError = (directory: string, cause: StateFile.UnsafeFile) =>
  new StateFileError({ file: path.join(directory, LockFile.lockName), ...fieldsOf(cause) })

const fieldsOf = ({ problem, remedy }: StateFile.UnsafeFile) => ({
  problem: `cannot be read: it ${problem}`,
  remedy
})

/** Detects what happens to an open directory. */
const makeCheck = (options: {
  readonly directory: string
  readonly lock: Ref.Ref<LockFile.Lock>
  /** The files that are restored when the directory was deleted. */
  readonly files: ReadonlyMap<string, string>
}) =>
  Effect.gen(function*() {
    const { directory, files, lock } = options
    const logged = yield* Ref.make<string | undefined>(undefined)
    const attempt = <A>(work: () => A) =>
      Effect.try({ try: work, catch: (cause) => new LockFile.LockFailed({ cause }) })
    const problem = (line: string) =>
      Effect.flatMap(
        Ref.getAndSet(logged, line),
        (before) => before === line ? Effect.void : Effect.logError(line)
      )
    const usable = Effect.flatMap(
      Ref.getAndSet(logged, undefined),
      (before) =>
        before === undefined ? Effect.void : Effect.logInfo(`The state directory ${directory} is usable again`)
    )

    /** Takes the lock again after it was removed or replaced. */
    const retake = Effect.gen(function*() {
      const wasDeleted = !fs.existsSync(directory)
      yield* attempt(() => SafeDirectory.open(directory))
      const before = yield* Ref.get(lock)
      yield* Ref.set(lock, yield* LockFile.acquire(directory))
      yield* Effect.ignore(before.release)
      for (const [name, text] of files) {
        const file = path.join(directory, name)
        yield* attempt(() => fs.existsSync(file) ? undefined : StateFile.write(file, text))
      }
      yield* Effect.logWarning(
        wasDeleted
          ? `The state directory ${directory} was deleted while the agent was running; recreated it with this node's id`
          : `The lock of the state directory ${directory} was removed while the agent was running; acquired it again`
      )
    }).pipe(
      Effect.catchTag(
        "Locked",
        ({ pid }) =>
          problem(`Another agent (pid ${pid}) took over the state directory ${directory}; stop one of the two`)
      ),
      Effect.catchTag("LockFailed", (error) =>
        problem(
          `The state directory ${directory} is gone and cannot be recreated: ${
            SystemError.describe(error.cause, words)
          }; this node keeps its id until the agent stops`
        ))
    )

    return Effect.suspend(() =>
      Effect.flatMap(Ref.get(lock), (held) => {
        try {
          if (!held.isHeld()) return retake
          // On a file system that became read-only also for root.
          fs.accessSync(directory, fs.constants.W_OK)
          return usable
        } catch (error) {
          return isTransient(error)
            ? Effect.logDebug(`Cannot check the state directory: ${SystemError.describe(error)}`)
            : problem(
              `The state directory ${directory} is no longer writable: ${SystemError.describe(error)}; what the agent `
                + "saves from now on is lost when it stops"
            )
        }
      })
    ).pipe(Effect.annotateLogs("event", "state-directory"))
  })

const make = Effect.gen(function*() {
  const config = yield* StateSettings
  const configured = stateDir(config)
  if (configured === undefined) {
    return yield* config.refuse(
      "stateDir",
      "this user has no home directory to keep it in",
      "a directory that this user can write to"
    )
  }
  const directory = path.resolve(configured)
  const unusable = (error: unknown) =>
    config.refuse(
      "stateDir",
      SystemError.describe(error, words),
      error instanceof SafeDirectory.UnsafeDirectory ? error.remedy : "a directory that this user can write to",
      { value: directory, isTransient: isTransient(error) }
    )
  const attempt = <A>(work: () => A) => Effect.try({ try: work, catch: unusable })

  yield* attempt(() => SafeDirectory.open(directory))
  const lock = yield* Effect.acquireRelease(
    LockFile.acquire(directory).pipe(
      Effect.flatMap(Ref.make),
      Effect.catchTags({
        Locked: ({ pid }) => Effect.fail(new StateDirectoryInUse({ path: directory, pid })),
        LockFailed: ({ cause }) =>
          Effect.fail(cause instanceof StateFile.UnsafeFile ? lockError(directory, cause) : unusable(cause))
      })
    ),
    (lock) =>
      Effect.flatMap(Ref.get(lock), ({ release }) => release).pipe(
        Effect.catchAll((error) =>
          Effect.logWarning(
            `The lock of the state directory ${directory} cannot be removed: ${
              SystemError.describe(error)
            }; the next start `
              + "replaces it"
          )
        )
      )
  )

  const files = new Map<string, string>()
  return StateDirectory.of({
    path: directory,
    read: Effect.fn("StateDirectory.read")((name: string) => {
      const file = path.join(directory, name)
      return Effect.try({
        try: () => {
          const text = StateFile.read(file, maxBytes)
          if (text !== undefined) files.set(name, text)
          return text
        },
        catch: (error) =>
          error instanceof StateFile.UnsafeFile
            ? new StateFileError({ file, ...fieldsOf(error) })
            : new StateFileError({
              file,
              problem: `cannot be read: ${SystemError.describe(error)}`,
              remedy: isTransient(error) ? "try again" : "give this user the right to read it"
            })
      })
    }),
    write: Effect.fn("StateDirectory.write")((name: string, text: string) =>
      attempt(() => {
        files.set(name, text)
        StateFile.write(path.join(directory, name), text)
      })
    ),
    check: yield* makeCheck({ directory, lock, files })
  })
})
