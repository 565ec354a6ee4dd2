/**
 * Secrets removed from text, in every form in which programs print them: as they are, escaped for JSON or a URL, in
 * Base64, also as a part of something longer, and line by line.
 */

export interface Redactor {
  /** The text with `***` for each secret. */
  readonly redact: (text: string) => string
  /** For text that comes in pieces: a secret that begins in one and ends in another is found. */
  readonly stream: () => RedactingStream
}

export interface RedactingStream {
  /** The text that can be shown so far; what may be the beginning of a secret is held back. */
  readonly push: (text: string) => string
  /** The text that was held back. */
  readonly flush: () => string
}

/** Shorter values would match unrelated text. */
const shortest = 6
/** Shorter pieces of Base64, and shorter lines of a longer secret, would match by chance. */
const shortestPart = 8

const mask = "***"

/**
 * The Base64 of a text at any offset: characters that depend on the bytes next to it are left out.
 * `dXNlcjpzZWNyZXQ=` has `secret` in it, behind `user:`.
 */
const base64Parts = (secret: string): ReadonlyArray<string> => {
  const bytes = Buffer.from(secret, "utf8")
  return [0, 1, 2].map((offset) => {
    const text = Buffer.concat([Buffer.alloc(offset), bytes]).toString("base64").replace(/=+$/, "")
    const whole = Math.floor(((offset + bytes.length) * 8) / 6)
    return text.slice(Math.ceil((offset * 8) / 6), whole)
  })
}

const formsOf = (secret: string): ReadonlyArray<string> => {
  const escaped = JSON.stringify(secret).slice(1, -1)
  const encoded = encodeURIComponent(secret.toWellFormed())
  const parts = base64Parts(secret)
  const lines = secret.split(/[\r\n]+/)
  return [
    secret,
    escaped,
    // As JSON within JSON.
    JSON.stringify(escaped).slice(1, -1),
    secret.replaceAll("'", "\\'"),
    encoded,
    encoded.toLowerCase(),
    encoded.replaceAll("%20", "+"),
    encodeURI(secret.toWellFormed()),
    ...[...parts, ...parts.map((part) => part.replaceAll("+", "-").replaceAll("/", "_"))]
      .filter(({ length }) => length >= shortestPart),
    ...(lines.length === 1 ? [] : lines.filter(({ length }) => length >= shortestPart))
  ]
}

/** A place of a text: from the first character to the one after the last. */
type Place = readonly [from: number, to: number]

/**
 * Finds any of several texts in time linear in the searched text (Aho-Corasick): with some secrets and logs other
 * searches take minutes. A state is a node of the trie of all forms.
 */
const makeSearch = (forms: ReadonlyArray<string>) => {
  const next: Array<Map<number, number>> = [new Map()]
  /** The state of the longest proper suffix that is a prefix of a form. */
  const fallback: Array<number> = [0]
  const depth: Array<number> = [0]
  /** The length of the longest form that ends in this state. */
  const found: Array<number> = [0]
  for (const form of forms) {
    let state = 0
    for (let index = 0; index < form.length; index++) {
      const code = form.charCodeAt(index)
      let child = next[state]?.get(code)
      if (child === undefined) {
        child = next.length
        next.push(new Map())
        fallback.push(0)
        depth.push(index + 1)
        found.push(0)
        next[state]?.set(code, child)
      }
      state = child
    }
    found[state] = form.length
  }
  const step = (from: number, code: number): number => {
    let state = from
    while (true) {
      const child = next[state]?.get(code)
      if (child !== undefined) return child
      if (state === 0) return 0
      state = fallback[state] ?? 0
    }
  }
  const queue = [...(next[0]?.values() ?? [])]
  for (let state = queue.shift(); state !== undefined; state = queue.shift()) {
    for (const [code, child] of next[state] ?? []) {
      fallback[child] = step(fallback[state] ?? 0, code)
      found[child] = Math.max(found[child] ?? 0, found[fallback[child]] ?? 0)
      queue.push(child)
    }
  }
  return (text: string): { readonly places: ReadonlyArray<Place>; readonly open: number } => {
    const places: Array<Place> = []
    let state = 0
    for (let index = 0; index < text.length; index++) {
      state = step(state, text.charCodeAt(index))
      const length = found[state] ?? 0
      if (length === 0) continue
      let from = index + 1 - length
      // Those that overlap are one.
      for (let last = places.at(-1); last !== undefined && last[1] > from; last = places.at(-1)) {
        from = Math.min(from, last[0])
        places.pop()
      }
      places.push([from, index + 1])
    }
    return { places, open: depth[state] ?? 0 }
  }
}

const masked = (text: string, places: ReadonlyArray<readonly [number, number]>): string => {
  let shown = ""
  let from = 0
  for (const [start, end] of places) {
    shown += text.slice(from, start) + mask
    from = end
  }
  return shown + text.slice(from)
}

export const make = (secrets: Iterable<string>): Redactor => {
  const forms = [
    ...new Set([...secrets].filter(({ length }) => length >= shortest).flatMap(formsOf))
  ].filter(({ length }) => length >= shortest)
  const search = makeSearch(forms)

  return {
    redact: (text) => {
      const { places } = search(text)
      return places.length === 0 ? text : masked(text, places)
    },
    stream: () => {
      let kept = ""
      return {
        push: (text) => {
          const all = kept + text
          const { open, places } = search(all)
          const from = all.length - open
          // A secret that is complete may be the beginning of a longer one.
          const done = places.find(([start, end]) => start < from && from < end)?.[0] ?? from
          kept = all.slice(done)
          return masked(all.slice(0, done), places.filter(([, end]) => end <= done))
        },
        flush: () => {
          const rest = kept
          kept = ""
          return masked(rest, search(rest).places)
        }
      }
    }
  }
}
