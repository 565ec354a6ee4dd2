/**
 * A lock of a process on a directory, which a killed process does not keep.
 *
 * A file names the owner by pid and start time, and the name of a Unix socket that the owner listens on. A lock whose
 * owner no longer runs and no longer listens is taken over. The socket is for two containers that share a volume: each
 * may be pid 1, and neither sees the other's processes.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as SystemError from "../text/SystemError.js"
import * as LockSocket from "./LockSocket.js"
import * as StateFile from "./StateFile.js"

/** Another process holds the lock. */
export class Locked extends Data.TaggedError("Locked")<{ readonly pid: number }> {}

/** The lock file cannot be made. */
export class LockFailed extends Data.TaggedError("LockFailed")<{ readonly cause: unknown }> {}

export interface Lock {
  /** Whether the lock file is still in place, and ours. Throws the system's error where that cannot be determined. */
  readonly isHeld: () => boolean
  /** Fails with the system's error when the files cannot be removed; the lock is released all the same. */
  readonly release: Effect.Effect<void, unknown>
}

/** The lock's file names, in its directory. */
export const lockName = "agent.lock"
export const socketName = "agent.sock"

/** A pid, a start time and the name of a socket. */
const maxBytes = 1024

/**
 * When a process started, in a system-specific unit; with the pid it identifies a process, as pids are reused. Empty
 * where the system does not provide it.
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
    // A process that we may not signal exists all the same.
    return SystemError.codeOf(error) === "EPERM"
  }
}

/** What a lock file says. */
export interface Owner {
  readonly pid: number
  /** Empty where the system did not provide it. */
  readonly startedAt: string
  /** The name of its socket before the lock was taken; `undefined` where it has none. */
  readonly socket: string | undefined
}

/** `undefined` for what is not a lock's content. */
export const parse = (content: string): Owner | undefined => {
  const [line = "", startedAt = "", socket = ""] = content.split("\n")
  if (!/^\d{1,10}$/.test(line) || Number(line) <= 0) return undefined
  return {
    pid: Number(line),
    startedAt,
    // It becomes a path.
    socket: /^agent\.[0-9a-f]{12}\.sock$/.test(socket) ? socket : undefined
  }
}

/** Whether the owner is a process that this one can see. */
const isSeen = ({ pid, startedAt }: Owner): boolean => {
  if (!isRunning(pid)) return false
  const now = startTime(pid)
  // A lock with this process's own pid but no start time was left by an earlier process, as in a container, where every
  // agent may be pid 1.
  return now === "" ? pid !== process.pid : startedAt === now
}

/** The owner has renamed its socket when it took the lock, or is about to. */
const listens = (directory: string, { socket }: Owner): Effect.Effect<boolean> =>
  socket === undefined
    ? Effect.succeed(false)
    : Effect.if(LockSocket.isAlive(path.join(directory, socket)), {
      onTrue: () => Effect.succeed(true),
      onFalse: () => LockSocket.isAlive(path.join(directory, socketName))
    })

const attempt = <A>(work: () => A): Effect.Effect<A, LockFailed> =>
  Effect.try({ try: work, catch: (cause) => new LockFailed({ cause }) })

/** Gives the prepared file the lock's name; false when the name is taken. */
const link = (own: string, file: string): Effect.Effect<boolean, LockFailed> =>
  attempt(() => {
    try {
      // A link, unlike a rename, fails when the name is taken, and shows the file with its content or not at all.
      fs.linkSync(own, file)
      return true
    } catch (error) {
      if (SystemError.codeOf(error) === "EEXIST") return false
      throw error
    }
  })

/**
 * Moves the lock of an owner that is gone out of the way. Of several processes that find it only one succeeds; if the
 * moved file is not the one that was read, it belongs to a running owner and is put back.
 */
const moveAway = (directory: string, file: string, found: string, owner: Owner | undefined) =>
  attempt(() => {
    const aside = `${file}.${randomBytes(6).toString("hex")}.stale`
    try {
      fs.renameSync(file, aside)
    } catch (error) {
      if (SystemError.codeOf(error) === "ENOENT") return
      throw error
    }
    if (StateFile.read(aside, maxBytes) === found) {
      if (owner?.socket !== undefined) StateFile.remove(path.join(directory, owner.socket))
    } else {
      try {
        fs.linkSync(aside, file)
      } catch {
        // Someone else has the lock by now.
      }
    }
    StateFile.remove(aside)
  })

/** Removes a file; returns the error, if any. */
const remove = (file: string): unknown => {
  try {
    StateFile.remove(file)
    return undefined
  } catch (error) {
    return error
  }
}

/** In each round another process took over the lock just before us. */
const maxRounds = 10

/** Takes the lock of a directory or fails at once. */
export const acquire = (directory: string): Effect.Effect<Lock, Locked | LockFailed> =>
  Effect.gen(function*() {
    const file = path.join(directory, lockName)
    const privateSocket = `agent.${randomBytes(6).toString("hex")}.sock`
    // It listens before the lock becomes visible, so that a running owner is never mistaken for a dead one.
    const socket = yield* Effect.mapError(
      LockSocket.listen(path.join(directory, privateSocket)),
      (cause) => new LockFailed({ cause })
    )
    const content = `${process.pid}\n${startTime("self")}\n${socket === undefined ? "" : privateSocket}\n`
    const giveUp = Effect.sync(() => {
      socket?.close()
      remove(path.join(directory, privateSocket))
    })

    const take = Effect.gen(function*() {
      const own = yield* attempt(() => StateFile.createTemporary(file, content))
      yield* Effect.gen(function*() {
        for (let round = 0; round < maxRounds; round++) {
          if (yield* link(own, file)) return
          const found = (yield* attempt(() => StateFile.read(file, maxBytes))) ?? ""
          const owner = parse(found)
          if (owner !== undefined && (isSeen(owner) || (yield* listens(directory, owner)))) {
            return yield* new Locked({ pid: owner.pid })
          }
          yield* moveAway(directory, file, found, owner)
        }
        return yield* new LockFailed({ cause: new Error(`${file} is contended`) })
      }).pipe(Effect.ensuring(Effect.sync(() => remove(own))))
      if (socket !== undefined) {
        yield* attempt(() => fs.renameSync(path.join(directory, privateSocket), path.join(directory, socketName)))
      }
    })
    yield* Effect.onError(take, () => giveUp)

    const isHeld = () => StateFile.read(file, maxBytes) === content
    return {
      isHeld,
      release: Effect.suspend(() => {
        let failure: unknown
        try {
          // What another has taken over is not ours to remove.
          if (isHeld()) {
            failure = socket === undefined ? undefined : remove(path.join(directory, socketName))
            failure ??= remove(file)
          }
        } catch (error) {
          failure = error
        }
        socket?.close()
        return failure === undefined ? Effect.void : Effect.fail(failure)
      })
    }
  }).pipe(Effect.uninterruptible)
