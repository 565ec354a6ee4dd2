/** What a failed exchange with Docker means, in words. */
import * as ParseResult from "effect/ParseResult"
import * as Printable from "../../text/Printable.js"
import * as SystemError from "../../text/SystemError.js"
import * as DockerEndpoint from "./DockerEndpoint.js"

/** Error texts are cut here, in UTF-16 code units. */
export const maxDetailLength = 2_000

/** A text of Docker's for an error: printable, and of bounded length. */
export const detail = (text: string): string => Printable.oneLine(text, maxDetailLength)

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null

/** The explanation in an answer with an error status: `{"message": …}`, or `{"error": …}`, or text. */
export const detailOf = (status: number, body: string): string => {
  let text = body
  try {
    const parsed: unknown = JSON.parse(body)
    const found = isObject(parsed) ? parsed["message"] ?? parsed["error"] : undefined
    if (typeof found === "string") text = found
  } catch {
    // Not JSON: a proxy's page, or an old Docker's text.
  }
  if (/^\s*<(?:!doctype|html)/i.test(text.slice(0, 200))) {
    return `it answered with status ${status} and a web page: a proxy, or something else that is not Docker`
  }
  const shown = detail(text)
  return shown === "" ? `it answered with status ${status} and no explanation` : shown
}

/** The request never left: nothing can have come of it. */
export const isNeverSent = (error: unknown): boolean => {
  const call = isObject(error) ? error["syscall"] : undefined
  return call === "connect" || call === "getaddrinfo"
    || /^(?:ERR_INVALID|ERR_UNESCAPED|EMFILE|ENFILE)/.test(SystemError.codeOf(error) ?? "")
}

/** Why a connection failed. */
export const reasonOf = (error: unknown): string => {
  const code = SystemError.codeOf(error)
  const message = error instanceof Error ? detail(error.message) : detail(String(error))
  if (code === undefined || code.startsWith("ERR_")) return message
  if (code.startsWith("HPE_")) return "what answers there does not speak HTTP, so it is not Docker"
  return DockerEndpoint.reasonOf(code, message)
}

/** Why an answer does not have the form that it should. */
export const misunderstood = (error: ParseResult.ParseError): string => {
  const [issue] = ParseResult.ArrayFormatter.formatErrorSync(error)
  const why = issue === undefined
    ? "no reason given"
    : Printable.oneLine(`${issue.path.join(".")}: ${issue.message}`, 200)
  return `its answer was not understood (${why})`
}
