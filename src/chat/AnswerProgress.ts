/**
 * How far an answer is. It is whole when at least as many choices as were asked for began, and each that began has its
 * finish reason: this holds for what engines send and for what nodes send.
 */

/** The most choices that an answer may have: what is kept of each costs memory. */
export const maxChoices = 1024

/** The longest finish reason that is passed on, in UTF-16 code units. */
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
