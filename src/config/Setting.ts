/**
 * A setting: its name, what it means, what it may be, and how its text is read. Flags, help, environment variables and
 * errors about values all come from this one description.
 *
 * A room describes its settings in a table of its own; a command merges the tables of the rooms that it starts.
 */
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { quoted } from "../text/Printable.js"
import { boolean, type Format } from "./SettingFormat.js"
import type { Source } from "./Source.js"

/** `default`: always has a value; `optional`: may be unset; `many`: may be given several times, the values add up. */
export type Kind = "default" | "optional" | "many"

export interface Setting<A, K extends Kind = Kind, Name extends string = string> {
  readonly kind: K
  /** Lower case, with dashes, as in the flag: `heartbeat-interval`. */
  readonly name: Name
  /** The section of the help that it stands in: `vLLM`. */
  readonly group: string
  /** One sentence without a full stop, with units and what special values mean. */
  readonly description: string
  readonly format: Format<A>
  /** What it is when no source sets it, as a source would write it; for the kind `default`. */
  readonly defaultText: K extends "default" ? string : undefined
  /** How the value is determined at run time when it is not set, for the help. */
  readonly defaultNote: string | undefined
  /** On or off: the flag takes no value. */
  readonly isSwitch: boolean
  /** Its value is never shown: not in errors, not in the log. */
  readonly isSecret: boolean
}

/** What a setting is read as. */
export type ValueOf<S> = S extends Setting<infer A, infer K>
  ? K extends "default" ? A : K extends "optional" ? Option.Option<A> : ReadonlyArray<A>
  : never

/** A setting has an invalid value. */
export class InvalidSetting extends Data.TaggedError("InvalidSetting")<{
  readonly name: string
  /** As it was given; `undefined` for a secret. */
  readonly value: string | undefined
  /** `from the command line`, `from ORCHION_AGENT_PORT`. */
  readonly origin: string
  /** What is wrong with it, where its form alone does not show it. */
  readonly problem?: string
  /** What would be valid, to follow "give". */
  readonly expected: string
  /** A retry may succeed with the same value: a port is taken, a disk is full. */
  readonly isTransient?: boolean
}> {
  override get message(): string {
    const problem = this.problem === undefined ? "" : `: ${this.problem}`
    const value = this.value === undefined ? "the given value" : quoted(this.value)
    return `--${this.name} cannot be ${value} (${this.origin})${problem}; give ${this.expected}`
  }
}

/** The text that a setting was read from, and where that came from. */
export interface Provenance {
  readonly text: string
  /** `the default` when no source set it. */
  readonly origin: string
  /** Whether a source set it. */
  readonly isGiven: boolean
}

const unset: Provenance = { text: "", origin: "the default", isGiven: false }

/**
 * Reads a setting from the first source that sets it. The text of every source is checked, overruled ones too: a bad
 * value is a mistake wherever it is.
 */
const resolve = <S extends Setting<unknown>>(
  setting: S,
  sources: ReadonlyArray<Source>
): Either.Either<readonly [value: ValueOf<S>, provenance: Provenance], InvalidSetting> =>
  Either.gen(function*() {
    let first: { readonly values: ReadonlyArray<unknown>; readonly provenance: Provenance } | undefined
    const take = function*(texts: ReadonlyArray<string>, origin: string, isGiven: boolean) {
      const values: Array<unknown> = []
      for (const text of texts) values.push(yield* read(setting, text, origin))
      if (values.length > 0) first ??= { values, provenance: { text: texts.at(-1) ?? "", origin, isGiven } }
    }
    for (const source of sources) {
      const texts = source.lookup(setting.name)
      // As with Go's flags, an empty text unsets an optional setting, whatever its source.
      yield* take(
        setting.kind === "optional" ? texts.filter((text) => text !== "") : texts,
        source.origin(setting.name),
        true
      )
    }
    if (setting.defaultText !== undefined) yield* take([setting.defaultText], unset.origin, false)
    const value = setting.kind === "many"
      ? first?.values ?? []
      : setting.kind === "optional"
      ? Option.map(Option.fromNullable(first), ({ values }) => values.at(-1))
      : first?.values.at(-1)
    // The kind decides the shape; the compiler does not follow it through the conditional type.
    return [value as ValueOf<S>, first?.provenance ?? unset]
  })

const read = <A>(setting: Setting<A>, text: string, origin: string): Either.Either<A, InvalidSetting> =>
  Either.mapLeft(
    setting.format.parse(text),
    (expected) =>
      new InvalidSetting({ name: setting.name, value: setting.isSecret ? undefined : text, origin, expected })
  )

/** Settings by the names of the fields they are read into. */
export type Table = Readonly<Record<string, Setting<unknown>>>

/** The names of a table's settings: `"heartbeat-interval" | …`. */
export type NameOf<T extends Table> = T[keyof T]["name"]

/** Texts for some of a table's settings, by their names. */
export type Texts<T extends Table> = { readonly [Name in NameOf<T>]?: string }

/** The names of a table's settings. */
export const names = (table: Table): ReadonlyArray<string> => Object.values(table).map(({ name }) => name)

/** What a table is read as. */
export type ValuesOf<T extends Table> = { readonly [Key in keyof T]: ValueOf<T[Key]> }

/** Further parts of the error of {@link Settings.refuse}. */
export interface Refusal {
  /** The effective value, where it differs from the setting's text. */
  readonly value?: string
  /** A retry may succeed with the same value: a port is taken, a disk is full. */
  readonly isTransient?: boolean
}

/** The values of a table's settings, their sources, and a way to refuse one of them later. */
export type Settings<T extends Table> = ValuesOf<T> & {
  /**
   * The error for a value that is well-formed but turned out not to work, naming its source. `expected` follows the
   * word "give".
   */
  readonly refuse: (key: keyof T & string, problem: string, expected: string, refusal?: Refusal) => InvalidSetting
  /** Where a value came from. */
  readonly provenance: (key: keyof T & string) => Provenance
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
    const provenance = (key: string) => provenances[key] ?? unset
    return {
      // Filled from the table that its type is made from.
      ...(values as ValuesOf<T>),
      provenance,
      refuse: (key, problem, expected, refusal = {}) =>
        new InvalidSetting({
          name: table[key]?.name ?? key,
          value: refusal.value ?? (table[key]?.isSecret === true ? undefined : provenance(key).text),
          origin: provenance(key).origin,
          problem,
          expected,
          ...(refusal.isTransient === true ? { isTransient: true } : {})
        })
    }
  })

interface Details {
  readonly description: string
  /** Its value is never shown. */
  readonly isSecret?: boolean
}

/** A setting that has a default. */
export const setting = <A, const Name extends string>(
  name: Name,
  format: Format<A>,
  details: Details & { readonly default: string }
): Setting<A, "default", Name> => ({
  kind: "default",
  name,
  group: "",
  description: details.description,
  format,
  defaultText: details.default,
  defaultNote: undefined,
  isSwitch: false,
  isSecret: details.isSecret ?? false
})

/** A setting without a fixed default; `note` says what happens when it is not set. */
export const optional = <A, const Name extends string>(
  name: Name,
  format: Format<A>,
  details: Details & { readonly note: string }
): Setting<A, "optional", Name> => ({
  kind: "optional",
  name,
  group: "",
  description: details.description,
  format,
  defaultText: undefined,
  defaultNote: details.note,
  isSwitch: false,
  isSecret: details.isSecret ?? false
})

/** A setting that may be given several times. */
export const repeatable = <A, const Name extends string>(
  name: Name,
  format: Format<A>,
  details: Details
): Setting<A, "many", Name> => ({
  kind: "many",
  name,
  group: "",
  description: details.description,
  format,
  defaultText: undefined,
  defaultNote: undefined,
  isSwitch: false,
  isSecret: details.isSecret ?? false
})

/** Off unless given. */
export const toggle = <const Name extends string>(
  name: Name,
  description: string
): Setting<boolean, "default", Name> => ({
  ...setting(name, boolean, { description, default: "false" }),
  isSwitch: true
})

/** A table whose settings stand in one section of the help. */
export const group = <const T extends Table>(title: string, table: T): T =>
  // Only the group changes, which no type depends on.
  Object.fromEntries(Object.entries(table).map(([key, setting]) => [key, { ...setting, group: title }])) as T
