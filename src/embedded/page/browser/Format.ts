/** Figures as people read them. */

const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const

const rounded = (value: number) => value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)

const unitOf = (bytes: number) =>
  Math.max(0, Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10)))

export const bytes = (value: number): string => {
  const unit = unitOf(value)
  return `${rounded(value / 1024 ** unit)} ${units[unit]}`
}

/** `12.4 of 64 GiB`; in two units where the part is too small for the unit of the whole: `307 GiB of 1.5 TiB`. */
export const bytesOf = (part: number, whole: number): string => {
  const unit = unitOf(whole)
  return part > 0 && unitOf(part) !== unit
    ? `${bytes(part)} of ${bytes(whole)}`
    : `${rounded(part / 1024 ** unit)} of ${bytes(whole)}`
}

/** The two largest units of a duration: `3 d 4 h`. */
export const duration = (seconds: number): string => {
  const parts: ReadonlyArray<readonly [number, string]> = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"]
  ]
  const first = parts.findIndex(([count]) => count > 0)
  return first < 0
    ? "0 s"
    : parts.slice(first, first + 2).filter(([count]) => count > 0).map(([count, unit]) => `${count} ${unit}`).join(" ")
}

/** How long ago something was, to the second where that still matters. */
export const ago = (seconds: number): string => {
  const whole = Math.max(0, Math.floor(seconds))
  return `${duration(whole >= 600 ? whole - whole % 60 : whole)} ago`
}

export const moment = (unix: number): string => new Date(unix * 1000).toLocaleString()

/** Enough of an id to tell it from its neighbours. */
export const shortId = (id: string): string => id.length <= 13 ? id : `${id.slice(0, 8)}…`

export const count = (many: number, one: string, more = `${one}s`): string => `${many} ${many === 1 ? one : more}`
