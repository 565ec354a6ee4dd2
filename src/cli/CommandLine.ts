/** Parses the command line with `@effect/cli`; errors suggest what was probably meant. */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Descriptor from "@effect/cli/CommandDescriptor"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import { names } from "../config/Setting.js"
import { boolean } from "../config/SettingFormat.js"
import { nearest } from "../text/Nearest.js"
import { cut, quoted } from "../text/Printable.js"
import * as Commands from "./Commands.js"
import * as GoFlags from "./GoFlags.js"
import { UsageError } from "./UsageError.js"

/** The texts given for settings, by the settings' names. */
export type Given = Readonly<Record<string, ReadonlyArray<string>>>

export type Request =
  | { readonly _tag: "Run"; readonly command: Commands.CommandName; readonly given: Given; readonly flags: Flags }
  | { readonly _tag: "Help"; readonly command: Commands.CommandName }
  | { readonly _tag: "Version" }
  | { readonly _tag: "Completions"; readonly shell: Commands.Shell }

/** The switches of a command that are no settings. */
export type Flags = Readonly<Record<string, boolean>>

const specs = Object.values(Commands.commands) satisfies ReadonlyArray<Commands.CommandSpec> as ReadonlyArray<
  Commands.CommandSpec
>
const settings = Object.values(Commands.everySetting)

const grammar: GoFlags.Grammar = {
  commands: new Set(Object.keys(Commands.commands)),
  switches: new Set([
    ...settings.filter(({ isSwitch }) => isSwitch).map(({ name }) => name),
    ...specs.flatMap(({ flags }) => Object.keys(flags))
  ]),
  valued: new Set(settings.filter(({ isSwitch }) => !isSwitch).map(({ name }) => name))
}

/** Every option of a command, settings first. */
const optionNames = (command: Commands.CommandName): ReadonlyArray<string> => {
  const { flags, settings } = Commands.specOf(command)
  return [...names(settings), ...Object.keys(flags)]
}

/**
 * Each option may come several times; its values are read by the settings' formats, whatever source they come from.
 *
 * Only the options that the line names: `@effect/cli` takes 1 to 2 ms of a start for each option it knows.
 */
const descriptorOf = (command: Commands.CommandName, args: ReadonlyArray<string>) => {
  const mentioned = optionNames(command).filter((name) => args.includes(`--${name}`))
  const options: Options.Options<Given> = mentioned.length === 0
    ? Options.map(Options.none, () => ({}))
    : Options.all(Object.fromEntries(
      mentioned.map((name) => [name, Options.map(Options.repeated(Options.text(name)), decodeAll)])
    ))
  return Descriptor.make(command, options)
}

/** What `@effect/cli` asks for, for options that are files or are asked for on the terminal. */
const services = Layer.mergeAll(NodeFileSystem.layer, NodePath.layer, NodeTerminal.layer)

const decodeAll = (values: ReadonlyArray<string>): ReadonlyArray<string> => values.map(GoFlags.decode)

/** Names are what they are: a near miss is explained by {@link unknownOption}, which knows all commands. */
const config: CliConfig.CliConfig = CliConfig.make({ isCaseSensitive: true, autoCorrectLimit: Number.MAX_SAFE_INTEGER })

const list = (words: ReadonlyArray<string>): string =>
  words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`

const didYouMean = (suggestion: string | undefined): string =>
  suggestion === undefined ? "" : ` (did you mean ${suggestion}?)`

const unknownOption = (name: string, command: Commands.CommandName): string => {
  const owners = Object.keys(Commands.commands).filter(Commands.isCommand)
    .filter((other) => other !== command && optionNames(other).includes(name))
    .map(Commands.invocation)
  const here = command === "run" ? "" : ` for ${command}`
  if (owners.length > 0) {
    return `there is no option --${name}${here}: ${list(owners)} ${owners.length === 1 ? "has" : "have"} it`
  }
  const suggestion = nearest(name, optionNames(command)) ?? nearest(name, grammar.switches)
    ?? nearest(name, grammar.valued)
  return `there is no option --${cut(name, 60)}${here}${didYouMean(suggestion && `--${suggestion}`)}`
}

const unknownCommand = (word: string): string => {
  const suggestion = nearest(word, Commands.typed)
  return `there is no command ${quoted(word, 60)}${didYouMean(suggestion)}${
    suggestion === undefined ? `; the commands are ${list(Commands.typed)}` : ""
  }`
}

const flagsOf = (
  command: Commands.CommandName,
  given: Given
): Either.Either<Flags, UsageError> =>
  Either.all(Object.fromEntries(
    Object.keys(Commands.specOf(command).flags).map((name) => {
      const text = given[name]?.at(-1) ?? "false"
      return [
        name,
        Either.mapLeft(boolean.parse(text), (expected) =>
          new UsageError({ problem: `--${name} cannot be ${quoted(text)}; give ${expected}, or nothing`, command }))
      ]
    })
  ))

/** Reads a program's arguments, without the runtime and the script. */
export const parse = Effect.fn("CommandLine.parse")(
  function*(argv: ReadonlyArray<string>): Effect.fn.Return<Request, UsageError> {
    const normalised = GoFlags.normalise(argv, grammar)
    const word = normalised.command ?? "run"
    if (!Commands.isCommand(word)) {
      // An unknown option is a better clue than the word after it.
      const unknown = normalised.args.find((arg) => arg.startsWith("--") && !isKnown(arg.slice(2)))
      return yield* new UsageError({
        problem: unknown === undefined ? unknownCommand(word) : unknownOption(unknown.slice(2), "run"),
        command: "run"
      })
    }
    const fail = (problem: string) => new UsageError({ problem, command: word })
    if (normalised.asks === "help") return { _tag: "Help", command: word }
    if (normalised.asks === "version") return { _tag: "Version" }
    if (normalised.asks !== undefined) {
      const asked = normalised.asks.completions
      const shell = Commands.shells.find((shell) => shell === asked)
      if (shell === undefined) {
        return yield* fail(`--completions cannot be ${quoted(asked)}; give one of ${Commands.shells.join(", ")}`)
      }
      return { _tag: "Completions", shell }
    }
    const parsing = Descriptor.parse(descriptorOf(word, normalised.args), [word, ...normalised.args], config)
    const directive = yield* Effect.mapError(
      Effect.provide(parsing, services),
      (error) => fail(ValidationError.isValidationError(error) ? "the options cannot be read" : String(error))
    )
    if (directive._tag === "BuiltIn") return yield* fail(unknownOption("wizard", word))
    const [surplus] = directive.leftover
    if (surplus !== undefined) {
      return yield* fail(
        surplus.startsWith("--")
          ? unknownOption(surplus.slice(2), word)
          : normalised.command === undefined
          ? unknownCommand(surplus)
          : `${word} takes options only, not ${quoted(surplus, 60)}`
      )
    }
    if (normalised.lacksValue !== undefined) {
      const setting = settings.find(({ name }) => name === normalised.lacksValue)
      return yield* fail(`--${normalised.lacksValue} needs a value (${setting?.format.placeholder ?? "value"})`)
    }
    const given = directive.value.options
    return { _tag: "Run", command: word, given, flags: yield* flagsOf(word, given) }
  }
)

const isKnown = (name: string): boolean => grammar.switches.has(name) || grammar.valued.has(name)
