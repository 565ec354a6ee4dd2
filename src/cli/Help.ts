/** The help of each command, from the table of commands and settings, for a terminal of any width. */
import type { Setting } from "../config/Setting.js"
import { environmentVariable } from "../config/Source.js"
import { version } from "../Version.js"
import * as Commands from "./Commands.js"

/** Keeps two words on one line until {@link wrap} has placed them. */
const joined = "\u00a0"

/** The lines of a text, broken between words. */
export const wrap = (text: string, width: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  let line = ""
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === "" ? word : `${line} ${word}`
    }
  }
  return [...lines, line].map((line) => line.replaceAll(joined, " "))
}

const indented = (text: string, indent: number, width: number): ReadonlyArray<string> =>
  wrap(text, Math.max(24, width - indent)).map((line) => `${" ".repeat(indent)}${line}`)

/** Where the second column begins: descriptions of commands and of options without a value stand beside their names. */
const column = 16

/** A short name with its description beside it. */
const row = (name: string, text: string, width: number): ReadonlyArray<string> => {
  const [first = "", ...rest] = indented(text, column + 2, width)
  return [`  ${name.padEnd(column)}${first.trimStart()}`, ...rest]
}

const fallbackOf = (setting: Setting<unknown>): string => {
  const fallback = setting.isSwitch ? undefined : setting.defaultText ?? setting.defaultNote
  return fallback === undefined ? "" : ` (default:${joined}${fallback})`
}

/** An option: its name with the variable of the environment, and below what it means. */
const option = (setting: Setting<unknown>, width: number): ReadonlyArray<string> => {
  const name = `  --${setting.name}${setting.isSwitch ? "" : ` <${setting.format.placeholder}>`}`
  const variable = `$${environmentVariable(setting.name)}`
  const gap = width - name.length - variable.length
  const meaning = `${setting.description}${fallbackOf(setting)}`
  return gap >= 2
    ? [`${name}${" ".repeat(gap)}${variable}`, ...indented(meaning, 6, width)]
    : [name, ...indented(`${meaning} ${variable}`, 6, width)]
}

/** The settings by their sections, in the order in which the sections first come. */
const sections = (settings: ReadonlyArray<Setting<unknown>>): ReadonlyMap<string, ReadonlyArray<Setting<unknown>>> => {
  const found = new Map<string, ReadonlyArray<Setting<unknown>>>()
  for (const setting of settings) found.set(setting.group, [...found.get(setting.group) ?? [], setting])
  return found
}

/** The help of a command, in lines of at most `width` characters from 60 to 100. */
export const render = (
  command: Commands.CommandName,
  options: { readonly color: boolean; readonly width: number }
): string => {
  const { examples, flags, notes, settings, summary } = Commands.specOf(command)
  const width = Math.min(Math.max(options.width, 60), 100)
  const title = (text: string) => options.color ? `\u001b[1m${text}\u001b[0m` : text
  const isRoot = command === "run"
  const own = Object.entries(flags)
  return [
    ...(isRoot ? [`Orchion node agent ${version}`, ""] : []),
    ...wrap(summary, width),
    "",
    title("Usage:"),
    `  ${Commands.invocation(command)} [options]`,
    ...(isRoot
      ? [
        "  node-agent <command> [options]",
        "",
        title("Commands:"),
        ...Commands.typed.flatMap((name) => row(name, Commands.specOf(name).summary, width)),
        ...row("help <command>", "Show the options of a command", width)
      ]
      : []),
    "",
    title("Examples:"),
    ...examples.flatMap(([purpose, line]) => [...indented(`# ${purpose}`, 2, width), `  ${line}`]),
    ...(own.length === 0 ? [] : ["", title("Options:")]),
    ...own.flatMap(([name, text]) => [`  --${name}`, ...indented(text, 6, width)]),
    ...[...sections(Object.values(settings))].flatMap(([group, settings]) => [
      "",
      title(`${group} options:`),
      ...settings.flatMap((setting) => option(setting, width))
    ]),
    "",
    title("Other options:"),
    "  -h, --help",
    ...indented("Show this help", 6, width),
    ...(isRoot
      ? [
        "  -v, --version",
        ...indented("Show the version", 6, width),
        `  --completions <${Commands.shells.join("|")}>`,
        ...indented("Print a completion script for a shell", 6, width)
      ]
      : []),
    "",
    ...wrap(
      "Options take one dash or two, and a value after a space or an equals sign. The command line overrides the "
        + "environment.",
      width
    ),
    ...notes.flatMap((text) => ["", ...wrap(text, width)])
  ].join("\n")
}
