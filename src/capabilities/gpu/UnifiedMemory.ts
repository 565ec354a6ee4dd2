/** The memory of a GPU that is part of a processor: what is its own, and what it may take of the system's. */
import { known } from "../../node/Fields.js"

/** In bytes, as the driver reports them. */
export interface MemoryPools {
  /** Set aside for the GPU by the firmware, or all there is, where processor and GPU share one memory. */
  readonly ownTotal: number | undefined
  readonly ownUsed: number | undefined
  /** What the driver may map of the system's memory. */
  readonly sharedTotal: number | undefined
  readonly sharedUsed: number | undefined
}

/**
 * What the GPU can use and uses. The pools add up where the first is set aside; but on some processors they are the same
 * memory seen twice, which shows in a sum that is more than the system has. Such pools count once, and none is larger
 * than the system's memory (`systemBytes`, which does not include what is set aside).
 */
export const unifiedMemory = (
  pools: MemoryPools,
  systemBytes: number | undefined
): { readonly totalBytes?: number; readonly usedBytes?: number } => {
  const { ownTotal, ownUsed, sharedUsed } = pools
  if (ownTotal === undefined) return {}
  const sharedTotal = Math.min(pools.sharedTotal ?? 0, systemBytes ?? Number.POSITIVE_INFINITY)
  const isSetAside = systemBytes === undefined || ownTotal > systemBytes
  const overlap = !isSetAside && ownTotal + sharedTotal > systemBytes
  const totalBytes = overlap ? Math.max(ownTotal, sharedTotal) : ownTotal + sharedTotal
  const join = overlap ? Math.max : (a: number, b: number) => a + b
  const usedBytes = ownUsed === undefined ? undefined : Math.min(totalBytes, join(ownUsed, sharedUsed ?? 0))
  return known({ totalBytes, usedBytes })
}
