/** The help of each command, for a terminal. */
import type { Setting } from "../config/Setting.js"
import { environmentVariable } from "../config/Source.js"
import { version } from "../Version.js"
import type { CommandShape } from "./Arguments.js"

export interface HelpTopic extends CommandShape {
  readonly summary: string
  readonly details: ReadonlyArray<string>
}

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
  return [...lines, line]
}

/** Two columns; the second wraps within the width, and stands below the first where that is too wide. */
const columns = (rows: ReadonlyArray<readonly [string, string]>, left: number, width: number): ReadonlyArray<string> =>
  rows.flatMap(([first, second]) => {
    const lines = wrap(second, Math.max(20, width - left - 4))
    const indent = " ".repeat(left + 4)
    return first.length > left
      ? [`  ${first}`, ...lines.map((line) => `${indent}${line}`)]
      : [`  ${first.padEnd(left)}  ${lines[0] ?? ""}`, ...lines.slice(1).map((line) => `${indent}${line}`)]
  })

const settingRow = (setting: Setting<unknown>): readonly [string, string] => {
  const value = setting.isSwitch ? "" : ` <${setting.format.placeholder}>`
  const fallback = setting.isSwitch ? undefined : setting.defaultText ?? setting.defaultNote
  return [`--${setting.name}${value}`, `${setting.description}${fallback === undefined ? "" : ` [${fallback}]`}`]
}

/** The help of `command` (empty for the root), in lines of at most `width` characters. */
export const render = (
  command: string,
  topics: Readonly<Record<string, HelpTopic>>,
  options: { readonly color: boolean; readonly width: number }
): string => {
  const topic = topics[command]
  if (topic === undefined) return ""
  const width = Math.min(Math.max(options.width, 60), 110)
  const title = (text: string) => options.color ? `\u001b[1m${text}\u001b[0m` : text
  const example = environmentVariable("heartbeat-interval")
  const subcommands = Object.entries(topics).filter(([name]) => name !== "")
  const invocation = ["node-agent", command].filter((word) => word !== "").join(" ")
  const paragraphs = [
    `${title(invocation)} ${command === "" ? `${version}` : ""}`.trimEnd(),
    ...wrap(topic.summary, width),
    "",
    title("Usage"),
    `  ${invocation} [options]`,
    ...(command === ""
      ? columns(subcommands.map(([name, { summary }]) => [`node-agent ${name}`, summary]), 26, width)
      : []),
    "",
    title("Options"),
    ...columns(
      [
        ...Object.values(topic.settings).map(settingRow),
        ...Object.entries(topic.flags).map(([name, text]) => [`--${name}`, text] as const)
      ],
      34,
      width
    ),
    ...columns(
      [
        ["-h, --help", "Show this"],
        ...(command === ""
          ? [
            ["--version", "Show the version"],
            ["--completions bash|zsh|fish", "Print a completion script for a shell"]
          ] as const
          : [])
      ],
      34,
      width
    ),
    "",
    ...wrap(
      `Every option that takes a value, and every switch, is a setting that the environment can give as well: `
        + `--heartbeat-interval 10s is ${example}=10s. The command line wins.`,
      width
    ),
    ...topic.details.flatMap((text) => ["", ...wrap(text, width)])
  ]
  return paragraphs.join("\n")
}
