/** Why Ollama ends, or cannot pull a model, and what to do about it. */
import type { Diagnosis, EngineDiagnosis } from "../Diagnosis.js"
import { lasting, transient } from "../Diagnosis.js"
import { oneLine } from "../../text/Printable.js"
import { title } from "./OllamaSettings.js"

export const diagnosis: EngineDiagnosis = {
  title,
  known: [{
    markers: ["CUDA out of memory", "HIP out of memory", "torch.OutOfMemoryError", "cudaMalloc failed: out of memory"],
    explain: () =>
      lasting(
        "gpu-out-of-memory",
        "The GPU ran out of memory.",
        "Use a smaller model, or a shorter context (OLLAMA_CONTEXT_LENGTH)."
      )
  }],
  flags: {
    enable: "--enable-ollama",
    memory: "--ollama-memory",
    volume: "--ollama-volume",
    port: "the image's OLLAMA_HOST"
  }
}

/** What an error of a pull says, why that is, and what to do; the first that is found wins. */
const pullErrors: ReadonlyArray<readonly [RegExp, (name: string, error: string) => Diagnosis]> = [
  [/permission denied/i, (_, error) =>
    lasting(
      "no-permission",
      `Ollama has no permission to write to its models directory (${error}).`,
      "Make root the owner of the --ollama-volume directory, or use a named volume."
    )],
  [/no space left|disk quota/i, (name, error) =>
    lasting(
      "disk-full",
      `There is no room for ${name} (${error}).`,
      "Free some space, or store the models elsewhere with --ollama-volume."
    )],
  [/newer version of Ollama|requires a newer version/i, (name, error) =>
    lasting(
      "model-unsupported",
      `This Ollama is too old for ${name} (${error}).`,
      "Use a newer image with --ollama-image."
    )],
  [
    /file does not exist|not found|invalid model name|name is invalid|manifest unknown|\b(?:status )?40[04]\b/i,
    (name, error) =>
      lasting(
        "model-not-found",
        `Ollama's library has no model ${name} (${error}).`,
        "Check --ollama-model; https://ollama.com/library lists what there is."
      )
  ],
  [/unauthori[sz]ed|forbidden|denied|\b40[13]\b/i, (name, error) =>
    lasting(
      "model-access",
      `The registry denied access to ${name} (${error}).`,
      "Choose a public model, or one that this machine's key may pull."
    )]
]

/** Why a model could not be pulled. What a registry answers lasts; that it does not answer may pass. */
export const ofPull = (model: string, error: string): Diagnosis => {
  const name = JSON.stringify(model)
  const said = oneLine(error)
  const known = pullErrors.find(([pattern]) => pattern.test(said))
  return known !== undefined ? known[1](name, said) : transient(
    "network",
    `Ollama could not pull ${name}: ${said}.`,
    "Check this machine's connection to the registry (network, DNS, proxy; HTTPS_PROXY is passed on)."
  )
}
