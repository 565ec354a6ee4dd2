/** How Ollama names models. */

/** Ollama means `name:latest` by `name`. */
export const withTag = (model: string): string =>
  /:[^/]*$/.test(model.replace(/^[^/]*:\d+\//, "")) ? model : `${model}:latest`

export const hasModel = (models: ReadonlyArray<string>, model: string): boolean =>
  models.some((name) => name.toLowerCase() === withTag(model).toLowerCase())
