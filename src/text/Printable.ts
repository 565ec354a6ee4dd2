/**
 * Text from elsewhere made safe to show: on a terminal, in a log line, in JSON, in an error.
 *
 * A terminal obeys control characters and escape sequences, bidirectional overrides disguise text, and half a surrogate
 * pair is not valid UTF-8.
 */

/** What a terminal obeys: colours, titles, cursor movements. Each alternative is linear in the text. */
const escapes =
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]?|\u001b[\]P^_X][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c)?|\u001b[ -/]*[0-~]?/g

/** C0 and C1 controls, line and paragraph separators. */
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g

/** Marks, embeddings, overrides and isolates of text direction. */
const directions = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

/** On one line, without anything that a terminal would obey; runs of control characters become one space. */
export const printable = (text: string): string =>
  text.replace(escapes, "").replace(controls, " ").replace(directions, "").toWellFormed()

/** The first `length` UTF-16 code units, never half a surrogate pair, with `…` where something was cut. */
export const cut = (text: string, length: number): string => {
  if (text.length <= length) return text
  const end = /[\ud800-\udbff]/.test(text.charAt(length - 1)) ? length - 1 : length
  return `${text.slice(0, end)}…`
}

/** A clause written to follow a colon, as a sentence of its own. */
export const capitalized = (clause: string): string => clause.charAt(0).toUpperCase() + clause.slice(1)

/** {@link printable} with white space collapsed, at most `length` characters. */
export const oneLine = (text: string, length = 500): string =>
  // Cut first: there is no need to clean a megabyte.
  cut(printable(text.slice(0, length * 4)).replace(/\s+/g, " ").trim(), length)

/** {@link oneLine} of a short text that may be missing; `undefined` when the result is empty. */
export const label = (text: string | undefined, length = 256): string | undefined => {
  const clean = text === undefined ? "" : oneLine(text, length)
  return clean === "" ? undefined : clean
}

/**
 * A text in double quotes for an error, on one line, with invisible characters as `\u…`; cut after `length` characters.
 */
export const quoted = (text: string, length = 200): string =>
  JSON.stringify(cut(text, length)).replace(
    /\p{C}|[\u2028\u2029]/gu,
    (character) =>
      [...Array(character.length).keys()].map((at) => `\\u${character.charCodeAt(at).toString(16).padStart(4, "0")}`)
        .join("")
  )

/** What a terminal would obey of JSON, which escapes the other controls itself. */
const bareInJson = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

/** A value as JSON that a terminal shows and does not obey; it parses to the same value. */
export const json = (value: unknown, indent = 0): string =>
  JSON.stringify(value, null, indent)
    .replace(bareInJson, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)
