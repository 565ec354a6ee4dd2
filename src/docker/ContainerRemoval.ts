/** The end of a container: stopped and removed, within limits, whatever Docker makes of it. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Backoff from "../effect/Backoff.js"
import * as Insulated from "../effect/Insulated.js"
import type * as Container from "./api/Container.js"
import * as DockerEndpoint from "./api/DockerEndpoint.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as DockerMessages from "./DockerMessages.js"

/** What removing containers needs. */
export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly inspect: (
    container: string
  ) => Effect.Effect<Container.ContainerInfo, DockerError.DockerError | DockerError.ContainerNotFound>
}

/** How a container is given up. */
export interface ReleaseOptions {
  /** From the stop signal to the kill. Default: what the container was created with. */
  readonly grace?: Duration.DurationInput
}

export interface ContainerRemoval {
  readonly stop: (container: string, options?: ReleaseOptions) => Effect.Effect<void, DockerError.DockerError>
  readonly remove: (
    container: string,
    options?: { readonly force?: boolean }
  ) => Effect.Effect<void, DockerError.DockerError>
  /** A finalizer: stops and removes; what it cannot do within its time is logged. */
  readonly release: (container: Container.ContainerInfo, options: ReleaseOptions) => Effect.Effect<void>
}

const removeDeadline = Duration.minutes(1)
/** What a stop takes beyond its grace period. */
const stopMargin = Duration.seconds(30)
/** Docker's own, for a container that was created without one. */
const defaultGraceSeconds = 10
/** How long a release keeps retrying while Docker is unreachable. */
const releasePatience = Duration.seconds(15)

const graceOf = (container: Container.ContainerInfo): Duration.Duration =>
  Duration.seconds(container.stopTimeoutSeconds ?? defaultGraceSeconds)

/** The path of a container in Docker's API. */
export const pathOf = (container: string, rest = ""): string => `/containers/${encodeURIComponent(container)}${rest}`

/** Retries while Docker is unreachable, for a while. */
export const retryWhileUnreachable = <A>(
  effect: Effect.Effect<A, DockerError.DockerError>
): Effect.Effect<A, DockerError.DockerError> =>
  Effect.retry(effect, {
    while: (error) => error._tag === "DockerUnreachable",
    schedule: Backoff.schedule({ base: "200 millis", cap: "2 seconds" }).pipe(Schedule.upTo(releasePatience))
  })

/** A finalizer's work: within its limit, also where its fiber cannot be interrupted; what it cannot do is logged. */
const bounded = (
  subject: string,
  limit: Duration.Duration,
  effect: Effect.Effect<void, DockerError.DockerError>
): Effect.Effect<void> => {
  const logLeft = (reason: string) =>
    Effect.logError(
      `${subject} could not be removed and may still be there: ${reason} It is removed at the agent's next start, or `
        + "now with \"docker rm -f\""
    )
  return effect.pipe(
    Effect.timeoutTo({
      duration: limit,
      onSuccess: () => Effect.void,
      onTimeout: () => logLeft(`it took longer than ${Math.round(Duration.toSeconds(limit))} s.`)
    }),
    Effect.flatten,
    Effect.catchAll((error) => logLeft(error.message)),
    Insulated.insulated
  )
}

/** Like {@link bounded}, for what is left of a creation that failed: it was never started, or only just. */
export const boundedRollBack = (
  container: string,
  effect: Effect.Effect<void, DockerError.DockerError>
): Effect.Effect<void> =>
  bounded(
    `The unfinished container ${container}`,
    Duration.sum(removeDeadline, Duration.times(releasePatience, 2)),
    effect
  )

export const make = ({ inspect, transport }: Dependencies): ContainerRemoval => {
  const stop = (container: string, options: ReleaseOptions = {}): Effect.Effect<void, DockerError.DockerError> =>
    Effect.gen(function*() {
      const grace = options.grace === undefined
        // Docker would use the container's own as well, and leave us without a deadline.
        ? graceOf(yield* inspect(container))
        : Duration.decode(options.grace)
      yield* transport.call({
        operation: `stop container ${container}`,
        method: "POST",
        path: pathOf(container, "/stop"),
        query: { t: Math.ceil(Duration.toSeconds(grace)) },
        deadline: Duration.sum(grace, stopMargin)
      })
    }).pipe(
      Effect.catchTags({
        DockerRequestFailed: (error) => error.status === 404 ? Effect.void : Effect.fail(error),
        ContainerNotFound: () => Effect.void
      })
    )

  /** Until Docker knows it no longer. */
  const gone = (container: string): Effect.Effect<void, DockerError.DockerError> =>
    Effect.matchEffect(inspect(container), {
      onSuccess: () => Effect.zipRight(Effect.sleep(Duration.millis(200)), gone(container)),
      onFailure: (error) => error._tag === "ContainerNotFound" ? Effect.void : Effect.fail(error)
    })

  /** Somebody else's removal of it. */
  const awaitGone = (container: string, operation: string) =>
    Insulated.asTheCaller(Effect.flatten(Effect.timeoutTo(gone(container), {
      duration: removeDeadline,
      onSuccess: () => Effect.void,
      onTimeout: () =>
        Effect.flatMap(transport.endpoint, (endpoint) =>
          Effect.fail(
            new DockerError.DockerTimeout({
              endpoint: DockerEndpoint.format(endpoint),
              operation,
              after: Duration.toMillis(removeDeadline)
            })
          ))
    })))

  const remove = (
    container: string,
    options: { readonly force?: boolean } = {}
  ): Effect.Effect<void, DockerError.DockerError> => {
    const operation = `remove container ${container}`
    return transport.call({
      operation,
      method: "DELETE",
      path: pathOf(container),
      // Volumes without a name go with it; those with one stay.
      query: { force: options.force ?? false, v: true },
      deadline: removeDeadline
    }).pipe(
      Effect.retry({
        while: (error) => error._tag === "DockerRequestFailed" && DockerMessages.isBusy(error.detail),
        schedule: Schedule.intersect(Schedule.spaced("500 millis"), Schedule.recurs(10))
      }),
      Effect.asVoid,
      Effect.catchTag("DockerRequestFailed", (error) => {
        if (error.status === 404) return Effect.void
        return error.status === 409 && DockerMessages.isBeingRemoved(error.detail)
          ? awaitGone(container, operation)
          : Effect.fail(error)
      })
    )
  }

  const release = (container: Container.ContainerInfo, options: ReleaseOptions): Effect.Effect<void> => {
    const grace = options.grace === undefined ? graceOf(container) : Duration.decode(options.grace)
    return bounded(
      `Container ${container.name} (${container.id.slice(0, 12)})`,
      Duration.sum(Duration.sum(grace, stopMargin), Duration.sum(removeDeadline, releasePatience)),
      // A stop that fails must not keep the removal from being tried.
      retryWhileUnreachable(stop(container.id, { grace })).pipe(
        Effect.catchAll((error) =>
          Effect.logWarning(`Container ${container.name} did not stop; removing it as it is: ${error.message}`)
        ),
        Effect.zipRight(retryWhileUnreachable(remove(container.id, { force: true })))
      )
    )
  }

  return { stop, remove, release }
}
