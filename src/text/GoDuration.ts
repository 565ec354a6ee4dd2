/** Durations as Go writes them: `500ms`, `5s`, `1m30s`, `1.5h`. */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const millisPerUnit: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "µs": 1e-3,
  "μs": 1e-3,
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000
}

const part = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/y

/** Reads a duration that is not negative; a bare `0` needs no unit, any other number does. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  if (text === "0") return Option.some(Duration.zero)
  let millis = 0
  let position = 0
  while (position < text.length) {
    part.lastIndex = position
    const match = part.exec(text)
    if (match === null) return Option.none()
    millis += Number(match[1]) * (millisPerUnit[match[2] ?? ""] ?? Number.NaN)
    position = part.lastIndex
  }
  return position > 0 && Number.isFinite(millis) ? Option.some(Duration.millis(millis)) : Option.none()
}

/** Writes a duration as Go does, to the millisecond: `1m30s`. */
export const format = (duration: Duration.Duration): string => {
  const millis = Math.round(Duration.toMillis(duration))
  if (millis < 1_000) return millis === 0 ? "0s" : `${millis}ms`
  const hours = Math.floor(millis / 3_600_000)
  const minutes = Math.floor((millis % 3_600_000) / 60_000)
  const seconds = (millis % 60_000) / 1_000
  return [
    hours > 0 ? `${hours}h` : "",
    minutes > 0 ? `${minutes}m` : "",
    seconds > 0 ? `${seconds}s` : ""
  ].join("")
}
