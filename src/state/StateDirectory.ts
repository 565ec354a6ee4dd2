/** The directory where an agent keeps what must survive it; one agent at a time. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type { InvalidSetting } from "../config/Setting.js"
import { stateDir, StateSettings } from "./StateSettings.js"
import * as LockFile from "./LockFile.js"

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

const describe = (error: unknown): string => {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  switch (code) {
    case "EACCES":
    case "EPERM":
      return "this user may not write there"
    case "EROFS":
      return "it is on a read-only file system"
    case "ENOSPC":
      return "the disk is full"
    case "EDQUOT":
      return "the disk quota is used up"
    case "ENOTDIR":
    case "EEXIST":
      return "a part of the path is a file, not a directory"
    case "ENOENT":
      return "it cannot be made there"
    case "ENAMETOOLONG":
      return "the path is too long"
    default:
      return error instanceof Error ? error.message : String(error)
  }
}

/** What may be over later without a change of the settings. */
const passing = new Set(["EDQUOT", "EIO", "EMFILE", "ENFILE", "ENOMEM", "ENOSPC", "ESTALE"])

const isPassing = (error: unknown): boolean =>
  error instanceof Error && "code" in error && passing.has(String(error.code))

/**
 * Makes a directory and those above it. (Node's own recursive form never returns where a file system answers ENOENT to
 * a directory whose parent exists, as /proc does.)
 */
const makeDirectory = (directory: string): void => {
  if (fs.existsSync(directory)) {
    if (!fs.statSync(directory).isDirectory()) throw Object.assign(new Error("a file"), { code: "ENOTDIR" })
    return
  }
  makeDirectory(path.dirname(directory))
  fs.mkdirSync(directory, { mode: 0o700 })
}

export class StateDirectory extends Context.Tag("@orchion/node-agent/StateDirectory")<
  StateDirectory,
  {
    readonly path: string
    /** A state file's text; `undefined` when there is none. */
    readonly read: (name: string) => Effect.Effect<string | undefined, StateFileError>
    /** Writes a file that exists whole or not at all, with mode 0600. */
    readonly write: (name: string, text: string) => Effect.Effect<void, InvalidSetting>
  }
>() {
  /** The directory of the settings: made when missing, and locked until the scope closes. */
  static readonly layer: Layer.Layer<StateDirectory, InvalidSetting | StateDirectoryInUse, StateSettings> = Layer
    .scoped(
      StateDirectory,
      Effect.gen(function*() {
        const config = yield* StateSettings
        const directory = path.resolve(stateDir(config))
        const unusable = (error: unknown) =>
          config.refuse("stateDir", describe(error), "a directory that this user can write to", {
            value: directory,
            mayPass: isPassing(error)
          })
        const attempt = <A>(work: () => A) => Effect.try({ try: work, catch: unusable })

        yield* attempt(() => makeDirectory(directory))
        yield* Effect.acquireRelease(
          Effect.catchTag(
            LockFile.acquire(path.join(directory, "agent.lock")),
            "LockFailed",
            ({ cause }) => Effect.fail(unusable(cause))
          ).pipe(
            Effect.catchTag("Locked", ({ pid }) => Effect.fail(new StateDirectoryInUse({ path: directory, pid })))
          ),
          (lock) => lock.release
        )

        return {
          path: directory,
          read: (name) =>
            Effect.try({
              try: () => {
                const file = path.join(directory, name)
                // Only a name that is not there at all is no file: a link to a disk that is not mounted is one.
                return fs.lstatSync(file, { throwIfNoEntry: false }) === undefined
                  ? undefined
                  : fs.readFileSync(file, "utf8")
              },
              catch: (error) =>
                new StateFileError({
                  file: path.join(directory, name),
                  problem: `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
                  remedy: "give this user the right to read it"
                })
            }),
          write: (name, text) =>
            attempt(() => {
              const file = path.join(directory, name)
              const temporary = `${file}.${process.pid}.tmp`
              try {
                const handle = fs.openSync(temporary, "w", 0o600)
                try {
                  // Unlike writeSync, it goes on when the system took a part.
                  fs.writeFileSync(handle, text)
                  // Without it a power cut can leave the new name with no content behind it.
                  fs.fsyncSync(handle)
                } finally {
                  fs.closeSync(handle)
                }
                fs.renameSync(temporary, file)
              } catch (error) {
                fs.rmSync(temporary, { force: true })
                throw error
              }
            })
        }
      })
    )
}
