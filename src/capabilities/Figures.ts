/** Reading figures that others print. What is not plainly a figure is unknown: `undefined`, never zero, never a throw. */
import * as Printable from "../text/Printable.js"

/** Without the properties that are `undefined`: for building values whose optional fields must be absent when unknown. */
export const known = <A extends object>(
  fields: A
):
  & { [K in keyof A as undefined extends A[K] ? never : K]: A[K] }
  & {
    [K in keyof A as undefined extends A[K] ? K : never]?: Exclude<A[K], undefined>
  } =>
{
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) result[key] = value
  // `Object.entries` forgets the names: the type above says what the loop does.
  return result as ReturnType<typeof known<A>>
}

/**
 * For the constructors of the data model: everything that is read goes through the functions of this module, and a
 * second look costs milliseconds at start-up. The tests take it, for whatever a machine may say.
 */
export const checked = { disableValidation: true } as const

/** The figure if it is finite and between the bounds (both allowed). */
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

/** Text as it may be shown: printable, on one line, at most `length` characters; `undefined` when nothing is left. */
export const printable = (text: string | undefined, length = 256): string | undefined => {
  const clean = text === undefined ? undefined : Printable.printable(text).trim().slice(0, length).toWellFormed().trim()
  return clean === undefined || clean === "" ? undefined : clean
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
