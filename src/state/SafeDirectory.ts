/** A directory in which only this user and root can replace files. */
import * as fs from "node:fs"
import * as path from "node:path"
import * as Data from "effect/Data"
import { isTrusted } from "./StateFile.js"

/** Another user can replace files in the directory. */
export class UnsafeDirectory extends Data.TaggedError("UnsafeDirectory")<{
  /** In a few words. */
  readonly problem: string
  /** To follow "give". */
  readonly remedy: string
}> {
  override get message(): string {
    return this.problem
  }
}

/**
 * Makes a directory and those above it. (Node's own recursive form never returns where a file system answers ENOENT to
 * a directory whose parent exists, as /proc does.)
 */
const create = (directory: string): void => {
  if (fs.existsSync(directory)) {
    if (!fs.statSync(directory).isDirectory()) throw Object.assign(new Error("a file"), { code: "ENOTDIR" })
    return
  }
  create(path.dirname(directory))
  fs.mkdirSync(directory, { mode: 0o700 })
}

/** A group whose only member is, by convention, the user: it has the user's number, or is root's. */
const isPrivateGroup = (gid: number): boolean => gid === 0 || gid === process.geteuid?.()

/** Makes the directory where it is missing, with mode 0700. Throws {@link UnsafeDirectory} or the system's error. */
export const open = (directory: string): void => {
  create(directory)
  // Windows has no owner and no mode.
  if (process.geteuid === undefined) return
  const { gid, mode, uid } = fs.statSync(directory)
  if (!isTrusted(uid)) {
    throw new UnsafeDirectory({
      problem: `it belongs to another user (uid ${uid})`,
      remedy: `a directory of this user's own, or run: chown ${process.geteuid()} ${directory}`
    })
  }
  // In a sticky directory, as a tmpfs is, others can add files, which are not trusted, but not replace ours.
  const isSticky = (mode & 0o1000) !== 0
  const isOpen = !isSticky && ((mode & 0o002) !== 0 || ((mode & 0o020) !== 0 && !isPrivateGroup(gid)))
  if (isOpen) {
    throw new UnsafeDirectory({
      problem: `other users may write to it (mode ${(mode & 0o7777).toString(8).padStart(4, "0")})`,
      remedy: `a directory of this user's own, or run: chmod go-w ${directory}`
    })
  }
}
