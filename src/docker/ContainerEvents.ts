/**
 * What happens to containers, told by the engine's events and put right by looking.
 *
 * Events alone are never the truth: they are lost when the connection or the engine goes, and the engine keeps only the
 * last few hundred. So whoever watches is given all containers at the beginning, after each reconnect, and every few
 * minutes besides.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Mailbox from "effect/Mailbox"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type * as Container from "./api/Container.js"
import * as DockerApi from "./api/DockerApi.js"
import type * as DockerError from "./api/DockerError.js"
import type * as DockerTransport from "./api/DockerTransport.js"
import * as Lines from "../text/Lines.js"

/** What a watcher is told. */
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
  /** The engine cannot be asked. Told once; a snapshot follows when it can be again. */
  | { readonly _tag: "Lost"; readonly error: DockerError.DockerError }

export interface Dependencies {
  readonly transport: DockerTransport.DockerTransport
  readonly list: (
    labels: Readonly<Record<string, string>>
  ) => Effect.Effect<ReadonlyArray<Container.ContainerSummary>, DockerError.DockerError>
}

/** Between two looks that nothing asked for, give or take a fifth. */
export const pollInterval = Duration.minutes(3)
const firstDelay = Duration.millis(500)
const longestDelay = Duration.seconds(30)
/** An engine that sends no header before its first event is taken as listening after so long. */
const openingGrace = Duration.seconds(3)
const bufferedEvents = 256
const maxLineLength = 256 * 1024

// Attributes of an event are the container's labels and these.
const notLabels = new Set(["image", "name", "exitCode", "signal", "execID", "execDuration"])

const decodeEvent = Schema.decodeUnknownEither(Schema.parseJson(DockerApi.Event))

/** The exact time of an event: 64 bits, which JSON.parse rounds to some hundred nanoseconds. */
const nanosOf = (line: string, seconds: number): bigint => {
  const digits = /"timeNano"\s*:\s*(\d{1,19})/.exec(line)?.[1]
  return digits === undefined ? BigInt(Math.trunc(seconds)) * 1_000_000_000n : BigInt(digits)
}

/** Since when, as the engine reads it. */
const sinceOf = (nanos: bigint): string =>
  `${nanos / 1_000_000_000n}.${String(nanos % 1_000_000_000n).padStart(9, "0")}`

const changed = (event: typeof DockerApi.Event.Type, nanos: bigint): ContainerEvent | undefined => {
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

/** Watches the containers with these labels; never ends and never fails. */
export const watch = (
  { list, transport }: Dependencies,
  labels: Readonly<Record<string, string>>
): Stream.Stream<ContainerEvent> => {
  const produce = (mailbox: Mailbox.Mailbox<ContainerEvent>) =>
    Effect.gen(function*() {
      let last: bigint | undefined
      /** Events with exactly the last one's time: asked for again by `since`. */
      let atLast = new Set<string>()
      let delay = Duration.toMillis(firstDelay)
      let lost = false

      const take = (line: Lines.Line): Effect.Effect<void> => {
        const decoded = decodeEvent(line.text)
        if (line.text.trim() === "" || Either.isLeft(decoded)) return Effect.void
        const nanos = nanosOf(line.text, decoded.right.time ?? 0)
        const event = changed(decoded.right, nanos)
        if (event === undefined || event._tag !== "Changed") return Effect.void
        const key = `${event.id} ${event.action}`
        if (last !== undefined && nanos <= last) {
          // A clock that was set back must not hide what is new, so only the replay is told apart.
          if (nanos === last && atLast.has(key)) return Effect.void
          if (nanos === last) atLast.add(key)
        } else {
          last = nanos
          atLast = new Set([key])
        }
        return Effect.asVoid(mailbox.offer(event))
      }

      const snapshot = Effect.flatMap(list(labels), (containers) => {
        lost = false
        return mailbox.offer({ _tag: "Snapshot", containers })
      })

      /** One connection, which ends by failing or by the engine's end. */
      const session = Effect.scoped(Effect.gen(function*() {
        const open = yield* Deferred.make<void>()
        const listen = Effect.gen(function*() {
          const body = yield* transport.open({
            operation: "listen to container events",
            method: "GET",
            path: "/events",
            query: {
              filters: JSON.stringify({
                type: ["container"],
                label: Object.entries(labels).map(([key, value]) => `${key}=${value}`)
              }),
              since: last === undefined ? undefined : sinceOf(last)
            },
            deadline: Duration.days(1)
          })
          yield* Deferred.succeed(open, undefined)
          const splitter = Lines.make(maxLineLength)
          yield* Stream.runForEachChunk(body, (chunk) =>
            Effect.gen(function*() {
              for (const bytes of chunk) {
                for (const line of splitter.push(bytes)) yield* take(line)
              }
            }))
        })
        const look = Effect.gen(function*() {
          // Listening first: what happens between the two is then told by the one or the other.
          yield* Effect.timeoutOption(Deferred.await(open), openingGrace)
          while (true) {
            yield* snapshot
            const jitter = yield* Random.nextRange(0.8, 1.2)
            yield* Effect.sleep(Duration.times(pollInterval, jitter))
          }
        })
        yield* Effect.raceFirst(listen, look)
      }))

      while (true) {
        const begun = yield* Clock.currentTimeMillis
        const ended = yield* Effect.either(session)
        if (Either.isLeft(ended) && !lost) {
          lost = true
          yield* mailbox.offer({ _tag: "Lost", error: ended.left })
        }
        // An engine that ends each stream at once is not asked in a tight loop.
        const now = yield* Clock.currentTimeMillis
        if (now - begun > Duration.toMillis(longestDelay)) delay = Duration.toMillis(firstDelay)
        const jitter = yield* Random.nextRange(0.8, 1.2)
        yield* Effect.sleep(Duration.millis(delay * jitter))
        delay = Math.min(delay * 2, Duration.toMillis(longestDelay))
      }
    })

  return Stream.unwrapScoped(Effect.gen(function*() {
    const mailbox = yield* Mailbox.make<ContainerEvent>({ capacity: bufferedEvents })
    yield* Effect.forkScoped(Effect.interruptible(produce(mailbox)))
    return Mailbox.toStream(mailbox)
  }))
}
