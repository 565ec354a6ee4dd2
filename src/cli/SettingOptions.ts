/** Settings as options of a command. */
import * as Options from "@effect/cli/Options"
import { environmentVariable, type Setting, type Source, type Table } from "../config/Setting.js"
import * as SettingSource from "../config/Setting.js"

/** The texts given for settings on a command line, by the settings' names. */
export type Given = Readonly<Record<string, ReadonlyArray<string>>>

const describe = (setting: Setting<unknown>): string => {
  const fallback = setting.isSwitch
    ? "off"
    : setting.defaultText ?? setting.defaultNote
  const notes = [
    ...(fallback === undefined ? [] : [`default: ${fallback}`]),
    environmentVariable(setting.name)
  ]
  return `${setting.description} (${notes.join("; ")})`
}

const option = (setting: Setting<unknown>): Options.Options<ReadonlyArray<string>> => {
  const text = Options.text(setting.name).pipe(
    Options.withPseudoName(setting.format.placeholder),
    Options.withDescription(describe(setting))
  )
  return Options.repeated(text)
}

/** An option for each setting. Values are read later, with those of the other sources, for one kind of error. */
export const fromTable = (table: Table): Options.Options<Given> =>
  Options.all(Object.fromEntries(Object.values(table).map((setting) => [setting.name, option(setting)])))

/** Where settings come from, the strongest first. */
export const sources = (given: Given, reserved: Given): ReadonlyArray<Source> => [
  SettingSource.commandLine({ ...given, ...reserved }),
  SettingSource.environment(process.env)
]

