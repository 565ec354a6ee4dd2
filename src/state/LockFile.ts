/**
 * A lock that a process holds on a name in the file system, and that a process that was killed does not hold on to:
 * the file names its owner by pid and start time, and an owner that no longer runs is succeeded.
 */
import * as fs from "node:fs"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** Another process holds the lock. */
export class Locked extends Data.TaggedError("Locked")<{ readonly pid: number }> {}

/** The lock file cannot be made. */
export class LockFailed extends Data.TaggedError("LockFailed")<{ readonly cause: unknown }> {}

export interface Lock {
  readonly release: Effect.Effect<void>
}

/**
 * When a process started, in a unit of its system's; with the pid it names a process for good, as pids are used again.
 * Empty where the system does not tell.
 */
const startTime = (pid: number | "self"): string => {
  try {
    const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8")
    const boot = fs.readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    // The command's name, in parentheses, may contain anything; the 22nd field is the 20th after it.
    return `${boot}/${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19] ?? ""}`
  } catch {
    return ""
  }
}

const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // A process that we may not signal runs all the same.
    return error instanceof Error && "code" in error && error.code === "EPERM"
  }
}

/** The pid of the process that holds the lock; `undefined` when it is gone or the file is not a lock's. */
const holder = (content: string): number | undefined => {
  const [line, started] = content.split("\n")
  const pid = Number(line)
  if (!Number.isInteger(pid) || pid <= 0 || !isRunning(pid)) return undefined
  const now = startTime(pid)
  // The lock of a process that is this one by its pid alone is left over from an earlier life, as in a container,
  // where every agent may be pid 1.
  if (now === "") return pid === process.pid ? undefined : pid
  return started === now ? pid : undefined
}

const readOrEmpty = (file: string): string => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

/** Takes the lock or fails at once. */
export const acquire = (file: string): Effect.Effect<Lock, Locked | LockFailed> =>
  Effect.suspend((): Effect.Effect<Lock, Locked | LockFailed> => {
    const content = `${process.pid}\n${startTime("self")}\n`
    const own = `${file}.${process.pid}.tmp`
    try {
      fs.writeFileSync(own, content, { mode: 0o600 })
      // A few rounds: each time around, another process has succeeded a dead owner just before us.
      for (let round = 0; round < 10; round++) {
        try {
          // A link, unlike a rename, fails when the name is taken, and shows the file with its content or not at all.
          fs.linkSync(own, file)
          return Effect.succeed({
            release: Effect.sync(() => {
              if (readOrEmpty(file) === content) fs.rmSync(file, { force: true })
            })
          })
        } catch (error) {
          if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
        }
        const found = readOrEmpty(file)
        const pid = holder(found)
        if (pid !== undefined) return Effect.fail(new Locked({ pid }))
        // Of several that find the same dead owner only one gets to move the file away; what was moved must be what
        // was read, else it was a living owner's, and goes back.
        const aside = `${file}.${process.pid}.stale`
        try {
          fs.renameSync(file, aside)
        } catch {
          continue
        }
        if (readOrEmpty(aside) !== found) {
          try {
            fs.linkSync(aside, file)
          } catch {
            // Someone else has the lock by now.
          }
        }
        fs.rmSync(aside, { force: true })
      }
      return Effect.fail(new LockFailed({ cause: new Error(`${file} is contended`) }))
    } catch (error) {
      return Effect.fail(new LockFailed({ cause: error }))
    } finally {
      fs.rmSync(own, { force: true })
    }
  })
