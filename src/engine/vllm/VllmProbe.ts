/** What is asked of a running vLLM. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as EngineHttp from "../../chat/EngineHttp.js"
import type { EngineAddress, EngineProbe } from "../EngineDriver.js"
import * as Asking from "../Asking.js"
import * as VllmLog from "./VllmLog.js"

const decodeModels = Schema.decodeUnknownEither(
  Schema.parseJson(Schema.Struct({ data: Schema.Array(Schema.Struct({ id: Schema.String })) }))
)

/** The names that `/v1/models` lists; empty for an answer that is no list. */
export const modelsOf = (body: string): ReadonlyArray<string> =>
  Either.match(decodeModels(body), {
    onLeft: () => [],
    onRight: ({ data }) => Asking.saneNames(data.map(({ id }) => id))
  })

/** `names` are those that it is to answer to. */
export const make = (
  address: EngineAddress,
  names: ReadonlyArray<string>,
  checkDeadline: Duration.Duration
): EngineProbe => {
  const get = Asking.getter(address, checkDeadline)
  const serves = (listed: ReadonlyArray<string>) => names.some((name) => listed.includes(name))
  // Health alone can be fine with an engine that hangs.
  const check = Effect.flatMap(
    Effect.zipRight(get("/health"), Effect.map(get("/v1/models"), modelsOf)),
    (listed) =>
      serves(listed)
        ? Effect.succeed(listed)
        : Effect.fail(new EngineHttp.EngineSilent({ reason: `it does not list ${names.join(", ")}` }))
  )
  return {
    ready: () => Asking.untilItAnswers(check),
    check,
    serves,
    load: Effect.orElseSucceed(Effect.map(get("/metrics"), VllmLog.loadOf), () => undefined)
  }
}
