/**
 * Completion scripts for bash, zsh and fish, from the table of commands and settings. `@effect/cli`'s own complete
 * nothing after a subcommand in bash, and offer file names for everything.
 */
import type { Format } from "../config/SettingFormat.js"
import * as Commands from "./Commands.js"

/** What completes an option's value. */
type Values =
  | { readonly _tag: "None" }
  | { readonly _tag: "Directories" }
  | { readonly _tag: "Words"; readonly words: ReadonlyArray<string> }

interface Option {
  readonly name: string
  readonly description: string
  /** `undefined` for a switch. */
  readonly value: { readonly placeholder: string; readonly values: Values } | undefined
}

const valuesOf = ({ json, placeholder }: Format<unknown>): Values =>
  json.enum !== undefined
    ? { _tag: "Words", words: json.enum }
    : placeholder.split("|").includes("directory")
    ? { _tag: "Directories" }
    : { _tag: "None" }

const help: Option = { name: "help", description: "Show the help", value: undefined }

const onlyRoot: ReadonlyArray<Option> = [
  { name: "version", description: "Show the version", value: undefined },
  {
    name: "completions",
    description: "Print a completion script for a shell",
    value: { placeholder: "shell", values: { _tag: "Words", words: Commands.shells } }
  }
]

const optionsOf = (command: Commands.CommandName): ReadonlyArray<Option> => {
  const { flags, settings } = Commands.specOf(command)
  return [
    ...Object.values(settings).map(({ description, format, isSwitch, name }) => ({
      name,
      description,
      value: isSwitch ? undefined : { placeholder: format.placeholder, values: valuesOf(format) }
    })),
    ...Object.entries(flags).map(([name, description]) => ({ name, description, value: undefined })),
    help,
    ...(command === "run" ? onlyRoot : [])
  ]
}

const everyCommand: ReadonlyArray<Commands.CommandName> = ["run", ...Commands.typed]

/** Each option once, whichever commands have it. */
const everyOption = (): ReadonlyArray<Option> => [
  ...new Map(everyCommand.flatMap(optionsOf).map((option) => [option.name, option])).values()
]

const valued = (): ReadonlyArray<Option> => everyOption().filter(({ value }) => value !== undefined)

/** In single quotes, as all three shells read it. */
const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`

const bash = (): string => {
  const reply = (words: ReadonlyArray<string>) => `COMPREPLY=($(compgen -W ${quote(words.join(" "))} -- "$cur"))`
  const spelled = (option: Option) => `--${option.name}|-${option.name}`
  const value = (option: Option): ReadonlyArray<string> => {
    switch (option.value?.values._tag) {
      case "Words":
        return [`    ${spelled(option)}) ${reply(option.value.values.words)}; return ;;`]
      case "Directories":
        return [
          `    ${spelled(option)}) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$cur")); return ;;`
        ]
      default:
        return []
    }
  }
  return [
    "# bash completion for node-agent; to load it: source <(node-agent --completions bash)",
    "_node_agent() {",
    "  local cur=${COMP_WORDS[COMP_CWORD]} option=${COMP_WORDS[COMP_CWORD-1]} command=run i",
    "  COMPREPLY=()",
    // Bash takes `--name=value` for three words.
    "  if [[ $cur == = ]]; then cur=",
    "  elif [[ $option == = ]]; then option=${COMP_WORDS[COMP_CWORD-2]}",
    "  fi",
    "  for ((i = 1; i < COMP_CWORD; i++)); do",
    "    case ${COMP_WORDS[i]} in",
    `      ${valued().map(spelled).join("|")})`,
    "        i=$((i + 1)); [[ ${COMP_WORDS[i]} == = ]] && i=$((i + 1)) ;;",
    `      help|${Commands.typed.join("|")}) command=\${COMP_WORDS[i]}; break ;;`,
    "    esac",
    "  done",
    "  case $option in",
    ...valued().flatMap(value),
    `    ${valued().map(spelled).join("|")}) return ;;`,
    "  esac",
    "  case $command in",
    `    help) ${reply(Commands.typed)} ;;`,
    ...everyCommand.map((command) =>
      `    ${command}) ${
        reply([
          ...(command === "run" ? ["help", ...Commands.typed] : []),
          ...optionsOf(command).map(({ name }) => `--${name}`)
        ])
      } ;;`
    ),
    "  esac",
    "}",
    "complete -F _node_agent node-agent"
  ].join("\n")
}

const zsh = (): string => {
  const escaped = (text: string) => text.replace(/[\\[\]:]/g, "\\$&")
  const action = (values: Values): string => {
    switch (values._tag) {
      case "Words":
        return `(${values.words.join(" ")})`
      case "Directories":
        return "_files -/"
      case "None":
        return " "
    }
  }
  const spec = ({ description, name, value }: Option): string =>
    quote(
      value === undefined
        ? `--${name}[${escaped(description)}]`
        : `*--${name}=[${escaped(description)}]:${escaped(value.placeholder)}:${action(value.values)}`
    )
  const specs = (command: Commands.CommandName) => optionsOf(command).map((option) => `    ${spec(option)}`)
  const described = (command: Commands.CommandName) =>
    `    ${quote(`${command}:${escaped(Commands.specOf(command).summary)}`)}`
  return [
    "#compdef node-agent",
    "# zsh completion for node-agent; to load it: source <(node-agent --completions zsh)",
    "_node_agent() {",
    "  local curcontext=$curcontext state line",
    "  typeset -A opt_args",
    "  local -a commands options",
    "  commands=(",
    ...Commands.typed.map(described),
    "    'help:Show the options of a command'",
    "  )",
    "  options=(",
    ...specs("run"),
    "  )",
    "  _arguments -C -A '-*' $options '1: :->command' '*:: :->rest' && return",
    "  case $state in",
    "    command) _describe -t commands command commands ;;",
    "    rest)",
    "      case $words[1] in",
    ...Commands.typed.flatMap((command) => [
      `        ${command})`,
      "          options=(",
      ...specs(command),
      "          )",
      "          _arguments $options ;;"
    ]),
    "        help) _describe -t commands command commands ;;",
    "      esac ;;",
    "  esac",
    "}",
    "if [[ ${funcstack[1]} == _node_agent ]]; then _node_agent \"$@\"; else compdef _node_agent node-agent; fi"
  ].join("\n")
}

const fish = (): string => {
  const argument = (values: Values): string => {
    switch (values._tag) {
      case "Words":
        return ` -x -a ${quote(values.words.join(" "))}`
      case "Directories":
        return " -x -a '(__fish_complete_directories)'"
      case "None":
        return " -x"
    }
  }
  const line = (option: Option): string => {
    const users = everyCommand.filter((command) => optionsOf(command).some(({ name }) => name === option.name))
    return `complete -c node-agent -n '__node_agent_is ${users.join(" ")}' -l ${option.name}${
      option.value === undefined ? "" : argument(option.value.values)
    } -d ${quote(option.description)}`
  }
  const names = valued().flatMap(({ name }) => [`--${name}`, `-${name}`])
  return [
    "# fish completion for node-agent; to load it: node-agent --completions fish | source",
    "function __node_agent_is",
    "  set -l command run",
    "  set -l words (commandline -opc)",
    "  set -e words[1]",
    "  while set -q words[1]",
    "    switch $words[1]",
    `      case ${names.join(" ")}`,
    "        set -e words[1]",
    `      case help ${Commands.typed.join(" ")}`,
    "        set command $words[1]",
    "        break",
    "    end",
    "    set -e words[1]",
    "  end",
    "  contains -- $command $argv",
    "end",
    "complete -c node-agent -f",
    ...Commands.typed.map((command) =>
      `complete -c node-agent -n '__node_agent_is run help' -a ${command} -d ${quote(Commands.specOf(command).summary)}`
    ),
    "complete -c node-agent -n '__node_agent_is run' -a help -d 'Show the options of a command'",
    ...everyOption().map(line)
  ].join("\n")
}

/** The completion script for a shell. */
export const script = (shell: Commands.Shell): string => ({ bash, zsh, fish })[shell]()
