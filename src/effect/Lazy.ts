/**
 * A value made at its first use and kept. For plain values that take a moment to build; what can fail, or must be
 * released, is an effect (`Effect.cached`).
 */
export const lazy = <A>(make: () => A): () => A => {
  let made: { readonly value: A } | undefined
  return () => (made ??= { value: make() }).value
}
