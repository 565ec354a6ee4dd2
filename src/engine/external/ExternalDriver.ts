/** External engines, which the agent does not start: watched, served and reported like the others, without Docker. */
import * as fs from "node:fs/promises"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type { InvalidSetting } from "../../config/Setting.js"
import * as SystemError from "../../text/SystemError.js"
import type { EngineDriver } from "../EngineDriver.js"
import { EngineRefused, type ExternalPlan } from "../EnginePlan.js"
import type { EngineSettings } from "../EngineSettings.js"
import * as Ollama from "../ollama/OllamaSettings.js"
import * as OllamaProbe from "../ollama/OllamaProbe.js"
import * as OllamaPull from "../ollama/OllamaPull.js"
import * as Vllm from "../vllm/VllmSettings.js"
import * as VllmProbe from "../vllm/VllmProbe.js"
import * as AnyOllamaProbe from "./AnyOllamaProbe.js"

/** More than any API key has. */
const maxKeyBytes = 4096

interface Source {
  readonly name: string
  readonly title: string
  readonly url: string
  readonly urlFlag: string
  readonly keyFile: Option.Option<string>
  readonly keyFlag: string
  readonly keyVariable: string
}

/** The key in a file: its first line. */
const readKey = (
  { keyFile, keyFlag, keyVariable, title }: Source,
  env: Readonly<Record<string, string | undefined>>
): Effect.Effect<string, EngineRefused> =>
  Option.match(keyFile, {
    onNone: () => Effect.succeed(env[keyVariable] ?? ""),
    onSome: (path) => {
      const refused = (reason: string) =>
        new EngineRefused({
          title,
          problem: `${keyFlag} is ${path}, and ${reason}.`,
          remedy: "Give a file that the agent may read, with the key as its only line."
        })
      return Effect.gen(function*() {
        const bytes = yield* Effect.tryPromise({
          try: async () => {
            const file = await fs.open(path, fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0))
            try {
              if (!(await file.stat()).isFile()) throw new Error("it is not a regular file")
              const { buffer, bytesRead } = await file.read(Buffer.alloc(maxKeyBytes + 1), 0, maxKeyBytes + 1, 0)
              return buffer.subarray(0, bytesRead)
            } finally {
              await file.close()
            }
          },
          catch: (error) => refused(SystemError.describe(error))
        })
        const key = bytes.toString("utf8").trim()
        if (bytes.length > maxKeyBytes) return yield* refused(`it has more than ${maxKeyBytes} bytes`)
        if (!/^[\x21-\x7e]+$/.test(key)) return yield* refused("it has no key in it: one line of visible characters")
        return key
      })
    }
  })

const planOf = (source: Source, model: string): EngineDriver["plan"] => ({ env }) =>
  Effect.map(readKey(source, env), (key): ExternalPlan => ({
    _tag: "External",
    name: source.name,
    baseUrl: source.url,
    model,
    ...(key === "" ? {} : { apiKey: Redacted.make(key) }),
    findings: [],
    remedy: `Start ${source.title} there, or correct ${source.urlFlag}.`
  }))

const driverOf = (
  source: Source,
  model: string,
  rest: Pick<EngineDriver, "maxChoices" | "probe" | "pull">
): EngineDriver => ({
  name: source.name,
  title: source.title,
  model,
  wantsGpu: false,
  plan: planOf(source, model),
  log: {},
  diagnosis: { title: source.title, known: [], flags: {} },
  ...rest
})

const vllmOf = (settings: EngineSettings, url: string): EngineDriver => {
  // Any model will do, unless one is configured.
  const model = settings.provenance("vllmModel").isGiven ? settings.vllmModel : ""
  return driverOf(
    {
      name: Vllm.name,
      title: Vllm.title,
      url,
      urlFlag: "--vllm-url",
      keyFile: settings.vllmApiKeyFile,
      keyFlag: "--vllm-api-key-file",
      keyVariable: "VLLM_API_KEY"
    },
    model,
    { probe: (plan, deadline) => VllmProbe.make({ ...plan, model }, deadline) }
  )
}

const ollamaOf = (settings: EngineSettings, url: string): EngineDriver => {
  const model = settings.provenance("ollamaModel").isGiven ? settings.ollamaModel : ""
  return driverOf(
    {
      name: Ollama.name,
      title: Ollama.title,
      url,
      urlFlag: "--ollama-url",
      keyFile: settings.ollamaApiKeyFile,
      keyFlag: "--ollama-api-key-file",
      keyVariable: "OLLAMA_API_KEY"
    },
    model,
    {
      maxChoices: 1,
      probe: (plan, deadline) =>
        model === ""
          ? AnyOllamaProbe.make(plan, deadline)
          : OllamaProbe.make({ ...plan, model, hasGpu: false }, deadline),
      ...(Ollama.pullsOnDemand(settings) ? { pull: OllamaPull.once } : {})
    }
  )
}

/** The drivers of the URLs, or the setting that contradicts another. */
export const make = (settings: EngineSettings): Either.Either<ReadonlyArray<EngineDriver>, InvalidSetting> => {
  const { enableOllama, enableVllm, ollamaUrl, refuse, vllmUrl } = settings
  const both = (flag: string) => `${flag} starts one as well, and a node has one of each`
  if (enableVllm && Option.isSome(vllmUrl)) {
    return Either.left(refuse("vllmUrl", both("--enable-vllm"), "one of the two"))
  }
  if (enableOllama && Option.isSome(ollamaUrl)) {
    return Either.left(refuse("ollamaUrl", both("--enable-ollama"), "one of the two"))
  }
  return Either.right([
    ...Option.toArray(Option.map(vllmUrl, (url) => vllmOf(settings, url))),
    ...Option.toArray(Option.map(ollamaUrl, (url) => ollamaOf(settings, url)))
  ])
}
