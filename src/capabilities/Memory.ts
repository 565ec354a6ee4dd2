/** The main memory of the machine. */
import { known } from "../node/Fields.js"
import { wholeNumber } from "./Numbers.js"

/** Bytes, as `MemoryInfo` has them, but for the limit of our cgroup. */
export interface MemoryFacts {
  readonly totalBytes?: number
  readonly availableBytes?: number
  readonly swapTotalBytes?: number
  readonly swapFreeBytes?: number
}

/** Reads the text of `/proc/meminfo`. */
export const parseMeminfo = (text: string): MemoryFacts => {
  const amounts = new Map<string, number>()
  for (const line of text.split("\n")) {
    const match = /^([A-Za-z]+):\s*(\d+) kB\s*$/.exec(line)
    const kibibytes = wholeNumber(match?.[2])
    const total = kibibytes === undefined ? undefined : kibibytes * 1024
    if (match?.[1] !== undefined && total !== undefined && Number.isSafeInteger(total)) amounts.set(match[1], total)
  }
  const total = amounts.get("MemTotal")
  const free = amounts.get("MemFree")
  // Kernels before 3.14 leave the sum to us.
  const available = amounts.get("MemAvailable")
    ?? (free === undefined ? undefined : free + (amounts.get("Buffers") ?? 0) + (amounts.get("Cached") ?? 0))
  const swapTotal = amounts.get("SwapTotal")
  const swapFree = amounts.get("SwapFree")
  return known({
    totalBytes: total === 0 ? undefined : total,
    availableBytes: total === undefined || available === undefined ? available : Math.min(available, total),
    swapTotalBytes: swapTotal,
    swapFreeBytes: swapTotal === undefined || swapFree === undefined ? swapFree : Math.min(swapFree, swapTotal)
  })
}
