/**
 * Command lines as people type them, made into what `@effect/cli` reads: `-name=value`, `-name value` (as the agents in
 * the field are started) and `--name value` become `--name=value`; a bare switch becomes `--name=true`.
 */
import type { Table } from "../config/Setting.js"

export interface NormalizedArguments {
  readonly argv: ReadonlyArray<string>
  /**
   * What was given for settings whose name `@effect/cli` has taken for an option of its own: they are no longer in
   * `argv`.
   */
  readonly reserved: Readonly<Record<string, ReadonlyArray<string>>>
}

/** `@effect/cli`'s own `--log-level` takes other values than ours, and would start the command a second time. */
const reservedNames = new Set(["log-level"])

/** `argv` is the program's arguments, without the runtime and the script. */
export const normalize = (argv: ReadonlyArray<string>, tables: ReadonlyArray<Table>): NormalizedArguments => {
  const settings = new Map(tables.flatMap((table) => Object.values(table).map((setting) => [setting.name, setting])))
  const normalized: Array<string> = []
  const reserved: Record<string, Array<string>> = {}
  for (let index = 0; index < argv.length; index++) {
    const argument = argv[index] ?? ""
    if (argument === "--") {
      normalized.push(...argv.slice(index))
      break
    }
    const match = /^--?([A-Za-z][\w-]+)(?:=([\s\S]*))?$/.exec(argument)
    const setting = settings.get(match?.[1] ?? "")
    if (match === null || setting === undefined) {
      normalized.push(argument)
      continue
    }
    let value = match[2]
    if (value === undefined && setting.isSwitch) value = "true"
    else if (value === undefined && index + 1 < argv.length) value = argv[++index]
    if (value === undefined) normalized.push(`--${setting.name}`)
    else if (reservedNames.has(setting.name)) (reserved[setting.name] ??= []).push(value)
    else normalized.push(`--${setting.name}=${value}`)
  }
  return { argv: normalized, reserved }
}
