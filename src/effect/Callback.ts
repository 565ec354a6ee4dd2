/** Handlers of events, in which an exception would end the process: Node has nobody else to give it to. */

/** The handler; what it throws goes to `failed`, which must not throw. */
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
