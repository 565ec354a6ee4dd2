/** Byte counts as people write them. */

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const

/** In the largest binary unit that keeps it at 1 or above, with one decimal below 100: `512 B`, `1.5 KiB`, `140 GiB`. */
export const format = (bytes: number): string => {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[unit] ?? ""}`
}
