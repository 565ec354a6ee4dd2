/** Waits for a container's end, and never longer. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../effect/Backoff.js"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"

export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly inspect: (
    container: string
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound>
}

/** How often the container is looked at while Docker's answer is awaited: it may never come. */
export const lookInterval = Duration.minutes(1)
const backoff: Backoff.BackoffOptions = { base: "500 millis", cap: "30 seconds" }

const exitOf = (info: Container.ContainerInfo): Container.ContainerExit => ({
  exitCode: info.exitCode ?? 0,
  oomKilled: info.oomKilled,
  ...(info.error === undefined ? {} : { error: info.error }),
  ...(info.finishedAt === undefined ? {} : { finishedAt: info.finishedAt })
})

const runs = ({ state }: Container.ContainerInfo) => state === "running" || state === "paused" || state === "restarting"

/**
 * The end of a container; at once when it has ended. A Docker that is unreachable is waited for: only it knows how the
 * container ended.
 */
export const wait = (
  { inspect, transport }: Dependencies,
  container: string
): Effect.Effect<Container.ContainerExit, DockerError.DockerError | DockerError.ContainerNotFound> =>
  Effect.gen(function*() {
    /** Docker's answer, which stands also when the container is gone or runs again by the time we look. */
    let answered: number | undefined
    const retries = yield* Schedule.driver(Backoff.schedule(backoff))
    const backOff = Effect.orDie(retries.next(undefined))
    const ask = (id: string) =>
      transport.json({
        operation: `wait for container ${container}`,
        method: "POST",
        path: `/containers/${id}/wait`,
        query: { condition: "not-running" },
        // Bounded by the looks in between.
        deadline: Duration.infinity
      }, DockerApi.Wait).pipe(
        Effect.map(({ StatusCode }) => {
          answered = StatusCode
        }),
        // The container or the connection is gone: the next inspection shows which.
        Effect.catchAll((error) =>
          error._tag === "DockerRequestFailed" && error.status === 404 ? Effect.void : Effect.asVoid(backOff)
        )
      )

    /** One look, and the answer or the time for the next look. `undefined` while the container runs. */
    const look = Effect.gen(function*() {
      const info = yield* inspect(container)
      if (!runs(info)) return exitOf(info)
      if (answered !== undefined) return { exitCode: answered }
      yield* Effect.raceFirst(ask(info.id), Effect.sleep(lookInterval))
      return undefined
    }).pipe(
      Effect.catchTag(
        "ContainerNotFound",
        (error) => answered === undefined ? Effect.fail(error) : Effect.succeed({ exitCode: answered })
      )
    )
    const laterLook = Effect.catchIf(look, DockerError.isUnavailable, () => Effect.as(backOff, undefined))

    // The first inspection reports what is wrong; later ones wait for Docker.
    let exit: Container.ContainerExit | undefined = yield* look
    while (exit === undefined) exit = yield* laterLook
    return exit
  })
