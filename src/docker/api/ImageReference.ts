/** Names of images: `vllm/vllm-openai:v0.9.0`, `registry.example.com:5000/team/image@sha256:…`. */
import * as Either from "effect/Either"
import * as Printable from "../../text/Printable.js"
import * as DockerError from "./DockerError.js"

/** A name, taken apart and completed as Docker completes it. */
export interface ImageReference {
  /** As it was written. */
  readonly original: string
  /** `docker.io` when none was written. */
  readonly registry: string
  /** Within the registry: `library/alpine`. */
  readonly repository: string
  /** Absent only when there is a digest. */
  readonly tag?: string
  /** `sha256:…`. */
  readonly digest?: string
  /** The same for all ways to write the same image. */
  readonly canonical: string
}

const component = "[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*"
const pathPattern = new RegExp(`^${component}(?:/${component})*$`)
const hostPattern =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::\d{1,5})?$/
const tagPattern = /^\w[\w.-]{0,127}$/
const digestPattern = /^[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}$/

/** The first part of a name is a registry's host only when it looks like one. */
const looksLikeHost = (part: string): boolean => part === "localhost" || /[.:]/.test(part)

/** Says in one sentence what is wrong with a name; `undefined` when nothing is. */
export const problem = (text: string): string | undefined => {
  const result = parse(text)
  return Either.isLeft(result) ? result.left.reason : undefined
}

/** Takes a name apart. */
export const parse = (text: string): Either.Either<ImageReference, DockerError.SpecInvalid> => {
  const invalid = (why: string) =>
    Either.left(
      new DockerError.SpecInvalid({
        field: "image",
        reason: `${JSON.stringify(Printable.oneLine(text, 300))} is not an image name: ${why}.`
      })
    )
  if (text === "") return invalid("it is empty")
  if (/\s/.test(text)) return invalid("it has spaces in it")
  if (text.length > 500) return invalid("it is too long")
  const at = text.indexOf("@")
  const digest = at === -1 ? undefined : text.slice(at + 1)
  const named = at === -1 ? text : text.slice(0, at)
  if (digest !== undefined && !digestPattern.test(digest)) {
    return invalid("what follows the @ is not a digest like sha256:<64 hexadecimal digits>")
  }
  // A colon before the last slash belongs to a host's port.
  const colon = named.indexOf(":", named.lastIndexOf("/") + 1)
  const tag = colon === -1 ? undefined : named.slice(colon + 1)
  const name = colon === -1 ? named : named.slice(0, colon)
  if (tag !== undefined && !tagPattern.test(tag)) {
    return invalid("its tag may have letters, digits, dots, dashes and underscores only, 128 at most")
  }
  const slash = name.indexOf("/")
  const first = slash === -1 ? "" : name.slice(0, slash)
  const hasHost = slash !== -1 && looksLikeHost(first)
  const registry = hasHost ? (first === "index.docker.io" ? "docker.io" : first) : "docker.io"
  const path = hasHost ? name.slice(slash + 1) : name
  if (hasHost && !hostPattern.test(first)) return invalid(`"${Printable.oneLine(first, 100)}" is not a registry's host`)
  if (path !== path.toLowerCase()) return invalid("repository names are lower case")
  if (!pathPattern.test(path)) {
    return invalid("it should look like name, owner/name or host/owner/name, and then :tag")
  }
  if (name.length > 255) return invalid("it is longer than 255 characters")
  const repository = registry === "docker.io" && !path.includes("/") ? `library/${path}` : path
  const finalTag = tag ?? (digest === undefined ? "latest" : undefined)
  return Either.right({
    original: text,
    registry,
    repository,
    ...(finalTag === undefined ? {} : { tag: finalTag }),
    ...(digest === undefined ? {} : { digest }),
    // With a digest the tag decides nothing.
    canonical: `${registry}/${repository}${digest === undefined ? `:${finalTag}` : `@${digest}`}`
  })
}
