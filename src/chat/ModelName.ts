/** Which of an engine's names a request means. */
import { hasModel } from "./OllamaNames.js"

interface Names {
  /** `ollama`, `vllm`. */
  readonly name: string
  readonly models: ReadonlyArray<string>
}

/** Whether an engine answers to a name: to exactly it, or, with Ollama, to it with the tag that it leaves out. */
export const isServedBy = ({ models, name }: Names, model: string): boolean =>
  models.includes(model) || (name === "ollama" && hasModel(models, model))
