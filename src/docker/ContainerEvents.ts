/**
 * What happens to containers, from Docker's events, corrected by looking.
 *
 * Events alone are never the truth: they are lost when the connection or Docker goes, and Docker keeps only the
 * last few hundred. So whoever watches is given all containers at the beginning, after each reconnect, and every few
 * minutes besides.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as Backoff from "../effect/Backoff.js"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import type * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as Lines from "../text/Lines.js"

/** What a watcher receives. */
export type ContainerEvent =
  /** All containers there are, running or not. What is not among them is gone. */
  | { readonly _tag: "Snapshot"; readonly containers: ReadonlyArray<Container.ContainerSummary> }
  /** One of them changed. */
  | {
    readonly _tag: "Changed"
    /** `create`, `start`, `die`, `oom`, `kill`, `stop`, `pause`, `unpause`, `destroy`, `health_status: healthy`. */
    readonly action: string
    readonly id: string
    readonly name: string
    readonly labels: Readonly<Record<string, string>>
    /** Of `die`. */
    readonly exitCode?: number
    /** Milliseconds since 1970. */
    readonly time: number
  }
  /** Docker cannot be reached. Sent once; a snapshot follows when it can be again. */
  | { readonly _tag: "Lost"; readonly error: DockerError.DockerError }

export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly list: (
    labels: Readonly<Record<string, string>>
  ) => Effect.Effect<ReadonlyArray<Container.ContainerSummary>, DockerError.DockerError>
}

/** Between two looks that nothing asked for, give or take a fifth. */
export const pollInterval = Duration.minutes(3)
const reconnects: Backoff.BackoffOptions = { base: "500 millis", cap: "30 seconds" }
/** A connection that lasted longer starts the waits from the first again. */
const goodConnection = Duration.seconds(30)
/** A Docker that sends no header before its first event is taken as listening after so long. */
const openingGrace = Duration.seconds(3)
const bufferedEvents = 256
/** Far above the events of one nanosecond. */
const maxAtOneTime = 1_000
const maxLineLength = 256 * 1024

// Attributes of an event are the container's labels and these.
const notLabels = new Set(["image", "name", "exitCode", "signal", "execID", "execDuration"])

const decodeEvent = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.Event))

/** The exact time of an event: 64 bits, which JSON.parse rounds to some hundred nanoseconds. */
const nanosOf = (line: string, seconds: number): bigint => {
  const digits = /"timeNano"\s*:\s*(\d{1,19})/.exec(line)?.[1]
  if (digits !== undefined) return BigInt(digits)
  // JSON has numbers beyond all times.
  return Number.isSafeInteger(seconds) && seconds > 0 ? BigInt(seconds) * 1_000_000_000n : 0n
}

/** Since when, as Docker reads it. */
const sinceOf = (nanos: bigint): string =>
  `${nanos / 1_000_000_000n}.${String(nanos % 1_000_000_000n).padStart(9, "0")}`

const changed = (
  event: typeof DockerApi.Event.Type,
  nanos: bigint
): Extract<ContainerEvent, { readonly _tag: "Changed" }> | undefined => {
  const id = event.Actor?.ID
  if (event.Action === undefined || id === undefined || (event.Type ?? "container") !== "container") return undefined
  const attributes = event.Actor?.Attributes ?? {}
  const exitCode = Number(attributes["exitCode"] ?? Number.NaN)
  return {
    _tag: "Changed",
    action: event.Action,
    id,
    name: attributes["name"] ?? "",
    labels: Object.fromEntries(Object.entries(attributes).filter(([key]) => !notLabels.has(key))),
    ...(Number.isInteger(exitCode) ? { exitCode } : {}),
    time: Number(nanos / 1_000_000n)
  }
}

/** An event in a line of Docker's, and its exact time; `undefined` for what is none of a container's. */
export const readEvent = (line: string) => {
  const decoded = decodeEvent(line)
  if (Either.isLeft(decoded)) return undefined
  const nanos = nanosOf(line, decoded.right.time ?? 0)
  const event = changed(decoded.right, nanos)
  return event === undefined ? undefined : { event, nanos }
}

/** Drops the events that a reconnect replays. */
const makeReplayFilter = () => {
  let last: bigint | undefined
  /** Events with exactly the last one's time: sent again by `since`. */
  let atLast = new Set<string>()
  return {
    since: (): string | undefined => last === undefined ? undefined : sinceOf(last),
    isNew: (key: string, nanos: bigint): boolean => {
      if (last === undefined || nanos > last) {
        last = nanos
        atLast = new Set([key])
        return true
      }
      // A clock that was set back must not hide what is new, so only exact repetitions are dropped.
      if (nanos < last) return true
      if (atLast.has(key)) return false
      if (atLast.size < maxAtOneTime) atLast.add(key)
      return true
    }
  }
}

/** Watches the containers with these labels; never ends and never fails. */
export const watch = (
  { list, transport }: Dependencies,
  labels: Readonly<Record<string, string>>
): Stream.Stream<ContainerEvent> => {
  const filters = JSON.stringify({
    type: ["container"],
    label: Object.entries(labels).map(([key, value]) => `${key}=${value}`)
  })

  const produce = (mailbox: Mailbox.Mailbox<ContainerEvent>) =>
    Effect.gen(function*() {
      const replay = makeReplayFilter()
      let isLost = false

      const take = (line: Lines.Line): Effect.Effect<void> => {
        const read = readEvent(line.text)
        return read !== undefined && replay.isNew(`${read.event.id} ${read.event.action}`, read.nanos)
          ? Effect.asVoid(mailbox.offer(read.event))
          : Effect.void
      }

      const snapshot = Effect.flatMap(list(labels), (containers) => {
        isLost = false
        return mailbox.offer({ _tag: "Snapshot", containers })
      })

      const listen = (opened: Deferred.Deferred<void>) =>
        Effect.scoped(Effect.gen(function*() {
          const body = yield* transport.open({
            operation: "listen to container events",
            method: "GET",
            path: "/events",
            query: { filters, since: replay.since() },
            deadline: Duration.days(1)
          })
          yield* Deferred.succeed(opened, undefined)
          const splitter = Lines.make(maxLineLength)
          yield* Stream.runForEach(body, (bytes) => Effect.forEach(splitter.push(bytes), take, { discard: true }))
        }))

      const look = (opened: Deferred.Deferred<void>) =>
        Effect.gen(function*() {
          // Listening first: what happens between the two is then in the one or the other.
          yield* Effect.timeoutOption(Deferred.await(opened), openingGrace)
          yield* Effect.forever(
            Effect.zipRight(snapshot, Effect.flatMap(Backoff.jittered(pollInterval), Effect.sleep))
          )
        })

      /** One connection, which ends by failing or by Docker's end. */
      const session = Effect.flatMap(Deferred.make<void>(), (opened) => Effect.raceFirst(listen(opened), look(opened)))
        .pipe(
          Effect.catchAll((error) => {
            if (isLost) return Effect.void
            isLost = true
            return mailbox.offer({ _tag: "Lost", error })
          })
        )

      // A Docker that ends each stream at once is not asked in a tight loop.
      const backoff = yield* Schedule.driver(Backoff.schedule(reconnects))
      yield* Effect.forever(Effect.gen(function*() {
        const begun = yield* Clock.currentTimeMillis
        yield* session
        const lasted = (yield* Clock.currentTimeMillis) - begun
        if (lasted > Duration.toMillis(goodConnection)) yield* backoff.reset
        yield* Effect.orDie(backoff.next(undefined))
      }))
    })

  return Stream.unwrapScoped(Effect.gen(function*() {
    const mailbox = yield* Mailbox.make<ContainerEvent>({ capacity: bufferedEvents })
    // A defect fails the stream: unseen, its reader would wait for ever.
    yield* Effect.forkScoped(Effect.interruptible(Mailbox.into(produce(mailbox), mailbox)))
    return Mailbox.toStream(mailbox)
  }))
}
