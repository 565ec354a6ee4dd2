/**
 * How many streams may be cancelled on one connection. Node ends an HTTP/2 connection whose peer resets more than 1,000
 * streams at once or 33 a second for long (its guard against the "rapid reset" attack), with everyone else's answers on
 * it. This stays well below.
 */

/** Cancellations at once. */
export const burst = 500
/** The sustained rate of cancellations per second. */
export const perSecond = 20

export interface CancelBudget {
  /** What is left. */
  readonly left: (nowMillis: number) => number
  readonly isFull: (nowMillis: number) => boolean
  /** Takes one, or answers how many milliseconds later there will be one: 0 when it was taken. */
  readonly take: (nowMillis: number) => number
}

export const make = (nowMillis: number): CancelBudget => {
  let tokens = burst
  let at = nowMillis
  const refill = (now: number) => {
    tokens = Math.min(burst, tokens + (Math.max(0, now - at) * perSecond) / 1000)
    at = now
  }
  const left = (now: number) => {
    refill(now)
    return tokens
  }
  return {
    left,
    isFull: (now) => left(now) >= burst,
    take: (now) => {
      refill(now)
      if (tokens < 1) return Math.ceil(((1 - tokens) * 1000) / perSecond)
      tokens -= 1
      return 0
    }
  }
}
