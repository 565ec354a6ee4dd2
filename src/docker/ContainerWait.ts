/** Waits for a container's end, and never longer. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
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

/** How often the container is looked at while the engine's word is awaited: that word may never come. */
export const lookInterval = Duration.minutes(1)
const firstDelay = Duration.millis(500)
const longestDelay = Duration.seconds(30)

const exitOf = (info: Container.ContainerInfo): Container.ContainerExit => ({
  exitCode: info.exitCode ?? 0,
  oomKilled: info.oomKilled,
  ...(info.error === undefined ? {} : { error: info.error }),
  ...(info.finishedAt === undefined ? {} : { finishedAt: info.finishedAt })
})

const runs = ({ state }: Container.ContainerInfo) => state === "running" || state === "paused" || state === "restarting"

/**
 * The end of a container; at once when it has ended. An engine that is away is waited for: only it knows how the
 * container ended.
 */
export const wait = (
  { inspect, transport }: Dependencies,
  container: string
): Effect.Effect<Container.ContainerExit, DockerError.DockerError | DockerError.ContainerNotFound> =>
  Effect.gen(function*() {
    let delay = Duration.toMillis(firstDelay)
    /** The engine's word, which stands also when the container is gone or runs again by the time we look. */
    let told: number | undefined
    let asked = false
    const away = Effect.suspend(() => {
      const now = delay
      delay = Math.min(delay * 2, Duration.toMillis(longestDelay))
      return Effect.sleep(Duration.millis(now))
    })
    const ask = (id: string) =>
      Effect.map(
        transport.json({
          operation: `wait for container ${container}`,
          method: "POST",
          path: `/containers/${id}/wait`,
          query: { condition: "not-running" },
          // Bounded by the looks in between.
          deadline: Duration.infinity
        }, DockerApi.Wait),
        ({ StatusCode }) => {
          told = StatusCode
        }
      )
    while (true) {
      const found = yield* Effect.either(inspect(container))
      if (found._tag === "Left") {
        const error = found.left
        if (error._tag === "ContainerNotFound") {
          return told === undefined ? yield* Effect.fail(error) : { exitCode: told }
        }
        // The first look tells the caller what is wrong; later the engine is waited for.
        if (!asked || !DockerError.isUnavailable(error)) return yield* Effect.fail(error)
        yield* away
        continue
      }
      asked = true
      const info = found.right
      if (!runs(info)) return exitOf(info)
      if (told !== undefined) return { exitCode: told }
      yield* Effect.raceFirst(
        Effect.catchAll(ask(info.id), (error) =>
          // It is gone, or the connection is: the next look tells.
          error._tag === "DockerRequestFailed" && error.status === 404 ? Effect.void : away),
        Effect.sleep(lookInterval)
      )
    }
  })
