/** Event handlers, in which an uncaught exception would end the process. */

/** Wraps a handler: what it throws goes to `failed`, which must not throw. */
export const guarded = <Arguments extends ReadonlyArray<unknown>>(
  handler: (...args: Arguments) => void,
  failed: (error: unknown) => void
) =>
(...args: Arguments): void => {
  try {
    handler(...args)
  } catch (error) {
    failed(error)
  }
}
