/** Where the texts of settings come from: the command line, the environment, a program. */
import * as Data from "effect/Data"
import { nearest } from "../text/Nearest.js"
import { quoted } from "../text/Printable.js"

export interface Source {
  /** How errors name it: `from the command line`. */
  readonly origin: (name: string) => string
  /** The texts given for a setting, the last one winning; none when the source does not set it. */
  readonly lookup: (name: string) => ReadonlyArray<string>
}

/** A program gave a setting that does not exist. */
export class UnknownSetting extends Data.TaggedError("UnknownSetting")<{
  readonly name: string
  /** The most similar name that exists. */
  readonly nearest: string | undefined
}> {
  override get message(): string {
    return `there is no setting ${quoted(this.name)}${
      this.nearest === undefined ? "" : ` (did you mean ${quoted(this.nearest)}?)`
    }`
  }
}

/** The environment variable that sets a setting. */
export const environmentVariable = (name: string): string => `ORCHION_${name.toUpperCase().replaceAll("-", "_")}`

/** Own properties only: a name such as `constructor` is not a setting. */
const own = <A>(values: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(values, name) ? values[name] : undefined

const one = (value: string | undefined): ReadonlyArray<string> => value === undefined ? [] : [value]

export const commandLine = (values: Readonly<Record<string, ReadonlyArray<string>>>): Source => ({
  origin: () => "from the command line",
  lookup: (name) => own(values, name) ?? []
})

export const environment = (variables: Readonly<Record<string, string | undefined>>): Source => ({
  origin: (name) => `from ${environmentVariable(name)}`,
  lookup: (name) => one(variables[environmentVariable(name)])
})

/** Values that a program gives, by the settings' names. */
export const program = (values: Readonly<Record<string, string | undefined>>): Source => ({
  origin: () => "from the program",
  lookup: (name) => one(own(values, name))
})

/** Values that the program fixes or prefers, with its own description of their origin. */
export const fixed = (origin: string, values: Readonly<Record<string, string>>): Source => ({
  origin: () => origin,
  lookup: (name) => one(own(values, name))
})

/** Names of `ORCHION_…` variables that belong to none of these settings: most likely misspelled. */
export const unknownVariables = (
  variables: Readonly<Record<string, string | undefined>>,
  names: Iterable<string>
): ReadonlyArray<string> => {
  const known = new Set([...names].map(environmentVariable))
  return Object.keys(variables).filter((name) => name.startsWith("ORCHION_") && !known.has(name)).sort()
}

/** The first name that is not one of these settings. */
export const unknownName = (given: Iterable<string>, names: Iterable<string>): UnknownSetting | undefined => {
  const known = new Set(names)
  for (const name of given) {
    if (!known.has(name)) return new UnknownSetting({ name, nearest: nearest(name, known) })
  }
  return undefined
}
