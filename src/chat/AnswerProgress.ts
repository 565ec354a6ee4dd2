/**
 * The progress of an answer. It is whole when at least the requested number of choices began, and each that began has
 * its finish reason. The same rule holds for engines and for nodes.
 */

/** The limit of choices in an answer: each costs memory. */
export const maxChoices = 1024

/** The limit of a finish reason, in UTF-16 code units. */
const maxReason = 100

export interface AnswerProgress {
  /** By the index of the choice: why it ended. */
  readonly finishReasons: ReadonlyMap<number, string>
  /** Part of a choice came, maybe with the reason that it ended: `""` for none. `false`: there cannot be such a choice. */
  readonly take: (index: number, finishReason: string) => boolean
  readonly isWhole: () => boolean
}

/** `choices` is how many were asked for; more may come. */
export const make = (choices = 1): AnswerProgress => {
  const begun = new Set<number>()
  const finishReasons = new Map<number, string>()
  const wanted = Math.min(maxChoices, Math.max(1, choices))
  return {
    finishReasons,
    take: (index, finishReason) => {
      if (!Number.isInteger(index) || index < 0 || index >= maxChoices) return false
      begun.add(index)
      if (finishReason !== "") finishReasons.set(index, finishReason.slice(0, maxReason).toWellFormed())
      return true
    },
    isWhole: () => begun.size >= wanted && begun.size === finishReasons.size
  }
}
