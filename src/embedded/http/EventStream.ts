/** The registry's changes as server-sent events, to one client. */
import type { ServerResponse } from "node:http"
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { write } from "../../net/HttpListener.js"
import type { NodeJson } from "../registry/NodeJson.js"
import type { NodeRegistry, RegistryChanges } from "../registry/NodeRegistry.js"
import type { Hello, Seen, ServerEvents } from "./ServerEvents.js"

export interface EventStreamOptions {
  /** Changes within this time are sent together. Default 250 ms. */
  readonly coalesce?: Duration.DurationInput
  /** The interval of `idle` events while nothing changes, by which a lost client is detected. Default 10 s. */
  readonly idle?: Duration.DurationInput
  /** A client that does not read for this long is dropped. Default 30 s. */
  readonly patience?: Duration.DurationInput
}

/** Nodes, and signs of life, per event: small enough that making one holds up nothing else. */
const nodesPerEvent = 50
const seenPerEvent = 1000

const event = <Name extends keyof ServerEvents>(name: Name, data: ServerEvents[Name]) =>
  `event: ${name}\ndata: ${JSON.stringify(data)}\n\n`

function* inParts<A>(items: ReadonlyArray<A>, size: number): Iterable<ReadonlyArray<A>> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size)
}

const seenOf = (node: NodeJson): Seen => [node.id, node.last_seen_unix]

/** Made one by one, each when the client has taken in the one before. */
function* eventsOf({ nodes, removed, reset, seen }: RegistryChanges): Iterable<string> {
  if (reset) yield event("reset", { nodes: nodes.length })
  for (const ids of inParts(removed, seenPerEvent)) yield event("removed", ids)
  for (const part of inParts(nodes, nodesPerEvent)) yield event("nodes", part)
  for (const part of inParts(seen, seenPerEvent)) yield event("seen", part.map(seenOf))
  if (reset) yield event("ready", {})
}

/** Writes events until the client is gone or was given up. */
export const run = (
  response: ServerResponse,
  registry: NodeRegistry,
  hello: Omit<Hello, "now_ms">,
  options: EventStreamOptions = {}
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const idle = options.idle ?? "10 seconds"
    const coalesce = options.coalesce ?? "250 millis"
    const send = (text: string) =>
      write(response, text).pipe(
        Effect.timeoutFail({ duration: options.patience ?? "30 seconds", onTimeout: () => "slow" as const })
      )

    const { next } = yield* registry.subscribe
    const now_ms = yield* Clock.currentTimeMillis
    // Browsers reconnect after this many milliseconds.
    yield* send(`retry: 1000\n\n${event("hello", { ...hello, now_ms })}`)
    while (true) {
      const changes = yield* Effect.timeoutOption(next, idle)
      if (Option.isNone(changes)) {
        yield* send(event("idle", { now_ms: yield* Clock.currentTimeMillis }))
        continue
      }
      for (const text of eventsOf(changes.value)) yield* send(text)
      yield* Effect.sleep(coalesce)
    }
  }).pipe(
    // It has not read for so long that a clean end would not reach it either.
    Effect.catchAll(() => Effect.sync(() => response.destroy()))
  )
