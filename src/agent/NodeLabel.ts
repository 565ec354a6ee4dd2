/** Labels of a node, as `key=value`: how people tell machines apart and choose among them. */
import * as Either from "effect/Either"
import type { Format } from "../config/SettingFormat.js"

export interface NodeLabel {
  readonly key: string
  readonly value: string
}

/** The limit of labels per node. */
export const maxLabels = 64

/** Letters, digits, dots, dashes, underscores and slashes, the first and last a letter or digit. */
const keyPattern = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?$/

/** Up to 253 characters, none of them a control character; may be empty. */
const valuePattern = /^[^\p{C}\u2028\u2029]{0,253}$/u

const expected =
  "key=value with a key of 1 to 63 letters, digits, '.', '-', '_' or '/', and a value of at most 253 characters"

export const format: Format<NodeLabel> = {
  placeholder: "key=value",
  expected,
  json: { type: "string", minLength: 2, maxLength: 317, examples: ["zone=rack-3", "owner=vision"] },
  parse: (text) => {
    const at = text.indexOf("=")
    const label = { key: text.slice(0, Math.max(0, at)), value: text.slice(at + 1) }
    return at > 0 && keyPattern.test(label.key) && valuePattern.test(label.value)
      ? Either.right(label)
      : Either.left(expected)
  },
  print: ({ key, value }) => `${key}=${value}`
}

/** By key; the last of several labels with the same key wins. */
export const toRecord = (labels: ReadonlyArray<NodeLabel>): Readonly<Record<string, string>> =>
  Object.fromEntries(labels.map(({ key, value }) => [key, value]))
