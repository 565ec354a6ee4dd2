/** Reads untrusted JSON without assumptions about its form. */
import * as Printable from "../text/Printable.js"

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The value, if it is an object; an empty one otherwise. */
export const objectOf = (value: unknown): JsonObject => isObject(value) ? value : {}

/** The value's objects, if it is an array; at most `limit` of them. */
export const objectsOf = (value: unknown, limit: number): ReadonlyArray<JsonObject> =>
  Array.isArray(value) ? value.slice(0, limit).filter(isObject) : []

/** The value, if it is text that says something: neither empty nor "N/A". */
export const textOf = (value: unknown): string | undefined =>
  typeof value === "string" && !/^\s*n\/?a\s*$/i.test(value) ? Printable.label(value) : undefined

/** The first JSON value in a text that may have warnings before it; `undefined` when there is none. */
export const parseJson = (text: string): unknown => {
  const start = text.search(/[[{]/)
  if (start < 0) return undefined
  for (const candidate of [text.slice(start), text.slice(Math.max(start, text.search(/^[[{]/m)))]) {
    try {
      return JSON.parse(candidate) as unknown
    } catch {
      // The bracket was part of a warning; or this is no JSON.
    }
  }
  return undefined
}
