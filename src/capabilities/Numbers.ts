/** Parsing numbers that tools and files print. What is not plainly a number is `undefined`: never zero, never a throw. */

/** The number if it is finite and between the bounds, inclusive. */
export const within = (value: number | undefined, low: number, high: number): number | undefined =>
  value !== undefined && Number.isFinite(value) && value >= low && value <= high ? value : undefined

/** A whole number in decimal digits, with nothing else but white space around it. */
export const wholeNumber = (text: string | undefined): number | undefined => {
  const digits = text?.trim()
  if (digits === undefined || !/^\d{1,16}$/.test(digits)) return undefined
  const value = Number(digits)
  return Number.isSafeInteger(value) ? value : undefined
}

/** A whole number above zero. */
export const positiveInteger = (text: string | undefined): number | undefined => {
  const value = wholeNumber(text)
  return value === 0 ? undefined : value
}

/** A decimal number that is not negative, with a point or a comma, and one unit after it at most: `75.21 W`, `75,21`. */
export const decimal = (text: string | undefined): number | undefined => {
  const match = /^\s*(\d{1,15})(?:[.,](\d{1,12}))?\s*(?:[A-Za-z%°]{1,4})?\s*$/.exec(text ?? "")
  return match === null ? undefined : Number(`${match[1]}.${match[2] ?? "0"}`)
}

/** A number of bytes, rounded; `undefined` for what no machine has (zero, or beyond 1 PiB). */
export const bytes = (value: number | undefined): number | undefined => {
  const whole = value === undefined ? undefined : Math.round(value)
  return within(whole, 1, 2 ** 50)
}

/** The members of a list such as `0-3,8,10-11`; empty when it is not one or has more than 65,536 members. */
export const rangeList = (text: string | undefined): ReadonlyArray<number> => {
  const members: Array<number> = []
  for (const part of (text ?? "").trim().split(",")) {
    const match = /^\s*(\d{1,6})(?:-(\d{1,6}))?\s*$/.exec(part)
    if (match === null) return []
    const first = Number(match[1])
    const last = match[2] === undefined ? first : Number(match[2])
    if (last < first || members.length + last - first > 65_535) return []
    for (let member = first; member <= last; member++) members.push(member)
  }
  return [...new Set(members)]
}
