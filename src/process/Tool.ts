/** Finding and running vendors' tools, such as `nvidia-smi`, for what they print. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as ProcessRunner from "./ProcessRunner.js"

/** How long it is believed where a tool is, or that it is not installed. */
const lookupAge = Duration.toMillis("1 minute")

/** Finds and runs tools. */
export interface Tools {
  /**
   * The first of the candidates that is an executable file: names are looked up on the `PATH`, absolute paths are taken
   * as they are. The answer is kept for a minute.
   */
  readonly find: (candidates: ReadonlyArray<string>) => Effect.Effect<string | undefined>
  /**
   * Runs a tool by its path with `LC_ALL=C` and nothing on its stdin. While a process of it that could not be killed
   * still exists it is not started again, and times out at once.
   */
  readonly run: (
    file: string,
    args: ReadonlyArray<string>,
    deadline: Duration.DurationInput
  ) => Effect.Effect<ProcessRunner.ProcessOutput, ProcessRunner.ProcessError>
  /** Looks tools up again. */
  readonly forget: Effect.Effect<void>
}

export interface ToolsOptions {
  /** Directories, separated as the platform does. */
  readonly path: string
  readonly env: NodeJS.ProcessEnv
  readonly platform: NodeJS.Platform
  /** For tests: how a process and its group are signalled. */
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

/** Finds tools on this `PATH`, and runs them. */
export const make = (options: ToolsOptions): Effect.Effect<Tools> =>
  Effect.gen(function*() {
    const runner = yield* ProcessRunner.make(options)
    const places = new Map<string, { readonly file: string | undefined; readonly at: number }>()
    const env = { ...options.env, PATH: options.path, LC_ALL: "C", LANG: "C", LANGUAGE: "C" }
    return {
      find: (candidates) =>
        Effect.gen(function*() {
          const key = candidates.join("\n")
          const now = yield* Clock.currentTimeMillis
          const place = places.get(key)
          if (place !== undefined && Math.abs(now - place.at) < lookupAge) return place.file
          const file = yield* Effect.promise(() => locate(candidates, options))
          places.set(key, { file, at: now })
          return file
        }),
      run: (file, args, deadline) =>
        Effect.suspend(() => {
          const survivor = runner.survivorOf(file)
          if (survivor !== undefined) {
            return Effect.fail(
              new ProcessRunner.ProgramTimedOut({
                program: path.basename(file),
                millis: Duration.toMillis(deadline),
                survivor
              })
            )
          }
          return Effect.tapErrorTag(
            runner.run({ file, args, env, deadline }),
            "ProgramNotFound",
            () => Effect.sync(() => places.clear())
          )
        }),
      forget: Effect.sync(() => places.clear())
    }
  })
