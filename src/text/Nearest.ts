/** The existing name most similar to one that does not exist. */

/** Longer names are not compared: the distance takes quadratic time. */
const longest = 64

/** Insertions, deletions, replacements and swaps of neighbours that turn one text into the other. */
export const distance = (a: string, b: string): number => {
  let before: ReadonlyArray<number> = []
  let last: ReadonlyArray<number> = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let row = 1; row <= a.length; row++) {
    const next: Array<number> = [row]
    for (let column = 1; column <= b.length; column++) {
      const replaced = (last[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1)
      const swapped = row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
        ? (before[column - 2] ?? 0) + 1
        : Number.POSITIVE_INFINITY
      next.push(Math.min(replaced, swapped, (last[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1))
    }
    before = last
    last = next
  }
  return last[b.length] ?? 0
}

/** The name nearest to `name`, if it is near enough to be a slip: at most a third of the letters differ. */
export const nearest = (name: string, names: Iterable<string>): string | undefined => {
  if (name.length > longest) return undefined
  let best: { readonly name: string; readonly distance: number } | undefined
  for (const known of names) {
    const apart = distance(name.toLowerCase(), known)
    if (apart <= Math.max(1, Math.floor(known.length / 3)) && apart < (best?.distance ?? 4)) {
      best = { name: known, distance: apart }
    }
  }
  return best?.name
}
