/**
 * Pulls images: with progress in bytes, given up on silence only, retried where that may help, and once for all who wait
 * for the same image.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "../effect/Backoff.js"
import * as Shared from "../effect/Shared.js"
import type * as DockerError from "./api/DockerError.js"
import * as ImageReference from "./api/ImageReference.js"
import * as PullAttempt from "./PullAttempt.js"
import * as PullProgress from "./PullProgress.js"

export type { PullProgress } from "./PullProgress.js"

/** How an image is pulled. */
export interface PullOptions {
  /** `missing` asks the registry for nothing when the image is on this machine. Default `missing`. */
  readonly policy?: "missing" | "always"
  /** Bytes, as far as known beforehand: room for them is checked before anything is fetched. */
  readonly expectedBytes?: number
}

export interface ImagePull {
  readonly pull: (
    image: string,
    options?: PullOptions
  ) => Stream.Stream<PullProgress.PullProgress, DockerError.PullError>
}

/** Attempts in a row that bring no further layer. */
export const maxFruitlessAttempts = 5
const backoff: Backoff.BackoffOptions = { base: "1 second", cap: "30 seconds" }

/** All attempts; succeeds with the last progress. */
const pullAll = (
  dependencies: PullAttempt.Dependencies,
  reference: ImageReference.ImageReference,
  publish: (progress: PullProgress.PullProgress) => Effect.Effect<void>
): Effect.Effect<PullProgress.PullProgress, DockerError.PullError> => {
  const image = reference.original
  const from = (
    attempt: number,
    fruitlessBefore: number
  ): Effect.Effect<PullProgress.PullProgress, DockerError.PullError> => {
    const picture = PullProgress.empty()
    const report = Effect.suspend(() => publish(PullProgress.of(image, attempt, picture)))
    return Effect.zipRight(report, PullAttempt.run(dependencies, reference, picture, report)).pipe(
      Effect.map(() => PullProgress.completed(image, attempt, picture)),
      Effect.catchTag("AttemptFailed", ({ error, isTransient, reason }) =>
        Effect.gen(function*() {
          // What was fetched stays with Docker: the next attempt starts from there.
          const fruitless = picture.fetched > 0 ? 1 : fruitlessBefore + 1
          if (!isTransient || fruitless >= maxFruitlessAttempts) return yield* Effect.fail(error(attempt))
          const wait = yield* Backoff.jittered(Backoff.wait(backoff, fruitless))
          const delay = Duration.toMillis(wait)
          yield* Effect.logWarning(
            `Pulling ${image}: attempt ${attempt} failed (${reason}); retrying in ${(delay / 1000).toFixed(1)}s`
          )
          yield* publish({ ...PullProgress.of(image, attempt, picture), phase: "waiting", retry: { reason, delay } })
          yield* Effect.sleep(wait)
          return yield* from(attempt + 1, fruitless)
        }))
    )
  }
  return from(1, 0)
}

/** What those who wait for a pull are sent. */
type Message =
  | { readonly _tag: "Progress"; readonly progress: PullProgress.PullProgress }
  /** A success carries the last progress. */
  | { readonly _tag: "End"; readonly exit: Exit.Exit<PullProgress.PullProgress, DockerError.PullError> }

/** A pull's messages up to its end. The one who began it may have written the name differently. */
const follow = (
  image: string,
  messages: PubSub.PubSub<Message>
): Stream.Stream<PullProgress.PullProgress, DockerError.PullError> =>
  Stream.unwrapScoped(Effect.map(PubSub.subscribe(messages), (queue) =>
    Stream.repeatEffect(Queue.take(queue)).pipe(
      Stream.takeUntil(({ _tag }) => _tag === "End"),
      Stream.mapEffect((message) => message._tag === "Progress" ? Effect.succeed(message.progress) : message.exit),
      Stream.map((progress) => ({ ...progress, image }))
    )))

export const make = (dependencies: PullAttempt.Dependencies): Effect.Effect<ImagePull, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { exists } = dependencies
    // Whoever comes while an image is pulled joins; the pull is given up when the last one leaves.
    const pulls = yield* Shared.make({
      idleTimeToLive: 0,
      identity: ({ canonical }: ImageReference.ImageReference) => canonical,
      lookup: (reference: ImageReference.ImageReference, discard) =>
        Effect.gen(function*() {
          // A late or slow one sees the newest state only, and always the end.
          const messages = yield* PubSub.sliding<Message>({ capacity: 1, replay: 1 })
          yield* pullAll(
            dependencies,
            reference,
            (progress) => PubSub.publish(messages, { _tag: "Progress", progress })
          ).pipe(
            // Whoever comes from now on begins another.
            Effect.onExit((exit) => Effect.zipRight(discard, PubSub.publish(messages, { _tag: "End", exit }))),
            Effect.exit,
            Effect.forkScoped
          )
          return messages
        })
    })
    return {
      pull: (image, options = {}) =>
        Stream.unwrapScoped(Effect.gen(function*() {
          const reference = yield* ImageReference.parse(image)
          if (options.policy !== "always" && (yield* exists(image))) {
            return Stream.make(PullProgress.completed(image, 1, PullProgress.empty()))
          }
          if (options.expectedBytes !== undefined) {
            yield* PullAttempt.checkRoom(dependencies, image, options.expectedBytes)
          }
          const { value: messages } = yield* pulls.lease(reference)
          return follow(image, messages)
        })).pipe(Stream.withSpan("Docker.pull"))
    }
  })
