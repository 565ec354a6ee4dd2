/** How Ollama names models. */

/** As Ollama lists it: `name:latest` for `name`, and its own library's models without that library's name. */
export const withTag = (model: string): string => {
  const short = model.replace(/^registry\.ollama\.ai\//, "").replace(/^library\//, "")
  return /:[^/]*$/.test(short.replace(/^[^/]*:\d+\//, "")) ? short : `${short}:latest`
}

export const hasModel = (models: ReadonlyArray<string>, model: string): boolean =>
  models.some((name) => name.toLowerCase() === withTag(model).toLowerCase())
