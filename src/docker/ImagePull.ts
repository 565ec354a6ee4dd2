/**
 * Pulls images: with progress in bytes, given up on silence only, tried again where that may help, and once for all who
 * wait for the same image.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as DockerApi from "./api/DockerApi.js"
import * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as ImageReference from "./api/ImageReference.js"
import * as Lines from "../text/Lines.js"

/** How far a pull is. Sizes are of the layers as they are sent, in bytes. */
export interface PullProgress {
  /** As it was asked for. */
  readonly image: string
  /**
   * `resolving` until the registry has answered, `downloading` while bytes are still to come, `extracting` when all are
   * here, `waiting` between two attempts, and at last `complete`.
   */
  readonly phase: "resolving" | "downloading" | "extracting" | "waiting" | "complete"
  readonly layers: {
    /** All that the image has, as far as the engine has named them. */
    readonly total: number
    /** Those that were here before. */
    readonly existing: number
    /** Those fetched by now, the extracted ones included. */
    readonly downloaded: number
    readonly extracted: number
  }
  /** Of the layers that had to be fetched. */
  readonly downloadedBytes: number
  readonly extractedBytes: number
  /** Of the layers whose size is known by now: it grows while the engine still has layers to begin with. */
  readonly totalBytes: number
  /** Every layer's size is known, so that `totalBytes` will not grow. */
  readonly totalKnown: boolean
  /** From 1. */
  readonly attempt: number
  /** While `waiting`: why, and for how many milliseconds. */
  readonly retry?: { readonly reason: string; readonly delay: number }
}

/** How an image is pulled. */
export interface PullOptions {
  /** `missing` asks the registry for nothing when the image is on this machine. Default `missing`. */
  readonly policy?: "missing" | "always"
  /** Bytes, as far as known beforehand: room for them is checked before anything is fetched. */
  readonly expectedBytes?: number
}

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

export interface ImagePull {
  readonly pull: (image: string, options?: PullOptions) => Stream.Stream<PullProgress, DockerError.PullError>
}

/** Without progress for so long, a download has stalled. */
export const downloadSilence = Duration.minutes(2)
/** While a large layer is written to a slow disk, the engine says nothing for long, and there is no network to blame. */
export const extractSilence = Duration.minutes(10)
/** Attempts in a row that bring no further layer. */
export const maxFruitlessAttempts = 5
const firstDelay = Duration.seconds(1)
const longestDelay = Duration.seconds(30)
/** The most layers that an image may have is 127. */
const maxLayers = 1_000
const maxLineLength = 1024 * 1024

type Stage = "pending" | "downloading" | "downloaded" | "extracting" | "extracted" | "existing"

interface Layer {
  readonly stage: Stage
  readonly downloaded: number
  readonly extracted: number
  /** 0 while unknown. */
  readonly size: number
}

const untouched: Layer = { stage: "pending", downloaded: 0, extracted: 0, size: 0 }

const decodeLine = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.PullLine))

/** What one line of progress makes of its layer. Statuses that mean nothing to us leave it as it is. */
const advance = (layer: Layer, line: typeof DockerApi.PullLine.Type): Layer => {
  const status = line.status ?? ""
  const bytes = line.progressDetail?.units === undefined ? line.progressDetail : undefined
  const current = Math.max(0, bytes?.current ?? 0)
  const size = Math.max(layer.size, bytes?.total ?? 0)
  switch (status) {
    case "Downloading":
      return { ...layer, stage: "downloading", downloaded: current, size }
    case "Verifying Checksum":
    case "Download complete":
      return { ...layer, stage: "downloaded", downloaded: size, size }
    case "Extracting":
      // Where the engine counts seconds instead of bytes, each is a sign of life all the same.
      return {
        stage: "extracting",
        downloaded: size,
        extracted: bytes === undefined ? layer.extracted : Math.min(current, size),
        size
      }
    case "Pull complete":
      return { stage: "extracted", downloaded: size, extracted: size, size }
    case "Already exists":
    case "Mounted from":
      return { ...untouched, stage: "existing" }
    default:
      return layer
  }
}

const isDone = (layer: Layer) => layer.stage === "extracted" || layer.stage === "existing"

const isFetched = (layer: Layer) => layer.stage !== "pending" && layer.stage !== "downloading"

/** One attempt's picture of an image's layers. */
interface Picture {
  readonly layers: Map<string, Layer>
  /** Layers that this attempt has fetched. */
  fetched: number
}

const progressOf = (image: string, attempt: number, picture: Picture): PullProgress => {
  let existing = 0
  let downloaded = 0
  let extracted = 0
  let downloadedBytes = 0
  let extractedBytes = 0
  let totalBytes = 0
  let totalKnown = picture.layers.size > 0
  for (const layer of picture.layers.values()) {
    if (layer.stage === "existing") existing++
    else if (isFetched(layer)) downloaded++
    else if (layer.size === 0) totalKnown = false
    if (layer.stage === "extracted") extracted++
    downloadedBytes += layer.downloaded
    extractedBytes += layer.extracted
    totalBytes += layer.size
  }
  const total = picture.layers.size
  return {
    image,
    phase: total === 0 ? "resolving" : downloaded + existing < total ? "downloading" : "extracting",
    layers: { total, existing, downloaded, extracted },
    downloadedBytes,
    extractedBytes,
    totalBytes,
    totalKnown,
    attempt
  }
}

const completed = (image: string, attempt: number, picture: Picture): PullProgress => ({
  ...progressOf(image, attempt, picture),
  phase: "complete",
  totalKnown: true
})

/**
 * The room that a pull still needs, at least: a layer is kept as it was sent while it is unpacked, and unpacked it is no
 * smaller.
 */
const roomNeeded = (picture: Picture): number => {
  let bytes = 0
  for (const layer of picture.layers.values()) {
    if (isDone(layer)) continue
    bytes += layer.size - layer.downloaded + layer.size - layer.extracted
  }
  return bytes
}

/** Why an attempt failed, and whether another may go better. */
class AttemptFailed {
  readonly _tag = "AttemptFailed"
  constructor(
    /** Made when no further attempt is. */
    readonly error: (attempts: number) => DockerError.PullError,
    readonly reason: string,
    readonly retry: boolean
  ) {}
}

const final = (error: DockerError.PullError) => new AttemptFailed(() => error, error.message, false)

/** What another attempt may mend. */
const fault = (image: string, detail: string) =>
  new AttemptFailed((attempts) => new DockerError.ImagePullFailed({ image, attempts, detail }), detail, true)

/** Tells failures that no attempt can mend from those that one may. */
const classify = (image: string, detail: string): AttemptFailed => {
  if (/no space left on device|disk quota exceeded/i.test(detail)) {
    return final(new DockerError.OutOfDisk({ subject: `image "${image}"`, detail }))
  }
  if (
    /manifest unknown|manifest for .* not found|no matching manifest|no match for platform|not found: manifest|name unknown|repository .* not found|does not exist|failed to resolve reference .* not found/i
      .test(detail)
  ) {
    return final(new DockerError.ImageNotFound({ image, detail, mayNeedLogin: /denied|login|authoriz/i.test(detail) }))
  }
  if (/denied|unauthorized|authentication required|no basic auth credentials|403 forbidden/i.test(detail)) {
    return final(new DockerError.ImageNotFound({ image, detail, mayNeedLogin: true }))
  }
  if (/toomanyrequests|pull rate limit|429 too many/i.test(detail)) {
    return final(
      new DockerError.ImagePullFailed({
        image,
        attempts: 1,
        detail,
        remedy:
          "The registry limits how often this machine may pull: run \"docker login\" as the agent's user, or wait."
      })
    )
  }
  if (/invalid reference format|unsupported media type|schema version 1|unsupported manifest/i.test(detail)) {
    return final(
      new DockerError.ImagePullFailed({ image, attempts: 1, detail, remedy: "Choose another image or tag." })
    )
  }
  return fault(image, detail)
}

const fromDocker = (image: string, error: DockerError.DockerError): AttemptFailed => {
  switch (error._tag) {
    case "DockerRequestFailed":
      return error.status === 404
        ? final(
          new DockerError.ImageNotFound({
            image,
            detail: error.detail,
            mayNeedLogin: /denied|login|authoriz/i.test(error.detail)
          })
        )
        : error.status === 400
        ? final(
          new DockerError.ImagePullFailed({ image, attempts: 1, detail: error.detail, remedy: "Check its name." })
        )
        : classify(image, error.detail)
    case "DockerUnreachable":
    case "DockerTimeout":
      return new AttemptFailed(() => error, error.message, true)
    default:
      return final(error)
  }
}

type Message =
  | { readonly _tag: "Progress"; readonly progress: PullProgress }
  /** A success carries the last progress. */
  | { readonly _tag: "End"; readonly exit: Exit.Exit<PullProgress, DockerError.PullError> }

interface Running {
  readonly messages: PubSub.PubSub<Message>
  fiber: Fiber.RuntimeFiber<void> | undefined
  waiting: number
}

export const make = (dependencies: Dependencies): Effect.Effect<ImagePull, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { auth, disk, exists, transport } = dependencies
    const scope = yield* Effect.scope
    const running = new Map<string, Running>()

    const checkRoom = (image: string, needed: number): Effect.Effect<void, DockerError.OutOfDisk> =>
      Effect.flatMap(disk, (room) =>
        room === undefined || room.free >= needed
          ? Effect.void
          : Effect.fail(
            new DockerError.OutOfDisk({ subject: `image "${image}"`, path: room.path, needed, free: room.free })
          ))

    /** Takes in one line. True when it is a sign of life. */
    const takeLine = (
      image: string,
      picture: Picture,
      line: Lines.Line
    ): Either.Either<boolean, AttemptFailed> => {
      if (line.text.trim() === "") return Either.right(false)
      const decoded = decodeLine(line.text)
      if (Either.isLeft(decoded)) {
        return Either.left(
          fault(image, `Docker answered with something that is not progress: ${line.text.slice(0, 200)}`)
        )
      }
      const { error, errorDetail, id, status } = decoded.right
      // An error stands in a line of its own, under status 200.
      const detail = errorDetail?.message ?? error
      if (detail !== undefined) return Either.left(classify(image, detail))
      if (id === undefined || status === undefined || status.startsWith("Pulling from")) {
        return Either.right(status !== undefined)
      }
      // The engine's own waiting is no progress.
      if (status.startsWith("Retrying") || status === "Waiting") {
        if (!picture.layers.has(id)) picture.layers.set(id, untouched)
        return Either.right(false)
      }
      const before = picture.layers.get(id)
      if (before === undefined && picture.layers.size >= maxLayers) return Either.right(false)
      const after = advance(before ?? untouched, decoded.right)
      picture.layers.set(id, after)
      if (isFetched(after) && after.stage !== "existing" && !(before !== undefined && isFetched(before))) {
        picture.fetched++
      }
      return Either.right(
        before === undefined || before.stage !== after.stage || before.downloaded !== after.downloaded
          || before.extracted !== after.extracted || decoded.right.progressDetail?.units !== undefined
      )
    }

    /** One attempt; fills in the picture as it goes. */
    const attemptOnce = (
      reference: ImageReference.ImageReference,
      picture: Picture,
      report: Effect.Effect<void>
    ): Effect.Effect<void, AttemptFailed> => {
      const image = reference.original
      return Effect.scoped(Effect.gen(function*() {
        let lastSign = yield* Clock.currentTimeMillis
        const silence = (): number => {
          const layers = [...picture.layers.values()]
          return Duration.toMillis(
            layers.length > 0 && layers.every(isFetched) ? extractSilence : downloadSilence
          )
        }
        const watch: Effect.Effect<never, AttemptFailed> = Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const limit = silence()
          const left = lastSign + limit - now
          return left > 0
            ? Effect.zipRight(Effect.sleep(Duration.millis(left)), watch)
            : Effect.fail(
              new AttemptFailed(
                (attempts) => new DockerError.ImagePullStalled({ image, attempts, silence: limit }),
                `no progress for ${Math.round(limit / 1000)} s`,
                true
              )
            )
        })
        const read = Effect.gen(function*() {
          const credentials = yield* auth(reference)
          const body = yield* Effect.mapError(
            transport.open({
              operation: `pull image ${image}`,
              method: "POST",
              path: "/images/create",
              query: {
                fromImage: reference.digest === undefined
                  ? `${reference.registry}/${reference.repository}`
                  : `${reference.registry}/${reference.repository}@${reference.digest}`,
                // Without one, the engine would fetch every tag that there is.
                tag: reference.digest === undefined ? reference.tag : undefined
              },
              ...(credentials === undefined ? {} : { headers: { "X-Registry-Auth": Redacted.value(credentials) } }),
              // Nothing is sent before the registry has answered; silence is judged by the watch.
              deadline: Duration.sum(downloadSilence, Duration.minutes(1))
            }),
            (error) => fromDocker(image, error)
          )
          const splitter = Lines.make(maxLineLength)
          let known = 0
          yield* Stream.runForEachChunk(
            Stream.mapError(body, (error) => fromDocker(image, error)),
            (chunk) =>
              Effect.gen(function*() {
                let sign = false
                for (const bytes of chunk) {
                  for (const line of splitter.push(bytes)) sign = (yield* takeLine(image, picture, line)) || sign
                }
                if (sign) lastSign = yield* Clock.currentTimeMillis
                const { totalBytes } = progressOf(image, 1, picture)
                if (totalBytes > known) {
                  known = totalBytes
                  yield* Effect.mapError(checkRoom(image, roomNeeded(picture)), final)
                }
                yield* report
              })
          )
          const rest = splitter.flush()
          if (rest !== undefined) yield* takeLine(image, picture, rest)
          // The stream's end alone proves nothing.
          const there = yield* Effect.mapError(exists(image), (error) => fromDocker(image, error))
          if (!there) return yield* Effect.fail(fault(image, "the pull ended, and the image is not there"))
        })
        yield* Effect.raceFirst(read, watch)
      }))
    }

    /** All attempts. */
    const pullAll = (
      reference: ImageReference.ImageReference,
      publish: (progress: PullProgress) => Effect.Effect<void>
    ): Effect.Effect<PullProgress, DockerError.PullError> => {
      const image = reference.original
      const loop = (attempt: number, fruitless: number): Effect.Effect<PullProgress, DockerError.PullError> => {
        const picture: Picture = { layers: new Map(), fetched: 0 }
        const report = Effect.suspend(() => publish(progressOf(image, attempt, picture)))
        return Effect.matchEffect(Effect.zipRight(report, attemptOnce(reference, picture, report)), {
          onSuccess: () => Effect.succeed(completed(image, attempt, picture)),
          onFailure: (failed) =>
            Effect.gen(function*() {
              // What was fetched stays with the engine: the next attempt begins farther on.
              const inVain = picture.fetched > 0 ? 1 : fruitless + 1
              if (!failed.retry || inVain >= maxFruitlessAttempts) return yield* Effect.fail(failed.error(attempt))
              const jitter = yield* Random.nextRange(0.8, 1.2)
              const delay = Math.min(
                Duration.toMillis(firstDelay) * 2 ** (inVain - 1) * jitter,
                Duration.toMillis(longestDelay)
              )
              yield* Effect.logWarning(
                `Pulling ${image}: attempt ${attempt} failed (${failed.reason}); trying again in ${
                  (delay / 1000).toFixed(1)
                } s.`
              )
              yield* publish({
                ...progressOf(image, attempt, picture),
                phase: "waiting",
                retry: { reason: failed.reason, delay }
              })
              yield* Effect.sleep(Duration.millis(delay))
              return yield* loop(attempt + 1, inVain)
            })
        })
      }
      return loop(1, 0)
    }

    /** Joins the pull of an image, or begins it. It ends early when nobody waits for it any longer. */
    const join = (reference: ImageReference.ImageReference): Effect.Effect<Running, never, Scope.Scope> =>
      Effect.acquireRelease(
        Effect.gen(function*() {
          // A late or slow one sees the newest state only, and always the end.
          const messages = yield* PubSub.sliding<Message>({ capacity: 1, replay: 1 })
          // Nothing may come between looking and entering.
          const key = reference.canonical
          const found = running.get(key)
          if (found !== undefined) {
            found.waiting++
            return found
          }
          const begun: Running = { messages, fiber: undefined, waiting: 1 }
          running.set(key, begun)
          begun.fiber = yield* pullAll(
            reference,
            (progress) => PubSub.publish(messages, { _tag: "Progress", progress })
          ).pipe(
            Effect.onExit((exit) =>
              Effect.suspend(() => {
                // Whoever comes from now on begins anew.
                if (running.get(key) === begun) running.delete(key)
                return PubSub.publish(messages, { _tag: "End", exit })
              })
            ),
            Effect.exit,
            Effect.asVoid,
            Effect.interruptible,
            Effect.forkIn(scope)
          )
          return begun
        }),
        (joined) =>
          Effect.suspend(() => {
            joined.waiting--
            if (joined.waiting > 0 || joined.fiber === undefined) return Effect.void
            if (running.get(reference.canonical) === joined) running.delete(reference.canonical)
            return Fiber.interrupt(joined.fiber)
          })
      )

    const follow = (image: string, joined: Running): Stream.Stream<PullProgress, DockerError.PullError> =>
      Stream.unwrapScoped(Effect.map(PubSub.subscribe(joined.messages), (queue) => {
        // The one who began it may have written the name differently.
        const own = (progress: PullProgress): PullProgress => ({ ...progress, image })
        let over = false
        return Stream.repeatEffectOption(
          Effect.suspend((): Effect.Effect<PullProgress, Option.Option<DockerError.PullError>> =>
            over ? Effect.fail(Option.none()) : Effect.flatMap(Queue.take(queue), (message) => {
              if (message._tag === "Progress") return Effect.succeed(own(message.progress))
              over = true
              return Exit.match(message.exit, {
                onSuccess: (progress) => Effect.succeed(own(progress)),
                onFailure: (cause) => Effect.failCause(Cause.map(cause, Option.some))
              })
            })
          )
        )
      }))

    return {
      pull: (image, options = {}) =>
        Stream.unwrapScoped(Effect.gen(function*() {
          const reference = yield* ImageReference.parse(image)
          if (options.policy !== "always" && (yield* exists(image))) {
            return Stream.make(completed(image, 1, { layers: new Map(), fetched: 0 }))
          }
          if (options.expectedBytes !== undefined) yield* checkRoom(image, options.expectedBytes)
          return follow(image, yield* join(reference))
        }))
    }
  })
