/** Which of many nodes are near enough to the window to be in the document. Pure: heights in, a range out. */

export interface Near {
  readonly first: number
  readonly end: number
  /** Height of what is left out before and after, in pixels. */
  readonly above: number
  readonly below: number
}

/** Every item that reaches into `top … bottom` (pixels from the list's beginning); at least one where there is any. */
export const near = (heights: ReadonlyArray<number>, top: number, bottom: number): Near => {
  let first = 0
  let end = 0
  let above = 0
  let offset = 0
  let total = 0
  heights.forEach((height, index) => {
    if (total + height <= top && index < heights.length - 1) {
      first = index + 1
      above = total + height
    }
    total += height
    if (total - height < bottom) {
      end = index + 1
      offset = total
    }
  })
  return end <= first ? { first, end: first + 1, above, below: 0 } : { first, end, above, below: total - offset }
}
