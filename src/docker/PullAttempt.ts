/** One attempt to pull an image: read to its end, or given up when nothing moves. */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Lines from "../text/Lines.js"
import * as Printable from "../text/Printable.js"
import * as DockerAnswer from "./api/DockerAnswer.js"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import type * as ImageReference from "./api/ImageReference.js"
import * as PullFailure from "./PullFailure.js"
import * as PullProgress from "./PullProgress.js"

/** What pulling needs to know. */
export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  /** Whether this machine has it. */
  readonly exists: (image: string) => Effect.Effect<boolean, DockerError.DockerError>
  /** The value of the `X-Registry-Auth` header. */
  readonly auth: (image: ImageReference.ImageReference) => Effect.Effect<Redacted.Redacted<string> | undefined>
  /** Where images are kept and how much is free there; `undefined` when it cannot be known. */
  readonly disk: Effect.Effect<{ readonly path: string; readonly free: number } | undefined>
}

/** Without progress for so long, a download has stalled. */
export const downloadSilence = Duration.minutes(2)
/** While a large layer is written to a slow disk, Docker says nothing for long, and there is no network to blame. */
export const extractSilence = Duration.minutes(10)
/** In UTF-16 code units. */
const maxLineLength = 1024 * 1024

const decodeLine = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.PullLine))

/** Fails when there is less room for images than `needed` bytes, where that can be known. */
export const checkRoom = (
  { disk }: Pick<Dependencies, "disk">,
  image: string,
  needed: number
): Effect.Effect<void, DockerError.OutOfDisk> =>
  Effect.flatMap(disk, (room) =>
    room === undefined || room.free >= needed
      ? Effect.void
      : Effect.fail(
        new DockerError.OutOfDisk({ subject: `image "${image}"`, path: room.path, needed, free: room.free })
      ))

/** Takes in one line. True when it is a sign of life. */
const takeLine = (
  image: string,
  picture: PullProgress.PullPicture,
  { text }: Lines.Line
): Either.Either<boolean, PullFailure.AttemptFailed> => {
  if (text.trim() === "") return Either.right(false)
  const decoded = decodeLine(text)
  if (Either.isLeft(decoded)) {
    const shown = Printable.oneLine(text, 200)
    return Either.left(PullFailure.transient(image, `Docker answered with something that is not progress: ${shown}`))
  }
  // An error stands in a line of its own, under status 200.
  const detail = decoded.right.errorDetail?.message ?? decoded.right.error
  return detail === undefined
    ? Either.right(PullProgress.take(picture, decoded.right))
    : Either.left(PullFailure.ofMessage(image, DockerAnswer.detail(detail)))
}

const requestOf = (reference: ImageReference.ImageReference, credentials: Redacted.Redacted<string> | undefined) => ({
  operation: `pull image ${reference.original}`,
  method: "POST" as const,
  path: "/images/create",
  query: {
    fromImage: reference.digest === undefined
      ? `${reference.registry}/${reference.repository}`
      : `${reference.registry}/${reference.repository}@${reference.digest}`,
    // Without one, Docker would fetch every tag that there is.
    tag: reference.digest === undefined ? reference.tag : undefined
  },
  ...(credentials === undefined ? {} : { headers: { "X-Registry-Auth": Redacted.value(credentials) } }),
  // Nothing is sent before the registry has answered; silence is judged by the watch.
  deadline: Duration.sum(downloadSilence, Duration.minutes(1))
})

/** Fails when nothing has moved for too long. */
const watchSilence = (
  image: string,
  picture: PullProgress.PullPicture,
  lastSign: () => number
): Effect.Effect<never, PullFailure.AttemptFailed> =>
  Effect.flatMap(Clock.currentTimeMillis, (now) => {
    const limit = Duration.toMillis(PullProgress.isAllFetched(picture) ? extractSilence : downloadSilence)
    const left = lastSign() + limit - now
    return left > 0
      ? Effect.zipRight(Effect.sleep(Duration.millis(left)), watchSilence(image, picture, lastSign))
      : Effect.fail(PullFailure.stalled(image, limit))
  })

/** Fills in the picture as it goes; `report` is run after each change. */
export const run = (
  dependencies: Dependencies,
  reference: ImageReference.ImageReference,
  picture: PullProgress.PullPicture,
  report: Effect.Effect<void>
): Effect.Effect<void, PullFailure.AttemptFailed> => {
  const { auth, exists, transport } = dependencies
  const image = reference.original
  const ofDocker = (error: DockerError.DockerError) => PullFailure.ofDocker(image, error)
  return Effect.scoped(Effect.gen(function*() {
    let lastSign = yield* Clock.currentTimeMillis
    const splitter = Lines.make(maxLineLength)
    let known = 0
    const take = (bytes: Uint8Array) =>
      Effect.gen(function*() {
        let isSign = false
        for (const line of splitter.push(bytes)) isSign = (yield* takeLine(image, picture, line)) || isSign
        if (isSign) lastSign = yield* Clock.currentTimeMillis
        const { totalBytes } = PullProgress.of(image, 1, picture)
        if (totalBytes > known) {
          known = totalBytes
          yield* Effect.mapError(
            checkRoom(dependencies, image, PullProgress.roomNeeded(picture)),
            PullFailure.lasting
          )
        }
        yield* report
      })
    const read = Effect.gen(function*() {
      const body = yield* Effect.mapError(transport.open(requestOf(reference, yield* auth(reference))), ofDocker)
      yield* Stream.runForEach(Stream.mapError(body, ofDocker), take)
      const rest = splitter.flush()
      if (rest !== undefined) yield* takeLine(image, picture, rest)
      // The stream's end alone proves nothing.
      const isHere = yield* Effect.mapError(exists(image), ofDocker)
      if (!isHere) return yield* PullFailure.transient(image, "the pull ended, and the image is not there")
    })
    yield* Effect.raceFirst(read, watchSilence(image, picture, () => lastSign))
  }))
}
