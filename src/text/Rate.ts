/** How much happens per second, over the last five seconds. Counting costs an addition. */

const windowSeconds = 5

export interface Rate {
  /** `nowMillis` is the time in milliseconds since 1970, here and below. */
  readonly add: (count: number, nowMillis: number) => void
  /** The mean over the last five seconds. */
  readonly perSecond: (nowMillis: number) => number
}

export const make = (): Rate => {
  const counts = new Array<number>(windowSeconds).fill(0)
  let second = 0
  const advance = (nowMillis: number) => {
    const now = Math.floor(nowMillis / 1000)
    if (now === second) return
    // After a clock that was set back, or a long pause, no count is recent.
    const passed = now < second ? windowSeconds : Math.min(windowSeconds, now - second)
    for (let step = 0; step < passed; step++) counts[(now - step) % windowSeconds] = 0
    second = now
  }
  return {
    add: (count, nowMillis) => {
      advance(nowMillis)
      counts[second % windowSeconds]! += count
    },
    perSecond: (nowMillis) => {
      advance(nowMillis)
      return counts.reduce((sum, count) => sum + count, 0) / windowSeconds
    }
  }
}
