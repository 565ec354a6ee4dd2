/**
 * Files in a directory that another user may have prepared: links are not followed, and only regular files of our own
 * are read, up to a bound. A FIFO or a device in place of a file is an error; reading it would block.
 */
import { randomBytes } from "node:crypto"
import * as fs from "node:fs"
import * as path from "node:path"
import * as Data from "effect/Data"
import * as SystemError from "../text/SystemError.js"

/** In place of a file is something that this agent neither wrote nor reads. */
export class UnsafeFile extends Data.TaggedError("UnsafeFile")<{
  /** Completes "it …": `is a FIFO, not a file`. */
  readonly problem: string
  /** What to do about it. */
  readonly remedy: string
}> {
  override get message(): string {
    return `it ${this.problem}`
  }
}

// Windows has none of them.
const { O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } = fs.constants
const O_NOFOLLOW = fs.constants.O_NOFOLLOW ?? 0
const O_NONBLOCK = fs.constants.O_NONBLOCK ?? 0

const unsafe = (problem: string, remedy = "remove it") => new UnsafeFile({ problem, remedy })

/** Whether files of this owner can be trusted: this user, or root. */
export const isTrusted = (uid: number): boolean => {
  const own = process.geteuid?.()
  return own === undefined || uid === own || uid === 0
}

const kindOf = (stats: fs.Stats): string => {
  if (stats.isDirectory()) return "directory"
  if (stats.isFIFO()) return "FIFO"
  if (stats.isSocket()) return "socket"
  return stats.isCharacterDevice() || stats.isBlockDevice() ? "device" : "special file"
}

const openRegular = (file: string): number | undefined => {
  try {
    // Without O_NONBLOCK, opening a FIFO waits for its writer.
    return fs.openSync(file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch (error) {
    switch (SystemError.codeOf(error)) {
      case "ENOENT":
        return undefined
      case "ELOOP":
      case "EMLINK":
        throw unsafe("is a symbolic link, not a file", "put the file itself in its place")
      case "ENXIO":
        throw unsafe("is a socket, not a file")
      default:
        throw error
    }
  }
}

/**
 * The text of a file of our own of at most `maxBytes`; `undefined` when there is none. Throws {@link UnsafeFile} or the
 * system's error. What is not UTF-8 is read as replacement characters.
 */
export const read = (file: string, maxBytes: number): string | undefined => {
  const handle = openRegular(file)
  if (handle === undefined) return undefined
  try {
    const stats = fs.fstatSync(handle)
    if (!stats.isFile()) throw unsafe(`is a ${kindOf(stats)}, not a file`)
    if (!isTrusted(stats.uid)) {
      throw unsafe(`belongs to another user (uid ${stats.uid})`, "remove it, or run the agent as that user")
    }
    // The size may grow while we read: the bytes that are read count.
    const buffer = Buffer.allocUnsafe(Math.min(stats.size, maxBytes) + 1)
    let length = 0
    while (length < buffer.length) {
      const count = fs.readSync(handle, buffer, length, buffer.length - length, null)
      if (count === 0) return buffer.toString("utf8", 0, length)
      length += count
    }
    throw unsafe(`is larger than ${maxBytes} bytes`)
  } finally {
    fs.closeSync(handle)
  }
}

/** Creates a file, with mode 0600, and syncs it to the disk. Fails if it exists. */
const create = (file: string, text: string): void => {
  const handle = fs.openSync(file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
  try {
    // Unlike writeSync, it continues after a partial write.
    fs.writeFileSync(handle, text)
    // Without it a power cut can leave the new name with no content behind it.
    fs.fsyncSync(handle)
  } finally {
    fs.closeSync(handle)
  }
}

/** Removes a file if it is there. (`rmSync` of Node 24 loses the code of the system's error.) */
export const remove = (file: string): void => {
  try {
    fs.unlinkSync(file)
  } catch (error) {
    if (SystemError.codeOf(error) !== "ENOENT") throw error
  }
}

/** Creates a file with an unpredictable name; the caller removes or renames it. */
export const createTemporary = (file: string, text: string): string => {
  const temporary = `${file}.${randomBytes(6).toString("hex")}.tmp`
  try {
    create(temporary, text)
    return temporary
  } catch (error) {
    remove(temporary)
    throw error
  }
}

/** Writes a file that exists whole or not at all, with mode 0600; whatever was in its place is replaced, links included. */
export const write = (file: string, text: string): void => {
  const temporary = createTemporary(file, text)
  try {
    fs.renameSync(temporary, file)
  } catch (error) {
    remove(temporary)
    throw error
  }
  syncDirectory(path.dirname(file))
}

/** So that the new name survives a power cut. Some file systems cannot. */
const syncDirectory = (directory: string): void => {
  try {
    const handle = fs.openSync(directory, O_RDONLY)
    try {
      fs.fsyncSync(handle)
    } finally {
      fs.closeSync(handle)
    }
  } catch {
    // The new name may not survive a power cut here.
  }
}
