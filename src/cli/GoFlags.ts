/**
 * Command lines as the agents in the field are started, in the spelling that `@effect/cli` reads.
 *
 * Go's flags take `-name value`, `-name=value` and the same with two dashes, a bare switch or `-switch=false`, and any
 * text as a value: empty, with blanks at its ends, or like an option. `@effect/cli` trims values, drops empty ones and
 * has built-in options of its own (`--log-level`), so values are handed to it as JSON strings: {@link decode}.
 */

/** What has to be known of the options to tell names from values. */
export interface Grammar {
  readonly commands: ReadonlySet<string>
  /** Options that stand alone. */
  readonly switches: ReadonlySet<string>
  /** Options that take a value. */
  readonly valued: ReadonlySet<string>
}

export interface Normalised {
  /** The first word that is no option; `undefined` when there is none. */
  readonly command: string | undefined
  /** Options and further words, as `@effect/cli` reads them. */
  readonly args: ReadonlyArray<string>
  /** What was asked for instead of a run; the first of several. */
  readonly asks: "help" | "version" | { readonly completions: string } | undefined
  /** The option at the end of the line that lacks its value. */
  readonly lacksValue: string | undefined
}

/** A value as `@effect/cli` is given it. */
const encode = (value: string): string => JSON.stringify(value)

/** A value as it was typed. */
export const decode = (text: string): string => {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === "string" ? value : text
  } catch {
    return text
  }
}

/** Reads a program's arguments, without the runtime and the script. */
export const normalise = (argv: ReadonlyArray<string>, grammar: Grammar): Normalised => {
  let command: string | undefined
  let asks: Normalised["asks"]
  let lacksValue: string | undefined
  let onlyWords = false
  const args: Array<string> = []
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ""
    const option = onlyWords ? undefined : /^--?([^-=][^=]*)(?:=([^]*))?$/.exec(argument)
    const name = option?.[1] ?? ""
    const next = argv[index + 1]
    if (argument === "--" && !onlyWords) onlyWords = true
    else if (option === null || option === undefined) {
      if (argument === "help" && command === undefined) asks ??= "help"
      else if (command === undefined) command = argument
      else args.push(argument)
    } else if (name === "h" || name === "help") asks ??= "help"
    else if (name === "v" || name === "version") asks ??= "version"
    else if (name === "completions") {
      asks ??= { completions: option[2] ?? next ?? "" }
      if (option[2] === undefined) index++
    } else if (option[2] !== undefined) args.push(`--${name}`, encode(option[2]))
    else if (grammar.switches.has(name)) args.push(`--${name}`, encode("true"))
    else if (grammar.valued.has(name)) {
      if (next === undefined) lacksValue = name
      else args.push(`--${name}`, encode(next))
      index++
    } else {
      args.push(`--${name}`)
      // Most likely the value of a misspelled option.
      if (next !== undefined && !next.startsWith("-") && !grammar.commands.has(next)) index++
    }
  }
  return { command, args, asks, lacksValue }
}
