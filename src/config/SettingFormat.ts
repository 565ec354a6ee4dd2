/**
 * The formats of settings. Each is parsed by a plain function, since every start parses all of them; a Schema, with its
 * JSON Schema, is made on request.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import * as HostPort from "../net/HostPort.js"
import * as GoDuration from "../text/GoDuration.js"

/** The JSON Schema of a format's values, as a configuration file writes them. */
export interface JsonForm {
  readonly type: "string" | "integer" | "boolean"
  readonly enum?: ReadonlyArray<string>
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly examples?: ReadonlyArray<string>
}

export interface Format<A> {
  /** The word that stands for the value in help: `duration`, `port`. */
  readonly placeholder: string
  /** What is valid, with its bounds, to follow "give". */
  readonly expected: string
  readonly json: JsonForm
  /** Parses a text. The left is {@link Format.expected}. */
  readonly parse: (text: string) => Either.Either<A, string>
  /** Writes a value so that `parse` reads it again. (A method, so that a table can hold formats of any values.) */
  print(value: A): string
}

/** A format as a schema, annotated with placeholder (title), expectation (description) and bounds (JSON Schema). */
export const toSchema = <A>(format: Format<A>): Schema.Schema<A, string> =>
  Schema.transformOrFail(
    Schema.String,
    // `parse` has validated its result.
    Schema.Any as Schema.Schema<A>,
    {
      strict: true,
      decode: (text, _, ast) =>
        Either.mapLeft(format.parse(text), (expected) => new ParseResult.Type(ast, text, `give ${expected}`)),
      encode: (value) => ParseResult.succeed(format.print(value))
    }
  ).annotations({
    title: format.placeholder,
    description: format.expected,
    // An annotation of this kind is the whole JSON Schema.
    jsonSchema: { title: format.placeholder, description: format.expected, ...format.json }
  })

const make = <A>({ parse, ...definition }: {
  readonly placeholder: string
  readonly expected: string
  readonly json: JsonForm
  readonly parse: (text: string) => Option.Option<A>
  readonly print: (value: A) => string
}): Format<A> => ({
  ...definition,
  parse: (text) => Either.fromOption(parse(text), () => definition.expected)
})

/** A format whose values are the texts themselves. */
const texts = (definition: {
  readonly placeholder: string
  readonly expected: string
  readonly json: JsonForm
  readonly isValid: (text: string) => boolean
}): Format<string> => make({ ...definition, parse: Option.liftPredicate(definition.isValid), print: (value) => value })

const integer = (min: number, max: number, placeholder: string, expected: string): Format<number> =>
  make({
    placeholder,
    expected,
    json: { type: "integer", minimum: min, maximum: max },
    parse: (text) => {
      const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
      return value >= min && value <= max ? Option.some(value) : Option.none()
    },
    print: String
  })

/** A port to listen on: 0 picks a free one. */
export const listenPort = integer(0, 65_535, "port", "a port from 1 to 65535, or 0 for a free one")

/** A port that must be known beforehand. */
export const fixedPort = integer(1, 65_535, "port", "a port from 1 to 65535")

export const positiveInteger = (max: number): Format<number> =>
  integer(1, max, "number", `a whole number from 1 to ${max}`)

/** A duration within bounds, both inclusive. */
export const durationBetween = (min: string, max: string): Format<Duration.Duration> => {
  const bound = (text: string) => Option.getOrThrow(GoDuration.parse(text))
  const within = Duration.between({ minimum: bound(min), maximum: bound(max) })
  return make({
    placeholder: "duration",
    expected: `a duration from ${min} to ${max}, such as 500ms, 5s or 1m30s`,
    json: { type: "string", examples: ["500ms", "5s", "1m30s"] },
    parse: (text) => text.length > 64 ? Option.none() : Option.filter(GoDuration.parse(text), within),
    print: GoDuration.format
  })
}

/**
 * Where to connect: `host:port`, a host alone, which means the default port, or `:port`, which means this machine.
 * Agents in the field also accept gRPC's names: `dns:///host:port`.
 */
export const target = (defaultPort: number): Format<HostPort.HostPort> =>
  make({
    placeholder: "host:port",
    expected: `an address, such as localhost:${defaultPort}, 10.0.0.7:${defaultPort} or [fd00::7]:${defaultPort}`,
    json: { type: "string", maxLength: 300, examples: [`localhost:${defaultPort}`, `[fd00::7]:${defaultPort}`] },
    parse: (text) => {
      const address = text.replace(/^(?:dns|passthrough):(?:\/\/\/)?/, "")
      return Option.firstSomeOf([
        HostPort.parse(address.startsWith(":") ? `localhost${address}` : address),
        HostPort.parse(`${address}:${defaultPort}`)
      ])
    },
    print: HostPort.format
  })

export interface HostWithOptionalPort {
  readonly host: string
  readonly port: Option.Option<number>
}

/** `host:port`, or a host alone, whose port is then another setting's. */
export const hostWithOptionalPort: Format<HostWithOptionalPort> = make({
  placeholder: "host[:port]",
  expected: "an address that the orchestrator can reach, such as 10.0.0.7 or node7.lan:50052",
  json: { type: "string", maxLength: 300, examples: ["10.0.0.7", "node7.lan:50052"] },
  parse: (text): Option.Option<HostWithOptionalPort> => {
    const whole = HostPort.parse(text)
    if (Option.isSome(whole)) return Option.some({ host: whole.value.host, port: Option.some(whole.value.port) })
    const bare = text.includes(":") && !text.startsWith("[") ? `[${text}]` : text
    return Option.map(HostPort.parse(`${bare}:1`), ({ host }) => ({ host, port: Option.none() }))
  },
  print: ({ host, port }) =>
    Option.match(port, {
      onNone: () => host,
      onSome: (port) => HostPort.format({ host, port })
    })
})

/** An address to listen on. */
export const listenAddress = texts({
  placeholder: "address",
  expected: "an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::",
  json: { type: "string", maxLength: 64, examples: ["127.0.0.1", "0.0.0.0", "::"] },
  isValid: (value) =>
    value.length <= 64 && /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*|localhost)$/.test(value)
})

/** An HTTP server's address, without a slash at the end. A URL with credentials would show them in process lists. */
export const httpUrl: Format<string> = make({
  placeholder: "url",
  expected: "a URL such as http://127.0.0.1:11434, without user, query and fragment",
  json: { type: "string", maxLength: 1024, examples: ["http://127.0.0.1:11434"] },
  parse: (text) => {
    if (text.length > 1024 || !/^http:\/\/[^\s\p{C}]+$/u.test(text) || !URL.canParse(text)) return Option.none()
    const { hash, href, password, search, username } = new URL(text)
    return hash + password + search + username === "" ? Option.some(href.replace(/\/+$/, "")) : Option.none()
  },
  print: (url) => url
})

/** Text of 1 to `maxLength` characters, none of them a control character. */
export const text = (placeholder: string, expected: string, maxLength = 4096): Format<string> =>
  texts({
    placeholder,
    expected,
    json: { type: "string", minLength: 1, maxLength },
    isValid: (value) => value.length <= maxLength && value.trim().length > 0 && !/\p{Cc}/u.test(value)
  })

/** A name that identifies: 1 to 253 characters, none of them a control character, and not only blanks. */
export const identifier = (placeholder: string): Format<string> =>
  texts({
    placeholder,
    expected: "1 to 253 characters without control characters",
    json: { type: "string", minLength: 1, maxLength: 253 },
    isValid: (value) => value.length <= 506 && /^[^\p{C}\p{Zl}\p{Zp}]{1,253}$/u.test(value) && value.trim() !== ""
  })

const sizeUnits: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

/** A number of bytes, at least `min`: `16GiB`, `16g` and `16GB` mean the same, as the docker command reads them. */
export const byteSize = (min: number): Format<number> =>
  make({
    placeholder: "size",
    expected: `a size with its unit, at least ${Math.ceil(min / 1024 ** 2)}MiB, such as 512MiB or 16GiB`,
    json: { type: "string", examples: ["512MiB", "16GiB"] },
    parse: (value) => {
      const match = value.length > 64 ? null : /^(\d+(?:\.\d+)?)\s*([kmgt])(?:i?b)?$/i.exec(value)
      const bytes = Math.round(Number(match?.[1]) * (sizeUnits[match?.[2]?.toLowerCase() ?? ""] ?? Number.NaN))
      return Number.isSafeInteger(bytes) && bytes >= min ? Option.some(bytes) : Option.none()
    },
    // Exact, even where the bytes are not a whole number of KiB.
    print: (bytes) => `${bytes / 1024}KiB`
  })

/** What is mounted into a container: a volume by its name, or a directory of this machine. */
export type VolumeSource =
  | { readonly _tag: "Named"; readonly name: string }
  | { readonly _tag: "Directory"; readonly path: string }

export const volumeSource: Format<VolumeSource> = make({
  placeholder: "volume|directory",
  expected: "the name of a volume (letters, digits, _ . -), or the absolute path of a directory",
  json: { type: "string", minLength: 1, maxLength: 4096 },
  parse: (value): Option.Option<VolumeSource> =>
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,200}$/.test(value)
      ? Option.some({ _tag: "Named", name: value })
      : (value.startsWith("/") || /^[A-Za-z]:[\\/]/.test(value)) && value.length <= 4096 && !/\p{Cc}/u.test(value)
      ? Option.some({ _tag: "Directory", path: value })
      : Option.none(),
  print: (source) => source._tag === "Named" ? source.name : source.path
})

export const choice = <const A extends string>(...values: ReadonlyArray<A>): Format<A> =>
  make({
    placeholder: values.join("|"),
    expected: `one of ${values.join(", ")}`,
    json: { type: "string", enum: values },
    parse: (value) =>
      value.length > 64 ? Option.none() : Option.fromNullable(values.find((known) => known === value.toLowerCase())),
    print: (value) => value
  })

const truths = new Map([["true", true], ["1", true], ["t", true], ["false", false], ["0", false], ["f", false]])

/** As Go's flags read it. */
export const boolean: Format<boolean> = make({
  placeholder: "true|false",
  expected: "true or false",
  json: { type: "boolean" },
  parse: (value) => value.length > 5 ? Option.none() : Option.fromNullable(truths.get(value.toLowerCase())),
  print: String
})

/** Which GPUs an engine may use. */
export const gpuSelection = texts({
  placeholder: "all|none|ids",
  expected: "all, none, indexes such as 0 or 0,1, or GPU uuids",
  json: { type: "string", maxLength: 4096, examples: ["all", "none", "0", "0,1"] },
  isValid: (value) =>
    value.length <= 4096
    && /^(?:all|none|\d{1,3}(?:,\d{1,3})*|(?:GPU|MIG)-[0-9A-Za-z-]+(?:,(?:GPU|MIG)-[0-9A-Za-z-]+)*)$/.test(value)
})

const withoutSpaces = (placeholder: string, expected: string): Format<string> =>
  texts({
    placeholder,
    expected,
    json: { type: "string", minLength: 1, maxLength: 512 },
    isValid: (value) => /^[^\s\p{C}]{1,512}$/u.test(value)
  })

export const modelName = withoutSpaces("model", "a model's name without spaces, such as llama3.2 or org/model")

export const imageName = withoutSpaces("image", "a container image's name, such as vllm/vllm-openai:latest")
