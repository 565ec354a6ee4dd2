/** The probe of an engine that speaks OpenAI's API. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as EngineHttp from "../chat/EngineHttp.js"
import * as Asking from "./Asking.js"
import type { EngineAddress, EngineProbe } from "./EngineDriver.js"

const decodeModels = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Struct({ data: Schema.Array(Schema.Struct({ id: Schema.String })) }))
)

/** The names that `/v1/models` lists; empty for an answer that is no list. */
export const modelsOf = (body: string): ReadonlyArray<string> =>
  Either.match(decodeModels(body), {
    onLeft: () => [],
    onRight: ({ data }) => Asking.saneNames(data.map(({ id }) => id))
  })

export interface OpenAiEngine extends EngineAddress {
  /** The name that it must serve; empty for any model. */
  readonly model: string
  /** Answers with status 200 while the engine is healthy: `/health`. Absent where the list of models has to do. */
  readonly healthPath?: string
}

/** Healthy while it reports health and lists its model: a hung engine may still report health. */
export const make = (
  { healthPath, model, ...address }: OpenAiEngine,
  checkDeadline: Duration.Duration
): EngineProbe => {
  const get = Asking.getter(address, checkDeadline)
  const serves = (listed: ReadonlyArray<string>) => model === "" ? listed.length > 0 : listed.includes(model)
  const check = Effect.flatMap(
    Effect.zipRight(
      healthPath === undefined ? Effect.void : get(healthPath),
      Effect.map(get("/v1/models"), modelsOf)
    ),
    (listed) =>
      serves(listed)
        ? Effect.succeed(listed)
        : new EngineHttp.EngineUnreachable({ reason: `it does not list ${model === "" ? "any model" : model}` })
  )
  return { ready: () => Asking.untilItAnswers(check), check, serves }
}
