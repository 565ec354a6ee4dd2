/** The forms that the texts of settings take. */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as GoDuration from "../text/GoDuration.js"
import * as HostPort from "../net/HostPort.js"

/** How a setting's text is read. The left of `parse` says what would be valid, to follow "give". */
export interface Format<A> {
  /** The word that stands for the value in help: `duration`, `port`. */
  readonly placeholder: string
  readonly parse: (text: string) => Either.Either<A, string>
}

const orExpected = <A>(value: Option.Option<A>, expected: string) => Either.fromOption(value, () => expected)

/** A port to listen on: 0 picks a free one. */
export const listenPort: Format<number> = {
  placeholder: "port",
  parse: (text) =>
    /^\d{1,5}$/.test(text) && Number(text) <= 65_535
      ? Either.right(Number(text))
      : Either.left("a port from 1 to 65535, or 0 for a free one")
}

/** A port that must be known beforehand. */
export const fixedPort: Format<number> = {
  placeholder: "port",
  parse: (text) =>
    /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535
      ? Either.right(Number(text))
      : Either.left("a port from 1 to 65535")
}

/** A duration within bounds, both inclusive. */
export const durationBetween = (least: string, most: string): Format<Duration.Duration> => {
  const bound = (text: string) => Option.getOrThrow(GoDuration.parse(text))
  const within = Duration.between({ minimum: bound(least), maximum: bound(most) })
  return {
    placeholder: "duration",
    parse: (text) =>
      orExpected(
        Option.filter(GoDuration.parse(text), within),
        `a duration from ${least} to ${most}, such as 500ms, 5s or 1m30s`
      )
  }
}

export const hostPort: Format<HostPort.HostPort> = {
  placeholder: "host:port",
  parse: (text) =>
    orExpected(
      HostPort.parse(text),
      "an address with a port, such as localhost:50051, 10.0.0.7:50051 or [fd00::7]:50051"
    )
}

/** `host:port`, or a host alone, whose port is then another setting's. */
export const hostWithOptionalPort: Format<{ readonly host: string; readonly port: Option.Option<number> }> = {
  placeholder: "host[:port]",
  parse: (text) => {
    const whole = HostPort.parse(text)
    if (Option.isSome(whole)) return Either.right({ host: whole.value.host, port: Option.some(whole.value.port) })
    const bare = text.includes(":") && !text.startsWith("[") ? `[${text}]` : text
    return orExpected(
      Option.map(HostPort.parse(`${bare}:1`), ({ host }) => ({ host, port: Option.none() })),
      "an address that the orchestrator can reach, such as 10.0.0.7 or node7.lan:50052"
    )
  }
}

/** An address to listen on. */
export const listenAddress: Format<string> = {
  placeholder: "address",
  parse: (text) =>
    /^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*|localhost)$/.test(text)
      ? Either.right(text)
      : Either.left("an address of this machine, such as 127.0.0.1, 0.0.0.0 or ::")
}

/** Text of 1 to `most` characters, none of them a control character. */
export const text = (placeholder: string, expected: string, most = 4096): Format<string> => ({
  placeholder,
  parse: (value) =>
    value.trim().length > 0 && value.length <= most && !/\p{Cc}/u.test(value)
      ? Either.right(value)
      : Either.left(expected)
})

/** A name that identifies: 1 to 253 characters, none of them white space or a control character. */
export const identifier = (placeholder: string): Format<string> => ({
  placeholder,
  parse: (value) =>
    /^[^\s\p{C}]{1,253}$/u.test(value)
      ? Either.right(value)
      : Either.left("1 to 253 characters without spaces or control characters")
})

export const positiveInteger = (most: number): Format<number> => ({
  placeholder: "number",
  parse: (value) =>
    /^\d{1,15}$/.test(value) && Number(value) >= 1 && Number(value) <= most
      ? Either.right(Number(value))
      : Either.left(`a whole number from 1 to ${most}`)
})

const sizeUnits: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

/** A number of bytes, at least `least`: `16GiB`, `16g` and `16GB` mean the same, as the docker command reads them. */
export const byteSize = (least: number): Format<number> => ({
  placeholder: "size",
  parse: (value) => {
    const match = /^(\d+(?:\.\d+)?)\s*([kmgt])(?:i?b)?$/i.exec(value)
    const bytes = Math.round(Number(match?.[1]) * (sizeUnits[match?.[2]?.toLowerCase() ?? ""] ?? Number.NaN))
    return Number.isSafeInteger(bytes) && bytes >= least
      ? Either.right(bytes)
      : Either.left(`a size with its unit, at least ${Math.ceil(least / 1024 ** 2)}MiB, such as 512MiB or 16GiB`)
  }
})

/** What is mounted into a container: a volume by its name, or a directory of this machine. */
export type VolumeSource =
  | { readonly _tag: "Named"; readonly name: string }
  | { readonly _tag: "Directory"; readonly path: string }

export const volumeSource: Format<VolumeSource> = {
  placeholder: "volume|directory",
  parse: (value) =>
    /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,200}$/.test(value)
      ? Either.right({ _tag: "Named", name: value })
      : (value.startsWith("/") || /^[A-Za-z]:[\\/]/.test(value)) && value.length <= 4096 && !/\p{Cc}/u.test(value)
      ? Either.right({ _tag: "Directory", path: value })
      : Either.left("the name of a volume (letters, digits, _ . -), or the absolute path of a directory")
}

export const choice = <const A extends string>(...values: ReadonlyArray<A>): Format<A> => ({
  placeholder: values.join("|"),
  parse: (value) =>
    orExpected(
      Option.fromNullable(values.find((known) => known === value.toLowerCase())),
      `one of ${values.join(", ")}`
    )
})

const truths = new Map([["true", true], ["1", true], ["t", true], ["false", false], ["0", false], ["f", false]])

/** As Go's flags read it. */
export const boolean: Format<boolean> = {
  placeholder: "true|false",
  parse: (value) => orExpected(Option.fromNullable(truths.get(value.toLowerCase())), "true or false")
}

/** Which GPUs an engine may use. */
export const gpuSelection: Format<string> = {
  placeholder: "all|none|ids",
  parse: (value) =>
    /^(?:all|none|\d{1,3}(?:,\d{1,3})*|(?:GPU|MIG)-[0-9A-Za-z-]+(?:,(?:GPU|MIG)-[0-9A-Za-z-]+)*)$/.test(value)
      ? Either.right(value)
      : Either.left("all, none, indexes such as 0 or 0,1, or GPU uuids")
}

const withoutSpaces = (placeholder: string, expected: string): Format<string> => ({
  placeholder,
  parse: (value) => /^[^\s\p{C}]{1,512}$/u.test(value) ? Either.right(value) : Either.left(expected)
})

export const modelName = withoutSpaces("model", "a model's name without spaces, such as llama2 or org/model")

export const imageName = withoutSpaces("image", "a container image's name, such as vllm/vllm-openai:latest")
