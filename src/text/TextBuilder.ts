/**
 * Builds a text from many pieces. `+=` would keep an object of 32 bytes per piece until the text is read: sixteen times
 * its size for pieces of one character.
 */

/** Pieces that are joined at a time. */
const blockPieces = 1024

export interface TextBuilder {
  readonly append: (text: string) => void
  /** In UTF-16 code units. */
  readonly length: () => number
  /** The text so far. */
  readonly text: () => string
  /** The text so far, after which the builder is empty. */
  readonly take: () => string
}

export const make = (): TextBuilder => {
  let blocks: Array<string> = []
  let pieces: Array<string> = []
  let length = 0
  const text = () => blocks.length === 0 && pieces.length < 2 ? pieces[0] ?? "" : blocks.join("") + pieces.join("")
  return {
    append: (piece) => {
      if (piece === "") return
      length += piece.length
      pieces.push(piece)
      if (pieces.length < blockPieces) return
      blocks.push(pieces.join(""))
      pieces = []
    },
    length: () => length,
    text,
    take: () => {
      const whole = text()
      if (length > 0) {
        blocks = []
        pieces = []
        length = 0
      }
      return whole
    }
  }
}
