/** Requests to engines' APIs: bounded in time and bytes, retried until they answer. */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as EngineHttp from "../chat/EngineHttp.js"
import type { EngineAddress } from "./EngineDriver.js"

/** Characters of a model's name. */
const maxNameLength = 512

/** Valid model names, without duplicates, in order. */
export const saneNames = (names: ReadonlyArray<string>): ReadonlyArray<string> => [
  ...new Set(names.filter((name) => name !== "" && name.length <= maxNameLength && !/\p{Cc}/u.test(name)))
]

/** Reads a path of an engine's API; any status but 200 is a failure. */
export const getter = ({ apiKey, baseUrl }: EngineAddress, deadline: Duration.Duration) => (path: string) =>
  EngineHttp.ask({ method: "GET", url: `${baseUrl}${path}`, apiKey }, deadline).pipe(
    Effect.flatMap(({ body, status }) =>
      status === 200
        ? Effect.succeed(body)
        : Effect.fail(new EngineHttp.EngineUnreachable({ reason: `${path} answers with status ${status}` }))
    )
  )

/** Retries until it succeeds. */
export const untilItAnswers = <A, E>(
  question: Effect.Effect<A, E>,
  interval: Duration.DurationInput = "500 millis"
): Effect.Effect<A> => Effect.orDie(Effect.retry(question, Schedule.spaced(interval)))
