/**
 * Reading what the kernel provides through files.
 *
 * Two ways: {@link KernelFiles} reads at once and is for files which the kernel answers from its own memory (`/proc`,
 * cgroups, DMI); {@link DeviceFiles} reads off the event loop and is for files that a device driver or a network file
 * system answers, which may take for ever.
 */
import * as Effect from "effect/Effect"
import * as fs from "node:fs"
import type { Finding } from "../node/NodeCapabilities.js"
import { finding } from "../node/Findings.js"
import * as SystemError from "../text/SystemError.js"

/** More than any file read here holds: `/proc/cpuinfo` of a machine with 1,024 threads has about 1.5 MiB. */
const maxBytes = 4 * 1024 * 1024

/** As many unreadable files as are reported at once. */
const maxFindings = 64

/** What it means when a file is not there, or has nothing to say: that is no fact, and nothing is wrong. */
const absences = new Set([
  "ENOENT",
  "ENOTDIR",
  "ENODEV",
  "ENXIO",
  "EINVAL",
  "EOPNOTSUPP",
  "ENOTSUP",
  "ENODATA",
  "EISDIR"
])

/** The system has no room for the call: no file descriptor, no memory. It says nothing about the file. */
const refusals = new Set(["EMFILE", "ENFILE", "ENOMEM", "EAGAIN"])

/** The path below a prefix that tests put in front of `/proc`, `/sys` and `/etc`. */
const below = (root: string, path: string): string => root === "/" || root === "" ? path : `${root}${path}`

const reasons: Readonly<Record<string, string>> = {
  EIO: "the device does not answer",
  ETIMEDOUT: "the device did not answer in time"
}

const unreadable = (path: string, code: string): Finding =>
  finding({
    code: "file.unreadable",
    severity: "warning",
    subject: path,
    message: `Cannot read ${path}: ${SystemError.reasonOf(code, reasons)} (${code}).`,
    remedy: refusals.has(code)
      ? "Raise the limits of the agent's user (ulimit -n), or find out what uses them up."
      : code === "EACCES" || code === "EPERM"
      ? "Let the user that runs the agent read this file, or run the agent as root."
      : "Check the kernel log (dmesg) for what the device or the file system reports."
  })

/** Why a read failed, when that is worth a finding. */
const problemOf = (path: string, cause: unknown): Finding | undefined => {
  const code = SystemError.codeOf(cause) ?? "EUNKNOWN"
  return absences.has(code) ? undefined : unreadable(path, code)
}

/** Reads files at once; a file that is not there is `undefined`, one that cannot be read is also a finding. */
export interface KernelFiles {
  readonly text: (path: string) => string | undefined
  /** The first line of a file, without the white space and NULs around it; `undefined` when that is empty. */
  readonly line: (path: string) => string | undefined
  /** The names in a directory, sorted; none when it is not there. */
  readonly list: (path: string) => ReadonlyArray<string>
  readonly exists: (path: string) => boolean
  /** The last part of what a symbolic link points to. */
  readonly link: (path: string) => string | undefined
  /** One finding per file that is there but could not be read, since this reader was made. */
  readonly findings: () => ReadonlyArray<Finding>
  /** Whether a read was refused for want of file descriptors or memory, so that facts may be missing. */
  readonly wasRefused: () => boolean
}

/** The first line of a text, without the white space and NULs around it; `undefined` when that is empty. */
export const firstLine = (text: string | undefined): string | undefined => {
  const line = text?.split("\n", 1)[0]?.replaceAll("\0", "").trim()
  return line === undefined || line === "" ? undefined : line
}

/** Scratch space: reads are synchronous, and copy what they keep. */
const buffer = Buffer.allocUnsafeSlow(64 * 1024)

/** Reads to the end, whatever size the file claims: most files of the kernel claim none. */
const readNow = (path: string): string => {
  // Not to wait for a writer, should there be a pipe where a file is expected.
  const descriptor = fs.openSync(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0))
  try {
    const first = fs.readSync(descriptor, buffer, 0, buffer.length, null)
    if (first < 4096) return buffer.toString("utf8", 0, first)
    const parts = [Buffer.from(buffer.subarray(0, first))]
    for (let total = first; total < maxBytes;) {
      const more = fs.readSync(descriptor, buffer, 0, Math.min(buffer.length, maxBytes - total), null)
      if (more === 0) break
      parts.push(Buffer.from(buffer.subarray(0, more)))
      total += more
    }
    return Buffer.concat(parts).toString("utf8")
  } finally {
    fs.closeSync(descriptor)
  }
}

/** A reader for one look at the machine, with `root` in front of every path. */
export const kernelFiles = (root: string): KernelFiles => {
  const problems = new Map<string, Finding>()
  let refused = false
  const attempt = <A>(path: string, read: (path: string) => A): A | undefined => {
    const real = below(root, path)
    // Most files that are looked for are not there, and an exception costs more than a question.
    if (!fs.existsSync(real)) return undefined
    try {
      return read(real)
    } catch (cause) {
      const problem = problemOf(path, cause)
      if (problem !== undefined && problems.size < maxFindings) problems.set(path, problem)
      refused ||= refusals.has(SystemError.codeOf(cause) ?? "")
      return undefined
    }
  }
  const text = (path: string) => attempt(path, readNow)
  return {
    text,
    line: (path) => firstLine(text(path)),
    list: (path) => (attempt(path, (real) => fs.readdirSync(real)) ?? []).sort(),
    exists: (path) => fs.existsSync(below(root, path)),
    link: (path) => attempt(path, (real) => fs.readlinkSync(real))?.split("/").at(-1),
    findings: () => [...problems.values()],
    wasRefused: () => refused
  }
}

/**
 * Reads files off the event loop, one at a time. A read that never ends is left to itself and never started again
 * before it has ended, so that a wedged driver costs one thread and not all of them.
 */
export interface DeviceFiles {
  readonly text: (path: string) => Effect.Effect<string | undefined>
  readonly line: (path: string) => Effect.Effect<string | undefined>
  readonly list: (path: string) => Effect.Effect<ReadonlyArray<string>>
  readonly exists: (path: string) => Effect.Effect<boolean>
  readonly link: (path: string) => Effect.Effect<string | undefined>
  /** Size of a file system in bytes, and what is free to an unprivileged user. */
  readonly space: (
    path: string
  ) => Effect.Effect<{ readonly totalBytes: number; readonly freeBytes: number } | undefined>
  /** What could not be read since it was asked last. */
  readonly takeFindings: Effect.Effect<ReadonlyArray<Finding>>
  /** The path that a read of ours hangs on. */
  readonly stuck: () => string | undefined
}

/** A reader for one probe, which lasts as long as the probe does. */
export const deviceFiles = (root: string): DeviceFiles => {
  let problems = new Map<string, Finding>()
  const pending = new Set<string>()
  const attempt = <A>(path: string, read: (path: string) => Promise<A>): Effect.Effect<A | undefined> =>
    Effect.suspend(() => {
      // Whatever hangs is asked nothing more; the deadline of the probe ends the wait.
      if (pending.size > 0) return Effect.never
      pending.add(path)
      return Effect.promise(() =>
        read(below(root, path)).then(
          (value): A | undefined => value,
          (cause: unknown) => {
            const problem = problemOf(path, cause)
            if (problem !== undefined && problems.size < maxFindings) problems.set(path, problem)
            return undefined
          }
        ).finally(() => pending.delete(path))
      )
    })
  const text = (path: string) =>
    attempt(path, async (real) => {
      const handle = await fs.promises.open(real, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0))
      try {
        const parts: Array<Buffer> = []
        // Files of devices fit into one page; a list of names is larger.
        for (let total = 0, size = 4096; total < maxBytes; size = 256 * 1024) {
          const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(size), 0, size, null)
          if (bytesRead === 0) break
          parts.push(buffer.subarray(0, bytesRead))
          total += bytesRead
        }
        return Buffer.concat(parts).toString("utf8")
      } finally {
        await handle.close()
      }
    })
  return {
    text,
    line: (path) => Effect.map(text(path), firstLine),
    list: (path) => Effect.map(attempt(path, (real) => fs.promises.readdir(real)), (names) => (names ?? []).sort()),
    exists: (path) => Effect.map(attempt(path, (real) => fs.promises.stat(real)), (found) => found !== undefined),
    link: (path) =>
      Effect.map(attempt(path, (real) => fs.promises.readlink(real)), (target) => target?.split("/").at(-1)),
    space: (path) =>
      Effect.map(attempt(path, (real) => fs.promises.statfs(real)), (found) =>
        found === undefined
          ? undefined
          : { totalBytes: found.blocks * found.bsize, freeBytes: found.bavail * found.bsize }),
    takeFindings: Effect.sync(() => {
      const taken = [...problems.values()]
      problems = new Map()
      return taken
    }),
    stuck: () => [...pending][0]
  }
}
