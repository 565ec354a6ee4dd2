/**
 * A setting: its name, what it means, what it may be, and how its text is read. The command's options, its help, the
 * environment's variables and every error about a value come from this one description.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { boolean, type Format } from "./SettingFormat.js"

/** `default`: always has a value; `optional`: may be unset; `many`: may be given several times, the values add up. */
export type Kind = "default" | "optional" | "many"

export interface Setting<A, K extends Kind = Kind> {
  readonly kind: K
  /** Lower case, with dashes, as in the flag: `heartbeat-interval`. */
  readonly name: string
  readonly description: string
  readonly format: Format<A>
  /** What it is when no source sets it, as a source would write it; for the kind `default`. */
  readonly defaultText: K extends "default" ? string : undefined
  /** How the value of an unset one is found out at run time, for the help. */
  readonly defaultNote: string | undefined
  /** On or off: the flag stands alone. */
  readonly isSwitch: boolean
}

/** What a setting is read as. */
export type ValueOf<S> = S extends Setting<infer A, infer K>
  ? K extends "default" ? A : K extends "optional" ? Option.Option<A> : ReadonlyArray<A>
  : never

/** Where the text of a setting came from. */
export interface Source {
  /** As it is named to the user: `from the command line`. */
  readonly origin: (name: string) => string
  /** The texts given for a setting, the last one winning; none when the source does not set it. */
  readonly lookup: (name: string) => ReadonlyArray<string>
}

/** A setting has a value that it cannot have. */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  readonly name: string
  /** As it was given. */
  readonly value: string
  /** `from the command line`, `from ORCHION_AGENT_PORT`. */
  readonly origin: string
  /** What is wrong with it, where the value's form alone does not say. */
  readonly problem?: string
  /** What would be valid, to follow "give". */
  readonly expected: string
}> {
  override get message(): string {
    const problem = this.problem === undefined ? "" : `: ${this.problem}`
    return `--${this.name} cannot be ${JSON.stringify(this.value)} (${this.origin})${problem}; give ${this.expected}`
  }
}

/** The environment variable that sets a setting. */
export const environmentVariable = (name: string): string => `ORCHION_${name.toUpperCase().replaceAll("-", "_")}`

export const commandLine = (values: Readonly<Record<string, ReadonlyArray<string>>>): Source => ({
  origin: () => "from the command line",
  lookup: (name) => values[name] ?? []
})

export const environment = (variables: Readonly<Record<string, string | undefined>>): Source => ({
  origin: (name) => `from ${environmentVariable(name)}`,
  lookup: (name) => {
    const value = variables[environmentVariable(name)]
    return value === undefined ? [] : [value]
  }
})

/** Values that a program gives. */
export const program = (values: Readonly<Record<string, string>>): Source => ({
  origin: () => "from the program",
  lookup: (name) => {
    const value = values[name]
    return value === undefined ? [] : [value]
  }
})

/** Names of `ORCHION_…` variables that no setting of these tables reads: most likely misspelt. */
export const unknownVariables = (
  variables: Readonly<Record<string, string | undefined>>,
  tables: ReadonlyArray<Table>
): ReadonlyArray<string> => {
  const known = new Set(tables.flatMap((table) => Object.values(table).map(({ name }) => environmentVariable(name))))
  return Object.keys(variables).filter((name) => name.startsWith("ORCHION_") && !known.has(name)).sort()
}

/** The text that a setting was read from, and where that came from. */
export interface Provenance {
  readonly text: string
  /** `the default` when no source set it. */
  readonly origin: string
}

/**
 * Reads a setting from the first source that sets it. Every source's text is checked, those that are overruled too: a
 * bad value is a mistake wherever it stands.
 */
export const resolve = <S extends Setting<unknown>>(
  setting: S,
  sources: ReadonlyArray<Source>
): Either.Either<readonly [value: ValueOf<S>, provenance: Provenance], InvalidSetting> =>
  Either.gen(function*() {
    const defaults: Source = {
      origin: () => "the default",
      lookup: () => setting.defaultText === undefined ? [] : [setting.defaultText]
    }
    const given = yield* Either.all([...sources, defaults].map((source) => {
      const texts = source.lookup(setting.name)
      const origin = source.origin(setting.name)
      return Either.map(
        Either.all(texts.map((text) => read(setting, text, origin))),
        (values) => ({ values, provenance: { text: texts.at(-1) ?? "", origin } })
      )
    }))
    const first = given.find(({ values }) => values.length > 0)
    const value = setting.kind === "many"
      ? first?.values ?? []
      : setting.kind === "optional"
      ? Option.map(Option.fromNullable(first), ({ values }) => values.at(-1))
      : first?.values.at(-1)
    // The kind decides the shape; the compiler does not follow it through the conditional type.
    return [value as ValueOf<S>, first?.provenance ?? { text: "", origin: "the default" }]
  })

const read = <A>(setting: Setting<A>, text: string, origin: string): Either.Either<A, InvalidSetting> =>
  Either.mapLeft(
    setting.format.parse(text),
    (expected) => new InvalidSetting({ name: setting.name, value: text, origin, expected })
  )

/** Settings by the names of the fields they are read into. */
export type Table = Readonly<Record<string, Setting<unknown>>>

/** What a table is read as. */
export type ValuesOf<T extends Table> = { readonly [Key in keyof T]: ValueOf<T[Key]> }

/** The values of a table's settings, and the means to refuse one of them later. */
export type Settings<T extends Table> = ValuesOf<T> & {
  /**
   * The error for a value that is well-formed but turned out not to work, naming its source. `expected` follows the
   * word "give"; `value` is what the setting came to, where that is not its text.
   */
  readonly refuse: (key: keyof T & string, problem: string, expected: string, value?: string) => InvalidSetting
}

/** Reads a table of settings; what comes first in `sources` wins. */
export const readTable = <T extends Table>(
  table: T,
  sources: ReadonlyArray<Source>
): Either.Either<Settings<T>, InvalidSetting> =>
  Either.gen(function*() {
    const values: Record<string, unknown> = {}
    const provenances: Record<string, Provenance> = {}
    for (const [key, setting] of Object.entries(table)) {
      const [value, provenance] = yield* resolve(setting, sources)
      values[key] = value
      provenances[key] = provenance
    }
    return {
      // Filled from the table that its type is made from.
      ...(values as ValuesOf<T>),
      refuse: (key, problem, expected, value) =>
        new InvalidSetting({
          name: table[key]?.name ?? key,
          value: value ?? provenances[key]?.text ?? "",
          origin: provenances[key]?.origin ?? "the default",
          problem,
          expected
        })
    }
  })

/** A setting that has a default, or is found out at run time when it has none. */
export const setting = <A>(name: string, format: Format<A>, details: {
  readonly description: string
  readonly default: string
}): Setting<A, "default"> => ({
  kind: "default",
  name,
  description: details.description,
  format,
  defaultText: details.default,
  defaultNote: undefined,
  isSwitch: false
})

/** A setting without a fixed default; `note` says what happens when it is not set. */
export const optional = <A>(name: string, format: Format<A>, details: {
  readonly description: string
  readonly note: string
}): Setting<A, "optional"> => ({
  kind: "optional",
  name,
  description: details.description,
  format,
  defaultText: undefined,
  defaultNote: details.note,
  isSwitch: false
})

/** A setting that may be given several times. */
export const repeatable = <A>(name: string, format: Format<A>, description: string): Setting<A, "many"> => ({
  kind: "many",
  name,
  description,
  format,
  defaultText: undefined,
  defaultNote: undefined,
  isSwitch: false
})

/** Off unless given. */
export const toggle = (name: string, description: string): Setting<boolean, "default"> => ({
  ...setting(name, boolean, { description, default: "false" }),
  isSwitch: true
})
