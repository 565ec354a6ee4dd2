/**
 * Which of the names that engines list a request means: one rule for every engine, on the node and in the orchestrator.
 *
 * A name means the model that is listed by exactly it. Otherwise it means what Ollama means by it: `llama3.2` is
 * `llama3.2:latest`, whatever its case, with or without the name of Ollama's own library. Engines that list no tags match
 * by exact names alone. The rule of Ollama's may change how a name is written, so that an engine is always asked for the
 * name that it lists: {@link find}.
 */

/** The longest name that is looked up; in UTF-16 code units. */
export const maxLength = 1000

const registry = "registry.ollama.ai/"
const library = "library/"

/** As Ollama lists it: with the tag that a name without one means, and without the name of Ollama's own library. */
export const withTag = (model: string): string => {
  const path = model.startsWith(registry) ? model.slice(registry.length) : model
  const short = path.startsWith(library) ? path.slice(library.length) : path
  // A colon before the last slash is that of a registry's port.
  return short.lastIndexOf(":") > short.lastIndexOf("/") ? short : `${short}:latest`
}

/** The one of these names that a request for `model` means; an exact one before any other. */
export const find = (names: ReadonlyArray<string>, model: string): string | undefined => {
  if (names.includes(model)) return model
  if (model.length > maxLength) return undefined
  const wanted = withTag(model).toLowerCase()
  return names.find((name) => name.toLowerCase() === wanted)
}

/** Whether what lists these models answers a request for `model`. */
export const isServedBy = ({ models }: { readonly models: ReadonlyArray<string> }, model: string): boolean =>
  find(models, model) !== undefined
