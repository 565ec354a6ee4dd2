/**
 * Command lines as people type them: `-name=value` and `-name value` (as the agents in the field are started),
 * `--name=value`, `--name value`, bare switches, empty values. `@effect/cli` gets what is left, which it can read.
 */
import { levensteinDistance } from "@effect/cli/AutoCorrect"
import { defaultConfig } from "@effect/cli/CliConfig"
import * as Data from "effect/Data"
import * as Either from "effect/Either"
import type { Setting, Table } from "../config/Setting.js"
import { boolean } from "../config/SettingFormat.js"

/** The command line cannot be understood. */
export class UsageError extends Data.TaggedError("UsageError")<{
  readonly problem: string
  /** The command whose help would help: `dev`; empty for the root. */
  readonly command: string
}> {
  override get message(): string {
    return `${this.problem}; ${
      ["node-agent", this.command, "--help"].filter((word) => word !== "").join(" ")
    } tells more`
  }
}

/** What a command may be given. */
export interface CommandShape {
  readonly settings: Table
  /** Options that stand alone and are no settings: `json`. */
  readonly flags: Readonly<Record<string, string>>
}

/** The texts given for settings, by the settings' names. */
export type Given = Readonly<Record<string, ReadonlyArray<string>>>

export interface Read {
  /** The command's name; empty for the root. */
  readonly command: string
  readonly wantsHelp: boolean
  readonly given: Given
  /** For `@effect/cli`: the command and its flags, without the settings. */
  readonly argv: ReadonlyArray<string>
}

/** Options of `@effect/cli` itself. */
const builtIn = new Set(["--version", "--wizard"])

/** Those that it prints completion scripts for. */
const shells = new Set(["bash", "zsh", "fish", "sh"])

const closest = (name: string, names: Iterable<string>): string | undefined =>
  [...names]
    .map((known) => [known, levensteinDistance(name, known, defaultConfig)] as const)
    .filter(([, distance]) => distance <= 3)
    .sort(([, a], [, b]) => a - b)[0]?.[0]

/** Reads a program's arguments, without the runtime and the script. */
export const read = (
  argv: ReadonlyArray<string>,
  commands: Readonly<Record<string, CommandShape>>
): Either.Either<Read, UsageError> => {
  const given: Record<string, Array<string>> = {}
  const rest: Array<string> = []
  let command = ""
  let wantsHelp = false
  const anySetting = new Map<string, Setting<unknown>>(
    Object.values(commands).flatMap(({ settings }) => Object.values(settings).map((setting) => [setting.name, setting]))
  )
  const used: Array<string> = []
  const surplus: Array<string> = []
  const fail = (problem: string) => Either.left(new UsageError({ problem, command }))

  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ""
    if (argument === "-h" || argument === "-help" || argument === "--help" || (argument === "help" && index === 0)) {
      wantsHelp = true
    } else if (builtIn.has(argument)) {
      rest.push(argument)
    } else if (/^--?completions(?:=|$)/.test(argument)) {
      const shell = /=(.*)$/.exec(argument)?.[1] ?? argv[++index] ?? ""
      if (!shells.has(shell)) {
        return fail(`--completions cannot be ${JSON.stringify(shell)}; give one of ${[...shells].join(", ")}`)
      }
      rest.push("--completions", shell)
    } else if (argument.startsWith("-")) {
      const match = /^--?([^=]+)(?:=([\s\S]*))?$/.exec(argument)
      const name = match?.[1] ?? ""
      const setting = anySetting.get(name)
      used.push(name)
      if (setting === undefined) {
        // As Go's flags: a switch that is set to false is not given.
        const isOn = match?.[2] === undefined ? Either.right(true) : boolean.parse(match[2])
        if (Either.isLeft(isOn)) {
          return fail(`--${name} cannot be ${JSON.stringify(match?.[2])}; give ${isOn.left}, or nothing`)
        }
        if (isOn.right) rest.push(`--${name}`)
        continue
      }
      let value = match?.[2]
      if (value === undefined && setting.isSwitch) value = "true"
      else if (value === undefined && index + 1 < argv.length) value = argv[++index]
      if (value === undefined) return fail(`--${name} needs a value (${setting.format.placeholder})`)
      ;(given[name] ??= []).push(value)
    } else if (command === "" && rest.length === 0 && argument in commands) {
      command = argument
      rest.push(argument)
    } else {
      surplus.push(argument)
    }
  }

  const shape = commands[command]
  if (shape === undefined) return fail(`there is no command ${JSON.stringify(command)}`)
  const known = new Set([...Object.values(shape.settings).map(({ name }) => name), ...Object.keys(shape.flags)])
  for (const name of used) {
    if (known.has(name)) continue
    const suggestion = closest(name, known)
    const where = command === "" ? "" : ` for ${command}`
    return fail(
      `there is no option --${name}${where}${suggestion === undefined ? "" : ` (did you mean --${suggestion}?)`}`
    )
  }
  const [first] = surplus
  if (first !== undefined) {
    const names = Object.keys(commands).filter((name) => name !== "")
    return fail(
      command === ""
        ? `there is no command ${JSON.stringify(first)}; the commands are ${names.join(", ")}`
        : `${command} takes options only, not ${JSON.stringify(first)}`
    )
  }
  return Either.right({ command, wantsHelp, given, argv: rest })
}
