/**
 * A value that is computed at its first use and kept. For plain values that are costly to build; for what can fail or
 * must be released, use `Effect.cached`.
 */
export const lazy = <A>(make: () => A): () => A => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}
