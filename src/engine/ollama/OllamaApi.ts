/** What Ollama's API answers. */
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import { finding } from "../../node/Findings.js"
import type { Finding } from "../../node/NodeCapabilities.js"
import * as Bytes from "../../text/Bytes.js"
import { oneLine } from "../../text/Printable.js"
import * as Asking from "../Asking.js"
import * as EngineFindings from "../EngineFindings.js"
import { title } from "./OllamaSettings.js"

const decodePs = Schema.decodeUnknownEither(Schema.parseJson(Schema.Struct({
  models: Schema.Array(Schema.Struct({
    name: Schema.String,
    size: Schema.Number,
    size_vram: Schema.optional(Schema.Number)
  }))
})))

/** Loaded models that are looked at. */
const maxLoaded = 100

const isByteCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0

/** What `/api/ps` says of models that do not fit the GPU; `undefined` when none is loaded. */
export const partlyOnCpu = (body: string): ReadonlyArray<Finding> | undefined => {
  const decoded = decodePs(body)
  if (Either.isLeft(decoded) || decoded.right.models.length === 0) return undefined
  return decoded.right.models.slice(0, maxLoaded).flatMap(({ name, size, size_vram = 0 }) =>
    !isByteCount(size) || !isByteCount(size_vram) || size_vram >= size ? [] : [
      finding({
        code: size_vram === 0 ? "engine.gpu-not-used" : "engine.partly-on-cpu",
        severity: "warning",
        subject: title,
        message: size_vram === 0
          ? `${oneLine(name, 200)} runs on the CPU although Ollama was given a GPU.`
          : `${Bytes.format(size - size_vram)} of ${oneLine(name, 200)}'s ${
            Bytes.format(size)
          } do not fit the GPU and run on the CPU.`,
        remedy: size_vram === 0
          ? EngineFindings.gpuRemedy
          : "Use a smaller or more quantized model, a shorter context (OLLAMA_CONTEXT_LENGTH), or free GPU memory."
      })
    ]
  )
}

const decodeTags = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Struct({ models: Schema.NullOr(Schema.Array(Schema.Struct({ name: Schema.String }))) }))
)

/** The models on its disk, as `/api/tags` lists them; `undefined` for an answer that is none. */
export const modelsOf = (body: string): ReadonlyArray<string> | undefined =>
  Either.getOrUndefined(
    Either.map(decodeTags(body), ({ models }) => Asking.saneNames((models ?? []).map(({ name }) => name)))
  )

/** One line of a pull's progress. */
export const PullLine = Schema.parseJson(Schema.Struct({
  status: Schema.optional(Schema.String),
  error: Schema.optional(Schema.String),
  digest: Schema.optional(Schema.String),
  total: Schema.optional(Schema.Number),
  completed: Schema.optional(Schema.Number)
}))
export type PullLine = typeof PullLine.Type
