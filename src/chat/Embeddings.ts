/** What makes an answer with embeddings whole: as many as there were inputs, each in its place, all finite numbers. */
import * as Either from "effect/Either"

export interface Embeddings {
  /** In the order of the input. */
  readonly embeddings: ReadonlyArray<ReadonlyArray<number>>
  readonly promptTokens: number
}

interface Item {
  readonly embedding?: unknown
  readonly index?: unknown
}

const isNumbers = (value: unknown): value is ReadonlyArray<number> => {
  if (!Array.isArray(value) || value.length === 0) return false
  // Not `every`, which costs three times as much for a million numbers.
  for (let at = 0; at < value.length; at++) if (!Number.isFinite(value[at])) return false
  return true
}

/**
 * The embeddings of an answer in the order of its `count` inputs, or what is wrong with them, to follow "its answer".
 * Items without an index stand where they belong.
 */
export const inOrder = (
  data: unknown,
  count: number
): Either.Either<ReadonlyArray<ReadonlyArray<number>>, string> => {
  if (!Array.isArray(data) || data.length !== count) {
    return Either.left(`has ${Array.isArray(data) ? data.length : "no"} embeddings for ${count} inputs`)
  }
  const ordered = new Array<ReadonlyArray<number> | undefined>(count).fill(undefined)
  for (const [position, item] of (data as ReadonlyArray<Item | null>).entries()) {
    const index = item?.index ?? position
    if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index >= count) {
      return Either.left(`has an embedding with the index ${String(index).slice(0, 40)} for ${count} inputs`)
    }
    if (ordered[index] !== undefined) return Either.left(`has two embeddings with the index ${index}`)
    if (!isNumbers(item?.embedding)) return Either.left(`has an embedding that is no list of numbers (index ${index})`)
    ordered[index] = item.embedding
  }
  return Either.right(ordered as ReadonlyArray<ReadonlyArray<number>>)
}
