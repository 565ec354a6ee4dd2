/** Fake machines for the tests of this room: trees of files, and tools. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const fixtures = path.join(import.meta.dirname, "fixtures")

/** The text of a fixture. */
export const fixture = (name: string): string => fs.readFileSync(path.join(fixtures, name), "utf8")

/** A directory that goes with the scope. */
export const temporaryDirectory: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "capabilities-"))),
  (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true, force: true }))
)

/** Writes files into a directory; a text that begins with `-> ` is a symbolic link to what follows. */
export const writeTree = (directory: string, files: Readonly<Record<string, string>>): void => {
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory, name)
    fs.mkdirSync(path.dirname(file), { recursive: true })
    if (text.startsWith("-> ")) fs.symlinkSync(text.slice(3), file)
    else fs.writeFileSync(file, text)
  }
}

/** Reads a tree from a fixture: each file is a line `=== path`, or `=== path -> target`, and its text below. */
export const tree = (name: string): Record<string, string> => {
  const files: Record<string, string> = {}
  for (const part of fixture(`trees/${name}.tree`).split(/^=== /m).slice(1)) {
    const end = part.indexOf("\n")
    const [file, target] = part.slice(0, end).split(" -> ")
    files[file ?? ""] = target === undefined ? part.slice(end + 1) : `-> ${target}`
  }
  return files
}

/** A machine of files, in a directory that goes with the scope. */
export const machine = (...trees: ReadonlyArray<Readonly<Record<string, string>>>) =>
  Effect.tap(temporaryDirectory, (directory) =>
    Effect.sync(() => {
      for (const files of trees) writeTree(directory, files)
    }))

/** Whether a value is what the model says, made by its schema or not. */
export const matches = <A, I>(schema: Schema.Schema<A, I>) => {
  const decode = Schema.decodeUnknownEither(schema)
  return (value: unknown): boolean => Either.isRight(decode(value))
}

/** Puts a program into a directory. The shell is found by its path: the tests' `PATH` holds nothing else. */
export const fakeTool = (directory: string, name: string, script: string): string => {
  const file = path.join(directory, name)
  fs.mkdirSync(directory, { recursive: true })
  // Written aside and moved: a file that is still open for writing cannot be run.
  fs.writeFileSync(`${file}.new`, `#!/bin/sh\nPATH=/usr/bin:/bin\n${script}\n`, { mode: 0o755 })
  fs.renameSync(`${file}.new`, file)
  return file
}

/** Whether a process runs; one that is dead and waits to be reaped (by whoever inherited it) does not. */
export const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return process.platform !== "linux" || !/\) [ZX] /.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"))
  } catch {
    return false
  }
}

/** Waits until something is so; fails the test after 5 s. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.suspend(() => condition() ? Effect.void : Effect.fail("not yet" as const)).pipe(
    Effect.retry(Schedule.spaced("5 millis")),
    Effect.timeout("5 seconds"),
    Effect.orDieWith(() => new Error(`It never came: ${what}.`))
  )
