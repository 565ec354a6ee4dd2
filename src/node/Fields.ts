/** Building values of the data model. */

/** Without the properties that are `undefined`: an optional field of the model is absent when it is unknown. */
export const known = <A extends object>(
  fields: A
):
  & { [K in keyof A as undefined extends A[K] ? never : K]: A[K] }
  & {
    [K in keyof A as undefined extends A[K] ? K : never]?: Exclude<A[K], undefined>
  } =>
{
  const result: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) result[key] = value
  // `Object.entries` forgets the names: the type above says what the loop does.
  return result as ReturnType<typeof known<A>>
}
