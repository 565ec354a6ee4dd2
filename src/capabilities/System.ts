/** What Node.js asks the system for. A call that is refused, for want of file descriptors say, is a missing fact. */
import * as os from "node:os"

const attempt = <A>(call: () => A, fallback: A): A => {
  try {
    return call()
  } catch {
    return fallback
  }
}

/** The models of the processors, one per hardware thread; none when they cannot be listed. */
export const processorModels = (): ReadonlyArray<string> => attempt(() => os.cpus().map(({ model }) => model), [])

export const hostname = (): string => attempt(() => os.hostname(), "unknown")

/** Of the kernel. */
export const release = (): string => attempt(() => os.release(), "unknown")

export const version = (): string | undefined => attempt(() => os.version(), undefined)

/** In seconds. The monotonic clock counts from the boot, too, but for the time that the machine slept. */
export const uptime = (): number => attempt(() => os.uptime(), Number(process.hrtime.bigint() / 1_000_000_000n))

/** In bytes. */
export const totalMemory = (): number => attempt(() => os.totalmem(), 0)

/** In bytes. */
export const freeMemory = (): number => attempt(() => os.freemem(), 0)
