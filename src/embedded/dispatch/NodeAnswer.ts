/** Whether a node's answer can be passed on. Messages of nodes are untrusted: everything in them is checked. */
import * as GrpcError from "../../grpc/GrpcError.js"
import type { ChatCompletionResponse__Output } from "../../proto/generated/orchion/v1/ChatCompletionResponse.js"
import type { EmbeddingResponse__Output } from "../../proto/generated/orchion/v1/EmbeddingResponse.js"
import { oneLine } from "../../text/Printable.js"

const { Status } = GrpcError

/** The choices of an answer: `n` of OpenAI's API has 128 at most. */
const maxChoices = 128

const invalid = (details: string) => GrpcError.fail(Status.INTERNAL, `the node's answer is not valid: ${details}`)

/** Orchion's own agents put errors into the stream, as an object or a finish reason, without a message. */
const isError = ({ choices, object }: ChatCompletionResponse__Output) =>
  object === "error" || choices.some(({ finish_reason }) => finish_reason === "error")

const textOf = ({ choices }: ChatCompletionResponse__Output): string =>
  oneLine(choices.map(({ message }) => message?.content ?? "").join(" "), 300)

/** What is wrong with a message of a chat, if anything. How large an answer may be is for who collects it to say. */
export const chatProblem = (message: ChatCompletionResponse__Output): GrpcError.GrpcError | undefined => {
  if (isError(message)) {
    const text = textOf(message)
    return GrpcError.fail(
      Status.UNAVAILABLE,
      `the node failed to answer${text === "" ? ", and did not say why" : `: ${text}`}`
    )
  }
  const { choices } = message
  return choices.length > maxChoices || choices.some(({ index }) => index < 0 || index >= maxChoices)
    ? invalid(`it has more than ${maxChoices} choices`)
    : undefined
}

/** The number of pieces of the engine's that a message joins. Agents without a version do not say. */
export const piecesOf = ({ choices, pieces }: ChatCompletionResponse__Output): number =>
  pieces || (choices.some(({ message, reasoning }) => (message?.content ?? "") !== "" || reasoning !== "") ? 1 : 0)

/** One vector of finite numbers for each input, in the inputs' order. */
export const embeddings = (
  answer: EmbeddingResponse__Output,
  inputs: number
): EmbeddingResponse__Output | GrpcError.GrpcError => {
  const { data } = answer
  if (data.length !== inputs) return invalid(`it has ${data.length} embeddings for ${inputs} inputs`)
  const ordered = new Array<(typeof data)[number] | undefined>(inputs)
  for (const item of data) {
    if (!(item.index >= 0 && item.index < inputs) || ordered[item.index] !== undefined) {
      return invalid(`it has an embedding with the index ${item.index}, twice or beyond its ${inputs} inputs`)
    }
    if (item.embedding.length === 0 || !item.embedding.every(Number.isFinite)) {
      return invalid(`the embedding with the index ${item.index} is not a list of finite numbers`)
    }
    ordered[item.index] = item
  }
  return { ...answer, data: ordered.filter((item) => item !== undefined) }
}
